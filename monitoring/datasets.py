"""The two frames of a review: what was predicted for a month, and the released model's reference.

Frames come from Parquet by lazy scans and are bounded by a seeded sample, so that their cost does not grow with the
log. Everything odd about the files (torn, of another schema, duplicated) is counted here and judged elsewhere.
"""

import importlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from ml.columns import AS_OF_MONTH, CUSTOMER_KEY, USE_CASES, Column, ColumnKind
from ml.credit_risk.rating import HISTORY_COLUMNS
from ml.errors import KilowiseError
from monitoring.policy import ReferenceRule, SampleRule, SeasonRule

if TYPE_CHECKING:
    import polars as pl

CONTEXT_COLUMNS: dict[str, str] = {
    "request_id": "text",
    "decided_at": "time",
    "use_case": "text",
    "release": "text",
    "model_version": "text",
    CUSTOMER_KEY: "text",
    "source": "text",
    AS_OF_MONTH: "month",
    "district": "text",
}
"""Columns of a prediction row beside features and predictions, and how each is read."""
KEY_COLUMNS = frozenset(
    {
        "as_of_at",
        "policy_version",
        "decision_id",
        "arm",
        "error",
        "scoring_ms",
        "sequence",
        "row_digest",
        "tables",
        "features_from",
        "raw",
        "life_cycle_stage_in_force",
        *HISTORY_COLUMNS,
    }
)
"""Further columns that feature rows and answers bring along and that no review reads."""


class ReferenceUnreadableError(KilowiseError):
    """The reference sample of the released bundle is missing or broken."""


@dataclass(frozen=True)
class CurrentRows:
    """Prediction rows of one month or window, and what was found while they were read.

    Attributes:
        frame: At most the sample's size of rows: one per customer and month, the latest decision, and every row without
            customer.
        rows_available: Rows of the months and release before sampling, duplicates included.
        rows_of_other_releases: Rows of the months that another release predicted.
        rows_drawn: Rows that were drawn, before duplicates and earlier decisions were dropped.
        rows_duplicated: Of these, rows dropped because request and customer are those of another row; of rows without
            customer those that repeat another row in everything.
        rows_superseded: Of these, rows dropped because the same customer has a later decision.
        rows_undated: Rows that belong to no month: an as-of month that is none, or neither month nor readable time.
        rows_zone_assumed: Rows of the months whose month follows from a time without zone, read as UTC.
        files_read: Number of files that were read.
        files_unreadable: Names of files that could not be read.
        batch_files_unreadable: How many of these hold batch predictions.
        columns_absent: Columns of the schema that no file has.
        columns_unknown: Columns of the files that the schema lacks.
        columns_retyped: Column and the type found, where another was expected.
    """

    frame: pd.DataFrame
    rows_available: int
    rows_of_other_releases: int
    rows_drawn: int
    rows_duplicated: int
    rows_superseded: int
    rows_undated: int
    rows_zone_assumed: int
    files_read: int
    files_unreadable: tuple[str, ...]
    batch_files_unreadable: int
    columns_absent: tuple[str, ...]
    columns_unknown: tuple[str, ...]
    columns_retyped: dict[str, str]


@dataclass(frozen=True)
class ReferenceRows:
    """The released model's reference sample.

    Attributes:
        frame: Its rows, at most the sample's size.
        columns_absent: Columns of today's schema that it lacks because it was written under an older one.
    """

    frame: pd.DataFrame
    columns_absent: tuple[str, ...]


def schema_columns(use_case: str) -> tuple[tuple[Column, ...], tuple[Column, ...]]:
    """Return the features and the predictions of a use case, as ``ml`` declares them."""
    if use_case not in USE_CASES:
        raise KilowiseError(f"unknown use case {use_case!r}; known are {', '.join(USE_CASES)}")
    schema = importlib.import_module(f"ml.{use_case}.schema")
    return schema.FEATURES, schema.PREDICTIONS


def load_current(
    use_case: str,
    month: date,
    *,
    predictions_dir: Path,
    log_dir: Path,
    release: str,
    sample: SampleRule,
    first_month: date | None = None,
    only: "pl.Expr | None" = None,
) -> CurrentRows:
    """Read what one release predicted for a month or a window, from batch predictions and the online log.

    Args:
        use_case: Use case of the release.
        month: First day of the as-of month. A logged row without as-of month, such as one from inline features, counts
            in the month in which it was decided, in UTC.
        predictions_dir: Folder of the use case's batch predictions.
        log_dir: Folder of the use case's online log; it may be missing.
        release: Name of the release.
        sample: Size and seed of the sample.
        first_month: First day of the first month of a window that ends with ``month``; None for one month.
        only: Condition on the rows, for a part of the customers.
    """
    import polars as pl

    wanted = _Wanted(first_month or month, month, release, sample, only)
    batch_paths = {
        folder_month: sorted((predictions_dir / f"as_of_month={folder_month.isoformat()}").glob("*.parquet"))
        for folder_month in months_between(wanted.first_month, month)
    }
    log_paths = [
        path
        for folder in sorted(log_dir.glob("date=*"))
        if folder.name.removeprefix("date=") >= wanted.first_month.isoformat()
        for path in sorted(folder.glob("*.parquet"))
    ]
    columns = _kinds(use_case)
    try:
        return _read_current(wanted, columns, batch_paths, log_paths, broken=[])
    except (pl.exceptions.ComputeError, OSError):
        # A footer can be whole while a page is not; finding the file costs a full read, so only after a failure.
        paths = [path for paths in batch_paths.values() for path in paths]
        broken = [path for path in (*paths, *log_paths) if not _is_whole(path)]
        if not broken:
            raise
        return _read_current(wanted, columns, batch_paths, log_paths, broken)


def months_between(first: date, last: date) -> list[date]:
    """Return the first days of all months of a window, both ends included."""
    count = 12 * (last.year - first.year) + last.month - first.month + 1
    places = [first.month - 1 + number for number in range(count)]
    return [date(first.year + place // 12, place % 12 + 1, 1) for place in places]


@dataclass(frozen=True)
class _Wanted:
    """Which rows are read, and how many of them are drawn."""

    first_month: date
    last_month: date
    release: str
    sample: SampleRule
    only: "pl.Expr | None"


def _read_current(
    wanted: _Wanted,
    columns: dict[str, ColumnKind],
    batch_paths: Mapping[date, Sequence[Path]],
    log_paths: Sequence[Path],
    broken: Sequence[Path],
) -> CurrentRows:
    import polars as pl

    scan = _Scan(columns, broken)
    as_of = pl.col(AS_OF_MONTH)
    batch = [
        # A batch is a batch of its folder's month; a row of it that says another month belongs nowhere.
        frame.with_columns(_month=pl.when(as_of.is_null() | (as_of == month)).then(pl.lit(month)))
        for month, paths in batch_paths.items()
        for frame in scan.add(paths)
    ]
    batch_files_unreadable = len(scan.unreadable)
    decided_month = pl.col("decided_at").cast(pl.Date).dt.truncate("1mo")
    online = [
        frame.with_columns(_month=pl.when(as_of.is_null()).then(decided_month).when(as_of.dt.day() == 1).then(as_of))
        for frame in scan.add(log_paths)
    ]
    if not (batch or online):
        return _no_rows(scan, batch_files_unreadable)
    rows = pl.concat([*batch, *online], how="vertical")
    if wanted.only is not None:
        rows = rows.filter(wanted.only)
    # A row's place in the sample follows from its customer, so that all rows of one customer are drawn together.
    unit = pl.coalesce(pl.col(CUSTOMER_KEY), pl.col("request_id"), pl.lit(""))
    if wanted.first_month < wanted.last_month:
        unit = pl.concat_str(unit, pl.col("_month").cast(pl.String))
    rows = rows.with_columns(_place=unit.hash(seed=wanted.sample.seed))
    in_window = pl.col("_month").is_between(wanted.first_month, wanted.last_month).fill_null(False)
    is_own = pl.col("release").eq_missing(pl.lit(wanted.release)) & in_window
    counts = (
        rows.select(
            own=is_own.sum(),
            total=in_window.sum(),
            undated=pl.col("_month").is_null().sum(),
            zone_assumed=(is_own & as_of.is_null() & pl.col("_zone_assumed")).sum(),
            units=pl.col("_place").filter(is_own).approx_n_unique().fill_null(0),
        )
        .collect(engine="streaming")
        .row(0, named=True)
    )
    own = rows.filter(is_own)
    if counts["units"] > wanted.sample.rows:
        # A tenth more than needed, so that the sample is full in spite of an approximate count.
        own = own.filter(pl.col("_place") <= int(min(1.0, 1.1 * wanted.sample.rows / counts["units"]) * (2**64 - 1)))
    drawn = own.sort("_place", "decided_at", "request_id", nulls_last=True).collect(engine="streaming")
    is_named = pl.col(CUSTOMER_KEY).is_not_null()
    # One request can hold many rows that name nobody; of these only the same row again is a duplicate.
    is_last = pl.struct("request_id", CUSTOMER_KEY).is_last_distinct()
    once = drawn.filter(pl.when(is_named).then(is_last).otherwise(pl.struct(pl.all()).is_last_distinct()))
    is_latest = pl.struct(CUSTOMER_KEY, "_month").is_last_distinct()
    latest = once.filter(~is_named | is_latest)
    # A column without values has whatever type its writer gives to nothing.
    retyped = {name: kind for name, kind in scan.retyped.items() if name in scan.lost or latest[name].count()}
    return CurrentRows(
        frame=_to_pandas(latest.head(wanted.sample.rows).drop("_place", "_month", "_zone_assumed")),
        rows_available=counts["own"],
        rows_of_other_releases=counts["total"] - counts["own"],
        rows_drawn=len(drawn),
        rows_duplicated=len(drawn) - len(once),
        rows_superseded=len(once) - len(latest),
        rows_undated=counts["undated"],
        rows_zone_assumed=counts["zone_assumed"],
        files_read=scan.files_read,
        files_unreadable=tuple(scan.unreadable),
        batch_files_unreadable=batch_files_unreadable,
        columns_absent=tuple(name for name in columns if name not in scan.seen),
        columns_unknown=tuple(sorted(scan.seen - set(columns) - set(CONTEXT_COLUMNS) - KEY_COLUMNS)),
        columns_retyped=retyped,
    )


def _is_whole(path: Path) -> bool:
    import polars as pl

    try:
        pl.read_parquet(path)
    except (pl.exceptions.ComputeError, OSError):
        return False
    return True


def load_reference(
    use_case: str, bundle_dir: Path, sample: SampleRule, rule: ReferenceRule, only: "pl.Expr | None" = None
) -> ReferenceRows:
    """Read the reference sample of a bundle.

    Args:
        use_case: Use case of the bundle.
        bundle_dir: Folder of the bundle.
        sample: Size and seed of the sample.
        rule: Which months of it are compared with; rows without as-of month are always kept.
        only: Condition on the rows, for a part of the customers.

    Raises:
        ReferenceUnreadableError: If it is missing or broken; without it nothing can be judged.
    """
    import polars as pl

    path = bundle_dir / "reference.parquet"
    if not path.exists():
        raise ReferenceUnreadableError(f"{path}: the released bundle has no reference sample; train and release again")
    columns = _kinds(use_case)
    scan = _Scan(columns)
    try:
        rows = pl.concat(scan.add([path])).collect()
    except (pl.exceptions.ComputeError, ValueError, OSError) as error:
        raise ReferenceUnreadableError(f"{path}: not readable as Parquet; restore the bundle: {error}") from error
    oldest = pl.col(AS_OF_MONTH).max().dt.offset_by(f"-{rule.latest_months - 1}mo")
    rows = rows.filter(pl.col(AS_OF_MONTH).is_null() | (pl.col(AS_OF_MONTH) >= oldest))
    if only is not None:
        rows = rows.filter(only)
    if len(rows) > sample.rows:
        rows = rows.sample(sample.rows, seed=sample.seed)
    return ReferenceRows(
        frame=_to_pandas(rows.drop("_zone_assumed")),
        columns_absent=tuple(name for name in columns if name not in scan.seen),
    )


def same_season(reference: pd.DataFrame, month: date, season: SeasonRule) -> "pd.Series[bool]":
    """Tell which reference rows are of the same season as a month.

    Args:
        reference: Reference rows with their as-of month.
        month: First day of the month under review.
        season: How many neighbouring calendar months count as same.

    Returns:
        True for rows whose calendar month is at most ``months_around`` away, around the turn of the year too.
    """
    calendar_month = pd.to_datetime(reference[AS_OF_MONTH]).dt.month
    distance = (calendar_month - month.month).abs()
    return pd.concat([distance, 12 - distance], axis=1).min(axis=1).le(season.months_around) & calendar_month.notna()


def data_definition(columns: Iterable[Column]) -> Any:
    """Return Evidently's description of the columns, by ``ml``'s schema and not by guessing."""
    from evidently import DataDefinition

    listed = list(columns)
    return DataDefinition(
        numerical_columns=[column.name for column in listed if column.kind == "numeric"],
        categorical_columns=[column.name for column in listed if column.kind != "numeric"],
    )


class _Scan:
    """Lazy frames of one form from files of any form, and a record of what did not fit."""

    def __init__(self, columns: dict[str, ColumnKind], broken: Sequence[Path] = ()) -> None:
        self.columns = columns
        self.broken = set(broken)
        self.files_read = 0
        self.unreadable: list[str] = []
        self.seen: set[str] = set()
        self.retyped: dict[str, str] = {}
        self.lost: set[str] = set()

    def add(self, paths: Sequence[Path]) -> "list[pl.LazyFrame]":
        """Return one lazy frame per group of files with the same schema."""
        import polars as pl

        groups: dict[tuple[tuple[str, str], ...], tuple[dict[str, pl.DataType], list[Path]]] = {}
        for path in paths:
            try:
                schema = None if path in self.broken else pl.read_parquet_schema(path)
            except (pl.exceptions.ComputeError, OSError):
                schema = None
            if schema is None:
                self.unreadable.append(path.name)
                continue
            key = tuple((name, str(kind)) for name, kind in schema.items())
            groups.setdefault(key, (dict(schema), []))[1].append(path)
            self.files_read += 1
        return [
            pl.scan_parquet(members, hive_partitioning=False).select(self._expressions(schema))
            for schema, members in groups.values()
        ]

    def _expressions(self, schema: "dict[str, pl.DataType]") -> "list[pl.Expr]":
        self.seen.update(schema)
        context = [_context(name, form, schema.get(name)) for name, form in CONTEXT_COLUMNS.items()]
        columns = [self._column(name, kind, schema.get(name)).alias(name) for name, kind in self.columns.items()]
        return [*context, _is_zone_assumed(schema.get("decided_at")).alias("_zone_assumed"), *columns]

    def _column(self, name: str, kind: ColumnKind, found: "pl.DataType | None") -> "pl.Expr":
        """Return a column as numbers or text; values of a type that cannot be read as such are lost."""
        import polars as pl

        target = pl.Float64() if kind == "numeric" else pl.String()
        if found is None or found == pl.Null:
            return pl.lit(None, dtype=target)
        is_readable = found.is_numeric() or found in (pl.Boolean, pl.String, pl.Categorical, pl.Enum)
        if not _has_kind(found, kind):
            self.retyped[name] = str(found)
            if not is_readable or (kind == "numeric" and not found.is_numeric()):
                self.lost.add(name)
        return pl.col(name).cast(target, strict=False) if is_readable else pl.lit(None, dtype=target)


def _has_kind(found: "pl.DataType", kind: ColumnKind) -> bool:
    import polars as pl

    if kind == "numeric":
        return found.is_numeric() or found == pl.Boolean
    if kind == "boolean":
        return found == pl.Boolean
    return found in (pl.String, pl.Categorical, pl.Enum)


def _context(name: str, form: str, found: "pl.DataType | None") -> "pl.Expr":
    """Return a context column as text, month or moment in UTC; None where what was found cannot be read as such."""
    import polars as pl

    column = pl.col(name)
    if form == "text":
        if found is None or found.is_nested() or found.is_temporal() or found in (pl.Binary, pl.Null):
            return pl.lit(None, dtype=pl.String).alias(name)
        text = column.cast(pl.String)
        return pl.when(text != "").then(text).alias(name)
    if form == "month":
        if found == pl.String:
            return column.str.slice(0, 10).str.to_date("%Y-%m-%d", strict=False)
        if isinstance(found, pl.Datetime) and found.time_zone is not None:
            # The day that its writer's clock showed: midnight of the first in Shanghai is the month before in UTC.
            return column.dt.replace_time_zone(None).cast(pl.Date)
        return column.cast(pl.Date) if found in (pl.Date, pl.Datetime) else pl.lit(None, dtype=pl.Date).alias(name)
    if found == pl.String:
        return column.str.to_datetime(time_unit="us", time_zone="UTC", strict=False).dt.replace_time_zone(None)
    if isinstance(found, pl.Datetime) and found.time_zone is not None:
        column = column.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    if found in (pl.Date, pl.Datetime):
        return column.cast(pl.Datetime("us"), strict=False)
    return pl.lit(None, dtype=pl.Datetime("us")).alias(name)


def _is_zone_assumed(found: "pl.DataType | None") -> "pl.Expr":
    """Tell whether the time of a decision says no zone."""
    import polars as pl

    if found == pl.String:
        return ~pl.col("decided_at").str.contains(r"(Z|[+-]\d{2}:?\d{2})$")
    return pl.lit(isinstance(found, pl.Datetime) and found.time_zone is None)


def _kinds(use_case: str) -> dict[str, ColumnKind]:
    features, predictions = schema_columns(use_case)
    return {column.name: column.kind for column in (*features, *predictions)}


def _no_rows(scan: _Scan, batch_files_unreadable: int) -> CurrentRows:
    return CurrentRows(
        frame=pd.DataFrame(columns=[*CONTEXT_COLUMNS, *scan.columns]),
        rows_available=0,
        rows_of_other_releases=0,
        rows_drawn=0,
        rows_duplicated=0,
        rows_superseded=0,
        rows_undated=0,
        rows_zone_assumed=0,
        files_read=0,
        files_unreadable=tuple(scan.unreadable),
        batch_files_unreadable=batch_files_unreadable,
        columns_absent=(),
        columns_unknown=(),
        columns_retyped={},
    )


def _to_pandas(frame: "pl.DataFrame") -> pd.DataFrame:
    # polars gives categories as objects with None, which is what is wanted; a column of nothing but None included.
    return frame.to_pandas()
