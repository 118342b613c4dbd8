"""The readable scorecard: whole points per bin that a person can add up, with four equal faces.

Python (`WoeScorecard.points`), SQL (`to_sql`), the service (which calls the former) and the printed card (`to_text`,
`to_markdown`, `to_csv`) give the same points for every row, because all of them only compare a value with printed
edges and add whole numbers: no rounding, no order of summation and no library can come between them. The probability
follows from the points alone, so a person with the card can compute it too.

Every value has a bin: a missing one, and one that is outside the limits of the schema or unseen in training, have
bins of their own.
"""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, model_validator

from ml.columns import by_name
from ml.credit_risk.features import CATEGORICAL, NUMERIC, numbers_of_records
from ml.credit_risk.schema import FEATURES
from ml.credit_risk.scorecard import PointScale
from ml.errors import SchemaMismatchError
from ml.evaluation import EvaluationTable, FloatArray

IntArray = npt.NDArray[np.int64]
Columns = Mapping[str, npt.NDArray[Any]]
"""Values by column name: float64 with NaN for missing, or objects with ``None`` for missing."""

_COLUMNS = by_name(FEATURES)


class Bin(BaseModel):
    """One line of the card.

    Attributes:
        kind: ``range``, ``category``, ``missing``, or ``other`` (outside the limits of the schema, or unseen).
        points: Whole points.
        lower: Smallest value of a range; ``None`` when open.
        upper: First value above a range; ``None`` when open.
        category: The category.
        rows: Rows in training.
        default_rate: Their default rate; ``None`` without rows.
        woe: Weight of evidence.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["range", "category", "missing", "other"]
    points: int
    lower: float | None = None
    upper: float | None = None
    category: str | None = None
    rows: int = 0
    default_rate: float | None = None
    woe: float = 0.0


class Characteristic(BaseModel):
    """One column of the card.

    Attributes:
        column: Name in the schema.
        minimum: Smallest value that the schema allows.
        maximum: Largest value that the schema allows.
        bins: Ranges in rising order or categories, then ``missing``, then ``other``.
        information_value: How much the column alone tells about the outcome.
        mean_points: Mean over the rows of the training.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    column: str
    minimum: float | None = None
    maximum: float | None = None
    bins: tuple[Bin, ...] = Field(min_length=3)
    information_value: float = 0.0
    mean_points: float = 0.0

    @model_validator(mode="after")
    def _every_value_has_one_bin(self) -> Self:
        kinds = [bin_.kind for bin_ in self.bins]
        if kinds[-2:] != ["missing", "other"] or len({*kinds[:-2]}) != 1 or kinds[0] in ("missing", "other"):
            raise ValueError(f"{self.column}: needs ranges or categories, then one missing and one other bin")
        ranges = [bin_ for bin_ in self.bins if bin_.kind == "range"]
        inner = [bin_.upper for bin_ in ranges[:-1]]
        if ranges and (
            (ranges[0].lower, ranges[-1].upper) != (None, None)
            or inner != [bin_.lower for bin_ in ranges[1:]]
            or any(edge is None for edge in inner)
            or (np.diff(np.array(inner, dtype=np.float64)) <= 0).any()
        ):
            raise ValueError(f"{self.column}: the ranges must follow each other without gap, open at both ends")
        return self

    @property
    def is_numeric(self) -> bool:
        """Whether the bins are ranges."""
        return self.bins[0].kind == "range"

    @property
    def edges(self) -> tuple[float, ...]:
        """Edges between the ranges."""
        return tuple(bin_.lower for bin_ in self.bins if bin_.kind == "range" and bin_.lower is not None)

    @property
    def best_points(self) -> int:
        """Points of the best bin that holds known values."""
        return max(bin_.points for bin_ in self.bins[:-2])

    def starts(self) -> FloatArray:
        """Return the smallest number of each stretch of numbers that share a bin, from minus infinity to NaN."""
        limits = {*self.edges}
        if self.minimum is not None:
            limits.add(self.minimum)
        if self.maximum is not None:
            limits.add(math.nextafter(self.maximum, math.inf))
        return np.array([-math.inf, *sorted(limits), math.nan])

    def positions(self, values: npt.NDArray[Any]) -> IntArray:
        """Return the position of each value's bin."""
        missing, other = len(self.bins) - 2, len(self.bins) - 1
        if self.is_numeric:
            found = np.searchsorted(self.edges, values, side="right")
            outside = np.zeros(len(values), dtype=bool)
            if self.minimum is not None:
                outside |= values < self.minimum
            if self.maximum is not None:
                outside |= values > self.maximum
            return np.where(np.isnan(values), missing, np.where(outside, other, found)).astype(np.int64)
        place = {bin_.category: position for position, bin_ in enumerate(self.bins[:-2])}
        return np.array([missing if value is None else place.get(value, other) for value in values], dtype=np.int64)


class WoeScorecard(BaseModel):
    """A scorecard of whole points.

    Attributes:
        start_points: Points before anything is known.
        base_points: Points at the base odds.
        base_odds: Good to bad odds at the base points.
        points_to_double_odds: Points by which the odds double.
        characteristics: Columns with their points.
        rows: Rows of the training.
        defaults: Defaults among them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    start_points: int
    base_points: float
    base_odds: float
    points_to_double_odds: float
    characteristics: tuple[Characteristic, ...]
    rows: int = 0
    defaults: int = 0

    @property
    def scale(self) -> PointScale:
        """The scale of the points."""
        return PointScale(self.base_points, self.base_odds, self.points_to_double_odds)

    def points(self, columns: Columns) -> IntArray:
        """Return the points of each row.

        Args:
            columns: All columns of the card, all of one length; see `columns_of_frame` and `columns_of_records`.
        """
        parts = self.parts(columns)
        return np.asarray(parts.sum(axis=1) + self.start_points, dtype=np.int64)

    def parts(self, columns: Columns) -> IntArray:
        """Return the points of each row (rows) per characteristic (columns)."""
        count = len(next(iter(columns.values())))
        parts = np.zeros((count, len(self.characteristics)), dtype=np.int64)
        for place, characteristic in enumerate(self.characteristics):
            points = np.array([bin_.points for bin_ in characteristic.bins], dtype=np.int64)
            parts[:, place] = points[characteristic.positions(columns[characteristic.column])]
        return parts

    def effects(self, parts: IntArray) -> FloatArray:
        """Return what each characteristic adds to the log odds of a default, against the mean row of the training."""
        mean = np.array([characteristic.mean_points for characteristic in self.characteristics])
        return np.asarray((mean - parts) / self.scale.factor, dtype=np.float64)

    def probabilities(self, points: IntArray) -> FloatArray:
        """Return the probability of default that belongs to the points: ``1 / (1 + odds)``."""
        asked = points.tolist()
        scale = self.scale
        offset, factor = scale.offset, scale.factor
        known = {value: _probability(value, offset, factor) for value in set(asked)}
        return np.array([known[value] for value in asked], dtype=np.float64)

    def probability(self, points: int) -> float:
        """Return the probability of default at these points."""
        scale = self.scale
        return _probability(points, scale.offset, scale.factor)

    def to_sql(self, relation: str, keys: Sequence[str] = ("customer_key", "as_of_month")) -> str:
        """Return a query that gives ``scorecard_points`` for each row of a relation.

        Standard SQL but for ``isnan``, which DuckDB and Spark share.

        Args:
            relation: Table, view or subquery with the columns of the card.
            keys: Columns to carry along.
        """
        terms = [str(self.start_points), *(_sql_case(characteristic) for characteristic in self.characteristics)]
        total = "\n    + ".join(terms)
        selected = "".join(f"    {key},\n" for key in keys)
        return f"select\n{selected}    {total} as scorecard_points\nfrom {relation}\n"

    def lines(self) -> list[tuple[str, str, str, str, int]]:
        """Return the card line by line: column, what it means, unit, value, points; the start comes first."""
        found = [("", "Start", "", "every customer", self.start_points)]
        for characteristic in self.characteristics:
            column = _COLUMNS.get(characteristic.column)
            title, unit = (column.description, column.unit) if column else (characteristic.column, "")
            found += [
                (characteristic.column, title, unit, _bin_text(bin_, characteristic), bin_.points)
                for bin_ in characteristic.bins
            ]
        return found

    def to_csv(self) -> str:
        """Return the card as CSV with the limits of every bin, for a spreadsheet or another program."""
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator="\n")
        writer.writerow(("column", "kind", "at_least", "below", "category", "legal_from", "legal_to", "points"))
        writer.writerow(("", "start", "", "", "", "", "", self.start_points))
        for one in self.characteristics:
            limits = (_optional(one.minimum), _optional(one.maximum))
            for bin_ in one.bins:
                edges = (_optional(bin_.lower), _optional(bin_.upper))
                writer.writerow((one.column, bin_.kind, *edges, bin_.category or "", *limits, bin_.points))
        return buffer.getvalue()

    def to_markdown(self) -> str:
        """Return the card as a Markdown table with how to read it."""
        rows = [("Characteristic", "Value", "Points"), ("---", "---", "---:")]
        before = None
        for column, title, unit, value, points in self.lines():
            heading = "" if column == before else title + (f" ({unit})" if unit else "")
            rows.append((heading, value, f"{points:+d}" if column else str(points)))
            before = column
        table = "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows)
        return f"{table}\n\n{self.how_to_read()}\n"

    def to_text(self) -> str:
        """Return the card as plain text to print."""
        lines = ["SCORECARD", "", f"{'Start':<58}{self.start_points:>6}"]
        before = ""
        for column, title, unit, value, points in self.lines()[1:]:
            if column != before:
                lines += ["", title + (f" ({unit})" if unit else "")]
                before = column
            lines.append(f"    {value:<54}{points:>+6d}")
        return "\n".join([*lines, "", self.how_to_read(), ""])

    def how_to_read(self) -> str:
        """Say how points are added up and what they mean."""
        scale = self.scale
        return (
            "Add the points of the one line that fits in each block to the start. "
            f"{self.base_points:g} points are odds of {self.base_odds:g} good to 1 bad, and every "
            f"{self.points_to_double_odds:g} points more double them: probability of default = "
            f"1 / (1 + {self.base_odds:g} x 2 ^ ((points - {self.base_points:g}) / {self.points_to_double_odds:g})). "
            f"{round(scale.offset)} points are even odds."
        )

    def table(self) -> EvaluationTable:
        """Return the card as a table of the model card, with what each line was learned from."""
        bins = [bin_ for characteristic in self.characteristics for bin_ in characteristic.bins]
        rows: list[tuple[str | int | float | None, ...]] = [
            (
                "Start",
                "",
                "every customer",
                self.start_points,
                self.rows,
                self.defaults / self.rows if self.rows else None,
            )
        ]
        before = ""
        for (column, title, unit, value, points), bin_ in zip(self.lines()[1:], bins, strict=True):
            heading = ("", "") if column == before else (title, unit)
            rows.append((*heading, value, points, bin_.rows, bin_.default_rate))
            before = column
        return EvaluationTable(
            name="scorecard",
            title="The scorecard",
            title_zh="评分卡",
            columns=("characteristic", "unit", "value", "points", "snapshots", "default rate"),
            rows=tuple(rows),
            note=self.how_to_read(),
        )


class PointTables:
    """The points of a card as tables to look up: the same as `WoeScorecard.parts`, at a fifth of the time for one row.

    Args:
        card: The card.
    """

    def __init__(self, card: WoeScorecard) -> None:
        self._mean_points = np.array([one.mean_points for one in card.characteristics])
        self._factor = card.scale.factor
        self._numeric: list[tuple[int, str, FloatArray, IntArray]] = []
        self._categorical: list[tuple[int, Characteristic, IntArray]] = []
        for place, one in enumerate(card.characteristics):
            points = np.array([bin_.points for bin_ in one.bins], dtype=np.int64)
            if one.is_numeric:
                starts = one.starts()
                self._numeric.append((place, one.column, starts[1:], points[one.positions(starts)]))
            else:
                self._categorical.append((place, one, points))

    def parts(self, columns: Columns) -> IntArray:
        """Return the points of each row (rows) per characteristic (columns)."""
        parts = np.empty((len(next(iter(columns.values()))), len(self._mean_points)), dtype=np.int64)
        for place, column, starts, points in self._numeric:
            parts[:, place] = points[starts.searchsorted(columns[column], side="right")]
        for place, one, points in self._categorical:
            parts[:, place] = points[one.positions(columns[one.column])]
        return parts

    def effects(self, parts: IntArray) -> FloatArray:
        """Return what `WoeScorecard.effects` returns."""
        return np.asarray((self._mean_points - parts) / self._factor, dtype=np.float64)


def columns_of_frame(features: pd.DataFrame) -> dict[str, npt.NDArray[Any]]:
    """Return the feature columns of a frame as a scorecard takes them.

    Raises:
        SchemaMismatchError: If a column is missing or a value is not a number.
    """
    columns: dict[str, npt.NDArray[Any]] = {}
    for column in FEATURES:
        if column.name not in features.columns:
            raise SchemaMismatchError(f"credit-risk features lack the column {column.name}")
        values = features[column.name]
        if column.kind == "numeric":
            try:
                columns[column.name] = values.to_numpy(dtype=np.float64, na_value=np.nan)
            except (TypeError, ValueError) as error:
                raise SchemaMismatchError(
                    f"column {column.name} holds a value that is not a number: {error}"
                ) from error
        else:
            text = values.to_numpy(dtype=object, copy=True)
            text[values.isna().to_numpy()] = None
            columns[column.name] = text
    return columns


def columns_of_records(
    records: Sequence[Mapping[str, Any]], numbers: npt.NDArray[np.float64] | None = None
) -> dict[str, npt.NDArray[Any]]:
    """Return the feature columns of mappings, equal to `columns_of_frame` of the same rows.

    Args:
        records: The rows.
        numbers: What `features.numbers_of_records` gives for them, when it is known already.

    Raises:
        SchemaMismatchError: If a column is missing or a value is not a number.
    """
    numbers = numbers_of_records(records) if numbers is None else numbers
    columns: dict[str, npt.NDArray[Any]] = dict(zip(NUMERIC, numbers.T, strict=True))
    for column in CATEGORICAL:
        try:
            values = [record[column.name] for record in records]
        except KeyError as error:
            raise SchemaMismatchError(f"credit-risk features lack the column {column.name}") from error
        columns[column.name] = np.array([None if pd.isna(value) else value for value in values], dtype=object)
    return columns


def _probability(points: int, offset: float, factor: float) -> float:
    return 1 / (1 + math.exp((points - offset) / factor))


def _sql_case(characteristic: Characteristic) -> str:
    column = characteristic.column
    *known, missing, other = characteristic.bins
    if not characteristic.is_numeric:
        whens = "".join(f" when {column} = {_sql_text(bin_.category or '')} then {bin_.points}" for bin_ in known)
        return f"case when {column} is null then {missing.points}{whens} else {other.points} end"
    value = f"cast({column} as double)"
    limits = [
        f"{value} {sign} {_sql_number(limit)}"
        for sign, limit in (("<", characteristic.minimum), (">", characteristic.maximum))
        if limit is not None
    ]
    outside = f" when {' or '.join(limits)} then {other.points}" if limits else ""
    whens = "".join(
        f" when {value} < {_sql_number(bin_.upper)} then {bin_.points}" for bin_ in known if bin_.upper is not None
    )
    empty = f"{column} is null or isnan({value})"
    return f"case when {empty} then {missing.points}{outside}{whens} else {known[-1].points} end"


def _sql_number(value: float) -> str:
    """Return a literal of type double: without an exponent, DuckDB would take it for a decimal."""
    text = repr(float(value))
    return text if "e" in text else f"{text}e0"


def _sql_text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _bin_text(bin_: Bin, characteristic: Characteristic) -> str:
    if bin_.kind == "missing":
        return "not known"
    if bin_.kind == "other":
        if not characteristic.is_numeric:
            return "any other"
        limits = (
            ("below", characteristic.minimum),
            ("above", characteristic.maximum),
        )
        told = " or ".join(f"{word} {limit:,.12g}" for word, limit in limits if limit is not None)
        return f"not a legal value ({told})" if told else "not a legal value (there is none)"
    if bin_.kind == "category":
        return bin_.category or ""
    if bin_.lower is None:
        return f"below {bin_.upper:,.12g}" if bin_.upper is not None else "any value"
    return f"{bin_.lower:,.12g} or more" if bin_.upper is None else f"{bin_.lower:,.12g} to below {bin_.upper:,.12g}"


def _optional(value: float | None) -> str:
    return "" if value is None else repr(value)
