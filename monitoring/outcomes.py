"""What became of predictions once the world answered: the records that stand in a verdict and in ``outcomes.json``.

Labels come late: a default is known half a year after the score, a saving when the bills are there. Until then stands
an estimate, and afterwards the record of how that estimate turned out. One file per use case,
``reports/<use case>/outcomes.json``, keeps what was said and what happened, month by month. This module holds the data
and its file only; what fills it is in ``estimates``, ``vintages``, ``tariff_outcomes`` and ``segment_stability``.
"""

import math
from collections.abc import Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from ml.errors import KilowiseError

FILE_NAME = "outcomes.json"
Figure = Literal["default_rate", "auc", "brier"]
_ONCE_IN_A_THOUSAND = 0.001
# Standard normal value that chance exceeds so seldom.
_Z_999 = 3.0902
FIGURES: tuple[Figure, ...] = ("default_rate", "auc", "brier")


class OutcomesError(KilowiseError):
    """The record of outcomes of a use case cannot be read."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


def independent_windows(months: Sequence[date], horizon_months: int) -> float:
    """Return how many outcome windows without overlap neighbouring months are worth.

    Args:
        months: As-of months.
        horizon_months: Length of the outcome window of each.
    """
    if not months:
        return 0.0
    span = (max(months).year - min(months).year) * 12 + max(months).month - min(months).month
    return min(float(len(months)), 1 + span / max(horizon_months, 1))


class Estimated(_Record):
    """A figure with the interval that is stated for it.

    Attributes:
        value: The figure.
        lower: Lower end of the interval.
        upper: Upper end of the interval.
    """

    value: float
    lower: float
    upper: float

    def holds(self, realised: float) -> bool:
        """Tell whether what came lies inside the interval, its ends included."""
        return self.lower <= realised <= self.upper


class PerformanceEstimate(_Record):
    """How well the predictions of one month will come true, said before their outcomes are known.

    Attributes:
        rows: Customers whose outcome will count.
        coverage_pct: Share of months in which the realised figure should lie inside its interval.
        default_rate: Share of the customers who will default.
        auc: Area under the ROC curve that their outcomes will give.
        brier: Mean squared difference of probability and outcome that they will give.
        independent_windows: Outcome windows, counted without overlap, of earlier months behind the interval's width;
            0 while only the policy's assumption stands behind it.
        default_rate_at_release: Default rate of the release's hold-out; None if it has none.
        default_rate_release_upper: Upper end of its 95 % interval; None if it has none.
        auc_at_release: AUC on the release's hold-out; None if it has none.
        auc_release_lower: Lower end of its 95 % interval; None if it has none.
    """

    rows: int
    coverage_pct: float
    default_rate: Estimated
    auc: Estimated | None
    brier: Estimated
    independent_windows: float
    default_rate_at_release: float | None = None
    default_rate_release_upper: float | None = None
    auc_at_release: float | None = None
    auc_release_lower: float | None = None


class RealisedPerformance(_Record):
    """What the outcomes of one month gave, once all of them were known.

    Attributes:
        rows: Customers with prediction and outcome.
        events: How many of them defaulted.
        default_rate: Their share.
        auc: Area under the ROC curve; None where nobody or everybody defaulted.
        brier: Mean squared difference of probability and outcome.
        shift: Log-odds by which outcomes lay above the predictions (Cox's recalibration, its intercept).
        slope: Spread of the true log-odds over that of the predicted ones (Cox's recalibration, its slope); None where
            too few defaulted to tell.
    """

    rows: int
    events: int
    default_rate: float
    auc: float | None
    brier: float
    shift: float
    slope: float | None


class EstimateEntry(_Record):
    """An estimate and how it turned out.

    Attributes:
        month: As-of month of the predictions.
        release: Release that predicted.
        estimate: What was said.
        realised: What came; None until the outcomes have matured.
    """

    month: date
    release: str
    estimate: PerformanceEstimate
    realised: RealisedPerformance | None = None

    def is_inside(self, figure: Figure) -> bool | None:
        """Tell whether the realised figure lies in the stated interval; None while one of both is not known."""
        stated: Estimated | None = getattr(self.estimate, figure)
        came: float | None = getattr(self.realised, figure) if self.realised else None
        return None if stated is None or came is None else stated.holds(came)


class EstimateRecord(_Record):
    """How the estimates of earlier months turned out.

    Attributes:
        months: Months whose outcomes have become known since an estimate was made.
        stated_pct: Share of them that should lie inside.
        default_rate_inside: Months whose default rate lay inside the stated interval.
        auc_inside: The same for the AUC.
        brier_inside: The same for the Brier score.
        independent_windows: Outcome windows without overlap that these months are worth; None in records of before it
            was told, whose months count one by one.
    """

    months: int
    stated_pct: float
    default_rate_inside: int
    auc_inside: int
    brier_inside: int
    independent_windows: float | None = None

    @property
    def outside_chance_pct(self) -> float:
        """Share of the months outside that right intervals exceed once in a thousand records.

        Months whose outcome windows overlap miss together, so that only windows without overlap are counted: of these,
        the number outside is binomial. Where even all of them may lie outside by chance, it is 100.
        """
        windows = math.floor(self.months if self.independent_windows is None else self.independent_windows)
        if windows < 1:
            return 100.0
        missed = 1 - self.stated_pct / 100
        at_most = 0.0
        for outside in range(windows + 1):
            at_most += math.comb(windows, outside) * missed**outside * (1 - missed) ** (windows - outside)
            if round(1 - at_most, 9) <= _ONCE_IN_A_THOUSAND:
                return 100 * outside / windows
        return 100.0

    @classmethod
    def of(cls, entries: "tuple[EstimateEntry, ...]", horizon_months: int | None = None) -> "EstimateRecord | None":
        """Count the entries whose outcomes are known; None if there are none.

        Args:
            entries: Estimates and how they turned out.
            horizon_months: Length of an outcome window; None if it is not known.
        """
        known = [entry for entry in entries if entry.realised is not None]
        if not known:
            return None
        inside = {figure: sum(entry.is_inside(figure) is True for entry in known) for figure in FIGURES}
        return cls(
            months=len(known),
            stated_pct=known[-1].estimate.coverage_pct,
            default_rate_inside=inside["default_rate"],
            auc_inside=inside["auc"],
            brier_inside=inside["brier"],
            independent_windows=None
            if horizon_months is None
            else independent_windows([entry.month for entry in known], horizon_months),
        )


class VintagePoint(_Record):
    """What had become past due of the customers of one month, some months later.

    Attributes:
        month: Month of scoring, as its first day.
        months_since: Whole months from the end of that month.
        customers: Customers of the month who were open, billed and not in default.
        past_due_30d_customers: Of them, those with a bill that was unpaid 30 days after its due date by then.
        past_due_60d_customers: The same, 60 days.
        past_due_90d_customers: The same, 90 days.
        due_amount: Billed amount whose 30th day past due lay in these months.
        past_due_30d_amount: Part of it that was unpaid on that day.
        past_due_60d_amount: Part that was still unpaid on the 60th day, where that lay in these months too.
        past_due_90d_amount: Part that was still unpaid on the 90th day, where that lay in these months too.
    """

    month: date
    months_since: int
    customers: int
    past_due_30d_customers: int
    past_due_60d_customers: int
    past_due_90d_customers: int
    due_amount: float
    past_due_30d_amount: float
    past_due_60d_amount: float
    past_due_90d_amount: float

    def customers_pct(self, days: Literal[30, 60, 90] = 30) -> float:
        """Return the share of the customers who had fallen so many days behind."""
        return 100 * int(getattr(self, f"past_due_{days}d_customers")) / self.customers if self.customers else 0.0

    def amount_pct(self, days: Literal[30, 60, 90] = 30) -> float:
        """Return the share of the amount due that was unpaid so many days later."""
        return 100 * float(getattr(self, f"past_due_{days}d_amount")) / self.due_amount if self.due_amount else 0.0


class VintageResult(_Record):
    """The newest vintage that is old enough, beside earlier ones at the same age.

    Attributes:
        point: The vintage at the age that the policy judges.
        usual_pct: Mean share of customers 30 days past due among earlier vintages at this age.
        upper_pct: Share that chance and the usual change from month to month exceed once in a thousand months.
        vintages: Earlier vintages that were compared.
    """

    point: VintagePoint
    usual_pct: float
    upper_pct: float
    vintages: int

    @property
    def ratio(self) -> float | None:
        """How many times the usual share this is; None where nobody was ever past due."""
        return self.point.customers_pct() / self.usual_pct if self.usual_pct else None


class TariffCohort(_Record):
    """Customers who were advised to change in one month, and their bills since.

    Attributes:
        month: Month of the advice, as its first day.
        release: Release that advised.
        months_since: Months whose bills are there, at most twelve.
        customers_advised: Customers who were advised to change.
        customers_judged: Of them, those whose load of all these months is known and can be priced on both tariffs.
        customers_followed: Of the judged, those who are on the advised tariff in the latest of these months.
        customers_saving: Of the judged, those whose bills are lower on the advised tariff.
        customers_inside: Of the judged, those whose saving lies in the stated interval.
        expected_saving_amount: Saving that the advice promised for these months, summed over the judged.
        realised_saving_amount: Saving that their metered load gives on the advised tariff, summed likewise.
        stayed_amount: Their bills of these months on the tariff of the month of advice.
        coverage_pct: Share of savings that should lie in the stated interval.
        saving_chance_pct: Part of the expected saving by which chance alone, the errors of single customers, lets the
            realised one fall short once in a thousand; None in records of before it was told.
    """

    month: date
    release: str
    months_since: int
    customers_advised: int
    customers_judged: int
    customers_followed: int
    customers_saving: int
    customers_inside: int
    expected_saving_amount: float
    realised_saving_amount: float
    stayed_amount: float
    coverage_pct: float
    saving_chance_pct: float | None = None

    @property
    def is_complete(self) -> bool:
        """Whether the whole year that the advice spoke of is over."""
        return self.months_since >= 12

    @property
    def inside_pct(self) -> float | None:
        """Share of the judged customers whose saving lies in the stated interval."""
        return 100 * self.customers_inside / self.customers_judged if self.customers_judged else None

    @property
    def outside_chance_pct(self) -> float:
        """Share of the savings outside that right intervals exceed once in a thousand cohorts of as many customers."""
        outside = 1 - self.coverage_pct / 100
        if not self.customers_judged:
            return 100.0
        return 100 * (outside + _Z_999 * math.sqrt(outside * (1 - outside) / self.customers_judged))

    @property
    def worse_off_pct(self) -> float | None:
        """Share of the judged customers to whom the advised tariff did not save anything."""
        return 100 * (1 - self.customers_saving / self.customers_judged) if self.customers_judged else None

    @property
    def realised_share_pct(self) -> float | None:
        """Realised saving over the expected one; None where none was expected."""
        return (
            100 * self.realised_saving_amount / self.expected_saving_amount if self.expected_saving_amount > 0 else None
        )


class SegmentChange(_Record):
    """One segment from a month to the next.

    Attributes:
        segment_id: Stable identifier of the segment.
        customers_before: Its customers in the month before, of those who were scored in both months.
        customers_now: Its customers in the month, of those who were scored in both months.
        customers_stayed: Those who are in it in both months.
    """

    segment_id: str
    customers_before: int
    customers_now: int
    customers_stayed: int


class SegmentStability(_Record):
    """How far a month's segments are those of the month before.

    Attributes:
        month: As-of month, as its first day.
        release: Release that assigned the segments of the month.
        is_same_release: Whether the month before was assigned by the same release; segments of two releases differ for
            more reasons than the customers.
        customers: Customers with a segment in both months.
        customers_stayed: Of them, those who are in the same segment.
        customers_new: Customers with a segment in the month only, such as those who had too little history before.
        customers_lost: Customers with a segment in the month before only.
        adjusted_rand_index: Agreement of the two divisions; 1 is the same, 0 is chance.
        segments: Every segment of either month, the largest first.
    """

    month: date
    release: str
    is_same_release: bool
    customers: int
    customers_stayed: int
    customers_new: int
    customers_lost: int
    adjusted_rand_index: float
    segments: tuple[SegmentChange, ...]

    @property
    def moved_pct(self) -> float:
        """Share of the customers who are in another segment than a month before."""
        return 100 * (1 - self.customers_stayed / self.customers) if self.customers else 0.0


class Outcomes(_Record):
    """All that is known about what became of the predictions of a use case; lists are in the order of months.

    Attributes:
        use_case: Use case of the predictions.
        updated_at: When the record was last written.
        estimates: Estimates of performance and how they turned out.
        vintages: Arrears by month of scoring and months since.
        tariff_cohorts: Tariff advice against the bills since.
        segment_months: Stability of the segments.
    """

    use_case: str
    updated_at: datetime
    estimates: tuple[EstimateEntry, ...] = ()
    vintages: tuple[VintagePoint, ...] = ()
    tariff_cohorts: tuple[TariffCohort, ...] = ()
    segment_months: tuple[SegmentStability, ...] = ()


def read_outcomes(reports_dir: Path, use_case: str) -> Outcomes | None:
    """Return the record of a use case; None before the first review that wrote one.

    Raises:
        OutcomesError: If the file is not readable.
    """
    path = reports_dir / use_case / FILE_NAME
    if not path.exists():
        return None
    try:
        return Outcomes.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise OutcomesError(
            f"{path}: not readable; delete it and review {use_case} again, which makes it anew without the estimates "
            f"of months that are not reviewed: {error}"
        ) from error
