"""Compares two finished homes row by row: what one engine made of the same deliveries against what another made.

Everything must be equal, texts, integers, decimals, dates, ranks and lists alike. Only floating-point numbers may
differ in their last bits, because two engines add up in other orders, and the hash in the name of a release, because it
covers the files of the marts, which two engines do not write alike. No Dagster in here.
"""

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ml.columns import AS_OF_MONTH, CUSTOMER_KEY, USE_CASES
from ml.errors import KilowiseError
from orchestration.marts import MARTS, MARTS_AFTER_MODELS, MartsVersion, Sorting, current_marts
from orchestration.predictions import PREDICTIONS_FILE, prediction_columns, source_schema

if TYPE_CHECKING:
    import duckdb

MART_TOLERANCE = 1e-9
"""Largest relative difference of a floating-point number of a mart."""

PREDICTION_TOLERANCE = 1e-6
"""Largest relative difference of a floating-point number that a model predicted."""

# Below this, a number that should be zero is zero: what is left of a difference of equal sums has no relative error.
_ZERO = 1e-12
_FLOATS = frozenset({"DOUBLE", "FLOAT"})
_TEXT = "VARCHAR"
_RELEASE, _RELEASE_WITHOUT_HASH = r"\b(\d{4}-\d{6})-[0-9a-f]{10}\b", r"\1"
_BOTH = "first_row is not null and second_row is not null"


class NothingToCompareError(KilowiseError):
    """One of the homes has no published marts."""


@dataclass(frozen=True, slots=True)
class ColumnDifference:
    """A column that differs between two tables.

    Attributes:
        column: Name of the column.
        rows: Rows in which it differs.
        largest: Largest relative difference of a floating-point number; ``None`` for other types.
        example: Key and both values of one of these rows.
    """

    column: str
    rows: int
    largest: float | None
    example: str


@dataclass(frozen=True, slots=True)
class TableComparison:
    """What comparing two tables showed.

    Attributes:
        table: Name of the table.
        rows: Rows of the first and of the second.
        unmatched: Rows of the first that the second lacks, and of the second that the first lacks.
        schema: Sentences about columns and types that differ.
        columns: Columns that differ.
        largest: Largest relative difference of any floating-point number, differing or not.
    """

    table: str
    rows: tuple[int, int]
    unmatched: tuple[int, int]
    schema: tuple[str, ...]
    columns: tuple[ColumnDifference, ...]
    largest: float

    @property
    def is_equal(self) -> bool:
        """Whether the tables are equal but for the last bits of floating-point numbers."""
        return not (self.schema or self.columns or any(self.unmatched) or self.rows[0] != self.rows[1])


def compare_homes(first: Path, second: Path) -> Sequence[TableComparison]:
    """Compare the published marts and the batch predictions of two homes.

    Args:
        first: Home of one form.
        second: Home of the other form, made of the same deliveries with the same settings.

    Raises:
        NothingToCompareError: One of the homes has not finished a run.
    """
    for home in (first, second):
        if not (home / "marts" / "CURRENT").exists():
            raise NothingToCompareError(f"No marts are published in {home}. Let its main job finish first.")
    comparisons = list(compare_marts(current_marts(first / "marts"), current_marts(second / "marts"), MARTS))
    later = [home / "marts" / "after_models" for home in (first, second)]
    if any((folder / "CURRENT").exists() for folder in later):
        comparisons += compare_marts(current_marts(later[0]), current_marts(later[1]), MARTS_AFTER_MODELS)
    return [*comparisons, *compare_predictions(first / "predictions", second / "predictions")]


def compare_marts(first: MartsVersion, second: MartsVersion, marts: Sorting) -> Iterator[TableComparison]:
    """Compare two versions mart by mart.

    Args:
        first: One version.
        second: The other version.
        marts: The marts to compare, with the columns by which rows belong together.
    """
    predicted = {column.name for use_case in USE_CASES for column in prediction_columns(use_case)}
    for mart, key in marts.items():
        yield compare_files(mart, [first.path(mart)], [second.path(mart)], key, predicted=predicted)


def compare_predictions(first: Path, second: Path) -> Iterator[TableComparison]:
    """Compare what was predicted of every customer and month, use case by use case.

    Args:
        first: Folder of the predictions of one home.
        second: The same of the other home.
    """
    for use_case in USE_CASES:
        first_files, second_files = (
            sorted(folder.glob(f"batch/{use_case}/*/{PREDICTIONS_FILE}")) for folder in (first, second)
        )
        if first_files or second_files:
            yield compare_files(
                f"predictions of {use_case}",
                first_files,
                second_files,
                (AS_OF_MONTH, CUSTOMER_KEY),
                columns=source_schema(use_case).names,
                predicted={column.name for column in prediction_columns(use_case)},
            )


def compare_files(
    table: str,
    first: Sequence[Path],
    second: Sequence[Path],
    key: Sequence[str],
    *,
    columns: Sequence[str] | None = None,
    predicted: Collection[str] = (),
) -> TableComparison:
    """Compare two tables that lie in Parquet files.

    Rows belong together by their key; rows with the same key, by their order among these.

    Args:
        table: Name of the table.
        first: Files of the first table.
        second: Files of the second table.
        key: Columns by which rows belong together.
        columns: Columns to compare beside the key; by default all.
        predicted: Columns that models predicted, where ``PREDICTION_TOLERANCE`` holds instead of ``MART_TOLERANCE``.
    """
    import duckdb

    if not (first and second):
        counts = (_rows_of_files(first), _rows_of_files(second))
        return TableComparison(table, counts, counts, ("one side has no files",), (), 0.0)
    with closing(duckdb.connect()) as connection:
        connection.execute("set TimeZone = 'UTC'")
        for name, files in (("first_table", first), ("second_table", second)):
            listed = ", ".join("'" + str(file).replace("'", "''") + "'" for file in files)
            connection.execute(
                f"create view {name} as select * from read_parquet([{listed}], union_by_name = true, "
                "hive_partitioning = false)"
            )
        types = [_types(connection, name, columns, key) for name in ("first_table", "second_table")]
        shared = [column for column in types[0] if column in types[1]]
        return _compared(connection, table, types, [column for column in shared if column not in key], key, predicted)


def comparison_report(comparisons: Sequence[TableComparison], names: tuple[str, str] = ("first", "second")) -> str:
    """Return a readable table: one line per table, and below it what differs.

    Args:
        comparisons: What was compared.
        names: What the two sides are called.
    """
    width = max((len(comparison.table) for comparison in comparisons), default=5)
    lines = [f"{'table':{width}}  {'rows':>10}  {'largest difference':>18}  result"]
    for comparison in comparisons:
        result = "equal" if comparison.is_equal else "DIFFERENT"
        lines.append(f"{comparison.table:{width}}  {comparison.rows[0]:>10,}  {comparison.largest:>18.1e}  {result}")
        lines += [f"    {sentence}" for sentence in comparison.schema]
        if comparison.rows[0] != comparison.rows[1]:
            lines.append(f"    rows: {names[0]} {comparison.rows[0]:,}, {names[1]} {comparison.rows[1]:,}")
        for name, count in zip(names, comparison.unmatched, strict=True):
            if count:
                lines.append(f"    {count:,} rows only in {name}")
        for column in comparison.columns:
            size = "" if column.largest is None else f", at most {column.largest:.1e} relative"
            lines.append(f"    {column.column}: {column.rows:,} rows differ{size}, e.g. {column.example}")
    different = sum(not comparison.is_equal for comparison in comparisons)
    lines.append(
        f"{len(comparisons)} tables, all equal."
        if not different
        else f"{different} of {len(comparisons)} tables differ."
    )
    return "\n".join(lines)


def run_command(first: Path, second: Path, say: Callable[[str], None]) -> int:
    """Compare two homes and say what was found; return 0 when they are equal, 1 otherwise."""
    comparisons = compare_homes(first, second)
    say(comparison_report(comparisons, (first.name, second.name) if first.name != second.name else ("first", "second")))
    return 0 if all(comparison.is_equal for comparison in comparisons) else 1


def _rows_of_files(files: Sequence[Path]) -> int:
    import pyarrow.parquet as pq

    return sum(pq.read_metadata(file).num_rows for file in files)


def _types(
    connection: "duckdb.DuckDBPyConnection", table: str, columns: Sequence[str] | None, key: Sequence[str]
) -> Mapping[str, str]:
    described = connection.execute(f"describe {table}").fetchall()
    return {name: kind for name, kind, *_ in described if columns is None or name in (*columns, *key)}


def _compared(
    connection: "duckdb.DuckDBPyConnection",
    table: str,
    types: Sequence[Mapping[str, str]],
    columns: Sequence[str],
    key: Sequence[str],
    predicted: Collection[str],
) -> TableComparison:
    first, second = types
    _join(connection, columns, key, texts=[column for column in columns if first[column] == second[column] == _TEXT])
    is_float = {column: first[column] in _FLOATS and second[column] in _FLOATS for column in columns}
    conditions = {
        column: _differs(column, PREDICTION_TOLERANCE if column in predicted else MART_TOLERANCE)
        if is_float[column]
        else _is_other(column)
        for column in columns
    }
    measures = ["count(first_row)", "count(second_row)", "count(*) filter (first_row is null)"]
    measures += ["count(*) filter (second_row is null)"]
    measures += [f"count(*) filter ({_BOTH} and {condition})" for condition in conditions.values()]
    measures += [f"max(case when {_BOTH} then {_relative(column)} end)" for column in columns if is_float[column]]
    found = connection.execute(f"select {', '.join(measures)} from joined").fetchall()[0]
    counts = dict(zip(columns, found[4:], strict=False))
    sizes = dict(zip([c for c in columns if is_float[c]], found[4 + len(columns) :], strict=True))
    return TableComparison(
        table=table,
        rows=(found[0], found[1]),
        unmatched=(found[3], found[2]),
        schema=tuple(_schema_differences(first, second)),
        columns=tuple(
            ColumnDifference(
                column=column,
                rows=count,
                largest=(sizes[column] if sizes[column] is not None else math.nan) if is_float[column] else None,
                example=_example(connection, column, conditions[column], key),
            )
            for column, count in counts.items()
            if count
        ),
        largest=max((size for size in sizes.values() if size is not None), default=0.0),
    )


def _join(
    connection: "duckdb.DuckDBPyConnection", columns: Sequence[str], key: Sequence[str], *, texts: Collection[str]
) -> None:
    """Make the table ``joined``: every row of both sides, beside the row of the other side that has the same key."""
    values = {
        column: f"regexp_replace(\"{column}\", '{_RELEASE}', '{_RELEASE_WITHOUT_HASH}', 'g')"
        if column in texts
        else f'"{column}"'
        for column in columns
    }
    keys = ", ".join(f'"{column}"' for column in key)
    order = ", ".join(values.values()) or "1"
    for side in ("first", "second"):
        shown = ", ".join(f'{value} as "{side}_{column}"' for column, value in values.items())
        connection.execute(
            f"create temp table {side}_rows as select {keys}, {shown + ', ' if shown else ''}"
            f"row_number() over (partition by {keys} order by {order}) as {side}_row from {side}_table"
        )
    matches = " and ".join(f'l."{column}" is not distinct from r."{column}"' for column in key)
    same_keys = ", ".join(f'coalesce(l."{column}", r."{column}") as "{column}"' for column in key)
    connection.execute(
        f"create temp table joined as select {same_keys}, l.* exclude ({keys}), r.* exclude ({keys}) "
        f"from first_rows l full join second_rows r on {matches} and first_row = second_row"
    )


def _is_other(column: str) -> str:
    return f'"first_{column}" is distinct from "second_{column}"'


def _differs(column: str, tolerance: float) -> str:
    """Return the condition that a number differs: known on one side only, or by more than the tolerance."""
    is_known_once = f'("first_{column}" is null) <> ("second_{column}" is null)'
    return f"({is_known_once} or coalesce({_relative(column)} > {tolerance}, false))"


def _relative(column: str) -> str:
    """Return the difference of two numbers relative to the larger one."""
    first, second = f'"first_{column}"', f'"second_{column}"'
    return (
        f"case when {first} = {second} or greatest(abs({first}), abs({second})) < {_ZERO} then 0.0 "
        f"else cast(abs({first} - {second}) / greatest(abs({first}), abs({second})) as double) end"
    )


def _example(connection: "duckdb.DuckDBPyConnection", column: str, condition: str, key: Sequence[str]) -> str:
    shown = ", ".join(f'"{name}"' for name in key)
    row = connection.execute(
        f'select {shown}, "first_{column}", "second_{column}" from joined where {_BOTH} and {condition} '
        f"order by {shown} limit 1"
    ).fetchall()[0]
    *names, first, second = row
    return f"{' '.join(map(str, names))}: {first} and {second}"


def _schema_differences(first: Mapping[str, str], second: Mapping[str, str]) -> Iterator[str]:
    for column in first:
        if column not in second:
            yield f"column {column} is missing in the second"
        elif first[column] != second[column]:
            yield f"column {column} is {first[column]} in the first and {second[column]} in the second"
    yield from (f"column {column} is missing in the first" for column in second if column not in first)
    if list(first) != list(second) and set(first) == set(second):
        yield "the columns stand in another order"
