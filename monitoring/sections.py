"""What a review says beside the drift of columns: the part it looks at, data quality, importance, residuals.

Records only; ``slices``, ``quality``, ``importance`` and ``residuals`` fill them.
"""

from datetime import date
from typing import Literal

from pydantic import BaseModel, ConfigDict

ImportanceMethod = Literal["explanations", "association"]
ResidualDimension = Literal["all", "customer_class", "district", "segment"]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ReviewSlice(_Record):
    """The part of the predictions that a review on demand looks at.

    Attributes:
        first_month: First as-of month, inclusive.
        last_month: Last as-of month, inclusive; the same for a single month.
        customer_class: Only customers of this class; None for all.
        district: Only customers of this district; None for all.
        segment_id: Only customers who are in this segment in the last month; None for all.
    """

    first_month: date
    last_month: date
    customer_class: str | None = None
    district: str | None = None
    segment_id: str | None = None

    def sentence(self, language: Literal["en", "zh"] = "en") -> str:
        """Return in words whom the review is about."""
        first, last = f"{self.first_month:%Y-%m}", f"{self.last_month:%Y-%m}"
        named = (self.customer_class, self.district, self.segment_id)
        if language == "zh":
            window = first if first == last else f"{first} 至 {last}"
            words = zip(("客户类别", "区域", "分群"), named, strict=True)
            parts = "，".join(f"{word} {value}" for word, value in words if value)
            return f"{window}，{parts or '全部客户'}"
        window = first if first == last else f"{first} to {last}"
        words = zip(("class", "district", "segment"), named, strict=True)
        parts = ", ".join(f"{word} {value}" for word, value in words if value)
        return f"{window}, {parts or 'all customers'}"


class DataQuality(_Record):
    """What was found while the predictions of a month were read, before anything was compared.

    Attributes:
        rows_read: Predictions of the month by this release, duplicates included.
        rows_of_other_releases: Predictions of the month by other releases.
        rows_duplicated: Rows left out because request and customer are those of another row.
        rows_superseded: Earlier decisions about a customer who has a later one.
        duplicated_pct: Share of the rows that were duplicates.
        rows_undated: Rows that belong to no month: an as-of month that is none, or neither month nor readable time.
        rows_zone_assumed: Rows whose month follows from a time without zone, which was read as UTC.
        files_read: Number of files that were read.
        files_unreadable: Names of files that could not be read.
        batch_files_unreadable: How many of these hold batch predictions, which are most of a month.
        columns_vanished: Columns of the schema that no row has.
        columns_appeared: Columns that the schema lacks.
        columns_retyped: Column and the type found, where another was expected.
        columns_silent: Columns that have values in the reference and none in the month.
        columns_constant: Columns with one value in the month that varied in the reference.
        missing_pct: Share of missing values over all features of the month.
        missing_reference_pct: The same in the reference.
        infinite_count: Number of infinite values among the features and predictions of the month.
    """

    rows_read: int
    rows_of_other_releases: int
    rows_duplicated: int
    rows_superseded: int
    duplicated_pct: float
    rows_undated: int = 0
    rows_zone_assumed: int = 0
    files_read: int
    files_unreadable: tuple[str, ...] = ()
    batch_files_unreadable: int = 0
    columns_vanished: tuple[str, ...] = ()
    columns_appeared: tuple[str, ...] = ()
    columns_retyped: dict[str, str] = {}
    columns_silent: tuple[str, ...] = ()
    columns_constant: tuple[str, ...] = ()
    missing_pct: float | None = None
    missing_reference_pct: float | None = None
    infinite_count: int = 0


class ColumnImportance(_Record):
    """How much one column drives the predictions, now and in the reference.

    Attributes:
        column: Name of the feature.
        share_reference: Its share of the importance of all columns in the reference, 0 to 1.
        share_current: The same in the month.
        rank_reference: Its place in the reference, 1 is the most important.
        rank_current: The same in the month.
    """

    column: str
    share_reference: float
    share_current: float
    rank_reference: int
    rank_current: int


class ImportanceShift(_Record):
    """Which columns drive the predictions now, against those at release.

    Attributes:
        method: ``explanations``: mean size of the contributions by which the model itself explains its answers;
            ``association``: how much of the prediction's spread the bins of the column explain, where a model gives no
            contributions or reads more than the logged row.
        columns: All columns, the most important of the month first.
        moved_share: Half the sum of the changes of shares (total variation distance), 0 to 1.
        chance_level: Moved share that two halves of the reference exceed once in a hundred divisions; None where the
            moved share is below the policy's limit anyway.
        rank_correlation: Spearman correlation of both orders.
        rows_reference: Reference rows used.
        rows_current: Rows of the month used.
    """

    method: ImportanceMethod
    columns: tuple[ColumnImportance, ...]
    moved_share: float
    chance_level: float | None = None
    rank_correlation: float
    rows_reference: int
    rows_current: int


class GroupResidual(_Record):
    """How far the predictions about one group of customers were off, once what happened is known.

    Attributes:
        dimension: What the customers are grouped by.
        group: Name of the group; ``all`` for everybody.
        rows: Customer-months with prediction and outcome.
        events: How many of them defaulted.
        predicted: Mean prediction.
        observed: Mean outcome.
        gap: Observed minus predicted.
        gap_lower: Lower end of the interval of the gap; all groups together hold theirs in 95 % of months.
        gap_upper: Upper end.
        gap_at_release: The group's gap in the reference, in rows with a label; None if too few.
        level: ``quiet``, ``drifted`` or ``strong`` by the policy; None if the group is too small to be judged.
    """

    dimension: ResidualDimension
    group: str
    rows: int
    events: int
    predicted: float
    observed: float
    gap: float
    gap_lower: float
    gap_upper: float
    gap_at_release: float | None = None
    level: Literal["quiet", "drifted", "strong"] | None = None


class ConceptDrift(_Record):
    """Whether the relation of features and outcome has changed: residuals by class, district and segment.

    Attributes:
        column: Prediction that is held against the outcome.
        months: As-of months whose outcomes are used.
        rows: Customer-months with prediction and outcome.
        groups: All groups, those farthest off first; ``all`` is one of them.
    """

    column: str
    months: tuple[date, ...]
    rows: int
    groups: tuple[GroupResidual, ...]
