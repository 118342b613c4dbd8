"""What a month's review concludes, in a form that people, checks and tables can use.

The table ``verdicts.parquet`` holds one row per use case, month and release; a rerun replaces its row. The full verdict
is ``verdict.json`` beside the report.
"""

import fcntl
import json
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path
from statistics import NormalDist
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ml.columns import ColumnKind
from ml.errors import KilowiseError
from monitoring.outcomes import EstimateRecord, PerformanceEstimate, SegmentStability, TariffCohort, VintageResult
from monitoring.runbook import runbook_link
from monitoring.sections import ConceptDrift, DataQuality, ImportanceShift, ReviewSlice

Outcome = Literal["stable", "watch", "act", "not_enough_data"]
Severity = Literal["info", "watch", "act", "unknown"]
Level = Literal["quiet", "drifted", "strong"]
Basis = Literal["whole_reference", "same_season", "weather_adjusted"]
"""What a column is compared with: all rows of the reference, those of the same season, or what the reference leads to
expect for the weather of the month."""

OUTCOMES: tuple[Outcome, ...] = ("stable", "not_enough_data", "watch", "act")
"""From harmless to urgent."""
SEVERITY_BY_OUTCOME: dict[Outcome, int] = {outcome: level for level, outcome in enumerate(OUTCOMES)}
OUTCOME_WORDS: dict[Outcome, tuple[str, str]] = {
    "stable": ("Stable", "稳定"),
    "watch": ("Watch", "关注"),
    "act": ("Act", "需处理"),
    "not_enough_data": ("Not enough data", "数据不足"),
}
USE_CASE_TITLES = {
    "segmentation": ("Customer segmentation", "客户分群"),
    "tariff_matching": ("Tariff matching", "电价匹配"),
    "credit_risk": ("Credit risk", "信用风险"),
}
MoneyKind = Literal["expected_loss", "expected_saving", "billed_amount"]
"""The money that a use case moves, as a mean per customer; how it is computed stands in ``monitoring.consequences``."""
MONEY_WORDS: dict[MoneyKind, tuple[str, str]] = {
    "expected_loss": ("expected loss", "预期损失"),
    "expected_saving": ("expected saving", "预期节省"),
    "billed_amount": ("billed amount of twelve months", "十二个月电费"),
}
DECISION_WORDS = {
    "segmentation": ("segment", "客群"),
    "tariff_matching": ("advised tariff", "推荐电价"),
    "credit_risk": ("rating", "信用等级"),
}
TABLE_NAME = "verdicts.parquet"
# Standard errors between the ends of a 95 % interval.
_WIDTH_OF_95 = 2 * 1.96
_Z_999 = NormalDist().inv_cdf(0.999)


class VerdictError(KilowiseError):
    """A stored verdict cannot be read."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Reason(_Record):
    """One finding of a review.

    Attributes:
        code: Stable identifier of the kind of finding, such as ``prediction_drift``.
        severity: What the finding alone would lead to; ``unknown`` means that something could not be judged.
        sentence_en: The finding for a model owner.
        sentence_zh: The same in Chinese.
        column: Column that it is about, if it is about one.
    """

    code: str
    severity: Severity
    sentence_en: str
    sentence_zh: str
    column: str | None = None

    @property
    def runbook(self) -> str:
        """Where the documentation says what to do about it, relative to the root of the repository."""
        return runbook_link(self.code)


class Comparison(_Record):
    """One column of the month against one form of the reference.

    Attributes:
        basis: Form of the reference.
        score: PSI over the fixed bins of the reference; None if this form could not be made.
        chance_level: Score that chance alone exceeds once in a thousand comparisons of this size.
        level: What the score means under the limits of the column; None without a score.
        rows_reference: Usable rows behind this form.
        why_en: Why it could not be made; empty if it could.
        why_zh: The same in Chinese.
    """

    basis: Basis
    score: float | None = None
    chance_level: float | None = None
    level: Level | None = None
    rows_reference: int = 0
    why_en: str = ""
    why_zh: str = ""


class Consequence(_Record):
    """What the move of one column does to decisions and money, everything else unchanged.

    The reference is weighted anew, so that the column is spread as it is in the month; the figures compare the weighted
    with the unweighted reference.

    Attributes:
        decisions_changed_pct: Smallest share of the customers, in percent, whose decision must differ for the decisions
            of the reference to become those of the weighted reference.
        decisions_chance_pct: Such a share that chance alone exceeds once in a thousand.
        money_kind: The money that the use case moves.
        money_reference_amount: Its mean per customer in the reference, in the platform's currency; None if unknown.
        money_shifted_amount: The same of the weighted reference; None if unknown.
        money_chance_amount: Difference of the two that chance alone exceeds once in a thousand; None if unknown.
    """

    decisions_changed_pct: float
    decisions_chance_pct: float = 0.0
    money_kind: MoneyKind
    money_reference_amount: float | None = None
    money_shifted_amount: float | None = None
    money_chance_amount: float | None = None

    @property
    def decisions_evidence_pct(self) -> float:
        """What is left of the share of changed decisions after what chance alone may give."""
        return max(self.decisions_changed_pct - self.decisions_chance_pct, 0.0)

    @property
    def money_change_pct(self) -> float | None:
        """Signed change of the money in percent of the reference; None if unknown or if there was none."""
        if not self.money_reference_amount or self.money_shifted_amount is None:
            return None
        return 100 * (self.money_shifted_amount - self.money_reference_amount) / abs(self.money_reference_amount)

    @property
    def money_evidence_pct(self) -> float:
        """What is left of the change of the money, in percent and without sign, after what chance alone may give."""
        change = self.money_change_pct
        if change is None or self.money_reference_amount is None:
            return 0.0
        chance = 100 * (self.money_chance_amount or 0.0) / abs(self.money_reference_amount)
        return max(abs(change) - chance, 0.0)


class ColumnScore(_Record):
    """How one column of the month compares with the reference.

    Attributes:
        column: Name of the column.
        role: Whether the model reads or writes it.
        kind: Kind of the column.
        status: Whether a score could be computed.
        why_en: Why it was not judged; empty if it was.
        why_zh: The same in Chinese.
        score: PSI over the fixed bins of the reference.
        chance_level: Score that chance alone exceeds once in a thousand comparisons of this size.
        evidently_psi: PSI by Evidently's own bins, shown beside; it does not decide.
        limit_watch: Score from which the column counts as drifted.
        limit_act: Score from which it counts as strongly drifted.
        level: ``quiet``, ``drifted`` or ``strong``; None if not judged.
        effect: Size of what the move would do to the key prediction, see ``monitoring.drift.Effect``.
        effect_shift: Signed shift of the key prediction's mean; None if that is categorical.
        consequence: What the move would do to decisions and money; None unless the column drifted.
        is_important: Whether the policy names the column as important.
        is_seasonal: Whether it follows season and weather, so that the whole reference does not decide.
        decided_by: Form of the reference to which ``score`` and the bins belong.
        comparisons: Every form of the reference that was tried, for a column that follows season and weather.
        expected_en: What the weather of the month explains of the column's move; empty if there is nothing to explain.
        expected_zh: The same in Chinese.
        is_like_tenure: Whether the reference was weighed to the lengths of history of the month's customers.
        rows_reference: Usable reference rows.
        rows_current: Usable rows of the month.
        missing_reference_pct: Share of missing values in the reference.
        missing_current_pct: Share of missing values in the month.
        infinite_current_pct: Share of infinite values in the month.
        unseen_current_pct: Share of values whose category the reference lacks.
        unseen_chance_pct: Such a share that chance alone exceeds once in a thousand comparisons of this size.
        bin_labels: Names of the bins.
        bin_shares_reference: Share of the reference in each bin.
        bin_shares_current: Share of the month in each bin.
    """

    column: str
    role: Literal["feature", "prediction"]
    kind: ColumnKind
    status: Literal["judged", "not_judged"]
    why_en: str = ""
    why_zh: str = ""
    score: float | None = None
    chance_level: float | None = None
    evidently_psi: float | None = None
    limit_watch: float
    limit_act: float
    level: Level | None = None
    effect: float | None = None
    effect_shift: float | None = None
    consequence: Consequence | None = None
    is_important: bool = False
    is_seasonal: bool = False
    decided_by: Basis = "whole_reference"
    comparisons: tuple[Comparison, ...] = ()
    expected_en: str = ""
    expected_zh: str = ""
    is_like_tenure: bool = False
    rows_reference: int = 0
    rows_current: int = 0
    missing_reference_pct: float = 0.0
    missing_current_pct: float = 0.0
    infinite_current_pct: float = 0.0
    unseen_current_pct: float = 0.0
    unseen_chance_pct: float = 0.0
    bin_labels: tuple[str, ...] = ()
    bin_shares_reference: tuple[float, ...] = ()
    bin_shares_current: tuple[float, ...] = ()

    @property
    def is_empty_as_before(self) -> bool:
        """Whether neither the reference nor the month has a value, as hours have none where meters report days."""
        return self.missing_reference_pct == self.missing_current_pct == 100


class MonthWeather(_Record):
    """Weather of the month under review, over the districts, weighed by their customers.

    Attributes:
        mean_temperature_c: Mean air temperature of the month.
        normal_temperature_c: What it is in this calendar month by the months known before it; None where fewer than
            eight calendar months are known.
        anomaly_3m_c: How much warmer than normal the three months to this one were.
        heating_degree_days: Degrees below the base of heating, summed over the month's days.
        cooling_degree_days: Degrees above the base of cooling, summed over the month's days.
        districts_count: Districts whose weather is known.
    """

    mean_temperature_c: float
    normal_temperature_c: float | None
    anomaly_3m_c: float | None
    heating_degree_days: float
    cooling_degree_days: float
    districts_count: int

    @property
    def anomaly_c(self) -> float | None:
        """How much warmer than normal the month was."""
        return None if self.normal_temperature_c is None else self.mean_temperature_c - self.normal_temperature_c


class HistoryShift(_Record):
    """How long the customers' histories are, against those of the reference.

    Attributes:
        full_months: Months from which on a history is full.
        short_reference_pct: Share of the reference with a shorter one.
        short_current_pct: Share of the month's customers with a shorter one.
        rows_reference: Rows of the reference with as long a history as the month's customers, which are compared.
        rows_set_aside: Customers of whose length of history the reference has too few.
    """

    full_months: int
    short_reference_pct: float
    short_current_pct: float
    rows_reference: int
    rows_set_aside: int

    @property
    def rise_pct(self) -> float:
        """Rise of the share without a full history, in percentage points."""
        return self.short_current_pct - self.short_reference_pct


class PerformanceResult(_Record):
    """How predictions compare with outcomes that have become known.

    Attributes:
        months: As-of months whose outcomes are used.
        rows: Customer-months with prediction and outcome.
        events: How many of them defaulted.
        auc: Area under the ROC curve.
        auc_lower: Lower end of its 95 % interval.
        auc_upper: Upper end of its 95 % interval.
        brier: Mean squared difference of probability and outcome.
        calibration_error: Expected calibration error over ten bins of equal size.
        calibration_chance: Calibration error that right probabilities exceed once in a thousand times, in good and bad
            years; None in verdicts of before it was told.
        mean_predicted: Mean predicted probability.
        mean_observed: Observed default rate.
        auc_at_release: The release's own figure on its hold-out; None if it has none.
        auc_release_lower: Lower end of the 95 % interval of that figure; None if it has none.
        auc_release_upper: Upper end of that interval.
    """

    months: tuple[date, ...]
    rows: int
    events: int
    auc: float
    auc_lower: float
    auc_upper: float
    brier: float
    calibration_error: float
    mean_predicted: float
    mean_observed: float
    auc_at_release: float | None = None
    auc_release_lower: float | None = None
    auc_release_upper: float | None = None
    calibration_chance: float | None = None

    @property
    def auc_drop(self) -> float | None:
        """How far the AUC lies below that of the release; None if the release has none."""
        return None if self.auc_at_release is None else self.auc_at_release - self.auc

    @property
    def auc_drop_chance(self) -> float:
        """Such a drop that chance alone exceeds once in a thousand, by the intervals of both figures."""
        widths = [self.auc_upper - self.auc_lower]
        if self.auc_release_lower is not None and self.auc_release_upper is not None:
            widths.append(self.auc_release_upper - self.auc_release_lower)
        return _Z_999 * math.hypot(*(width / _WIDTH_OF_95 for width in widths))


class Verdict(_Record):
    """Outcome of the review of one released model for one month, with everything that led to it."""

    use_case: str
    month: date
    release: str
    model_version: str
    outcome: Outcome = Field(description="What is said of the month, after hysteresis.")
    finding_outcome: Outcome = Field(
        default_factory=lambda told: told["outcome"], description="What the findings of this month alone lead to."
    )
    held_since: date | None = Field(
        default=None,
        description="Month of which the outcome still holds although this month alone is stable; None otherwise.",
    )
    reasons: tuple[Reason, ...]
    columns: tuple[ColumnScore, ...] = Field(description="All columns, those of most consequence first.")
    rows_current: int
    rows_available: int = Field(description="Rows of the month before sampling.")
    rows_reference: int
    columns_judged: int
    columns_drifted: int
    prediction_column: str
    prediction_score: float | None
    performance: PerformanceResult | None = None
    weather: MonthWeather | None = Field(default=None, description="Weather of the month, where it is known.")
    history: HistoryShift | None = Field(default=None, description="Lengths of history, where customers were compared.")
    estimate: PerformanceEstimate | None = Field(
        default=None, description="How well the month's own predictions will come true; None without probabilities."
    )
    estimate_record: EstimateRecord | None = Field(
        default=None, description="How earlier estimates turned out, as far as known; None before the first."
    )
    vintage: VintageResult | None = Field(default=None, description="Arrears of the newest vintage that is judged.")
    tariff_outcomes: tuple[TariffCohort, ...] = Field(
        default=(), description="Advice of earlier months against the bills since, oldest first."
    )
    segment_stability: SegmentStability | None = Field(
        default=None, description="How far the segments are those of the month before; None for the first."
    )
    quality: DataQuality | None = Field(default=None, description="What was found while the rows were read.")
    importance: ImportanceShift | None = Field(default=None, description="None if there were too few rows.")
    concept: ConceptDrift | None = Field(default=None, description="None until outcomes have become known.")
    part: ReviewSlice | None = Field(default=None, description="What a review on demand looked at; None for a month.")
    leading_columns: tuple[str, ...] = Field(
        default=(), description="At most three columns that drifted, most effect on decisions and money first."
    )
    error_outcomes: tuple[Outcome, ...] = Field(
        default=("act",), description="Outcomes for which the asset check is an error by the policy, else a warning."
    )
    policy_version: str
    owner: str
    reviewed_at: datetime
    report_path: str | None = Field(description="Evidently report, relative to the reports folder.")

    @property
    def needs_attention(self) -> bool:
        """Whether somebody should look."""
        return self.outcome != "stable"

    @property
    def drifted_share_pct(self) -> float | None:
        """Share of the judged columns that drifted; None if none was judged."""
        return 100 * self.columns_drifted / self.columns_judged if self.columns_judged else None

    def sentence(self, language: Literal["en", "zh"] = "en") -> str:
        """Return the verdict in one line, with its first reason."""
        first = self.reasons[0]
        if language == "zh":
            title, words = USE_CASE_TITLES[self.use_case][1], OUTCOME_WORDS[self.outcome][1]
            return f"{title} {self.month:%Y-%m}：{words}。{first.sentence_zh}"
        title, words = USE_CASE_TITLES[self.use_case][0], OUTCOME_WORDS[self.outcome][0]
        return f"{title}, {self.month:%Y-%m}: {words}. {first.sentence_en}"


def outcome_of(reasons: tuple[Reason, ...]) -> Outcome:
    """Return the outcome that the findings lead to: evidence first, then ignorance, and stable only without both."""
    severities = {reason.severity for reason in reasons}
    if "act" in severities:
        return "act"
    if "watch" in severities:
        return "watch"
    if "unknown" in severities:
        return "not_enough_data"
    return "stable"


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that no reader ever sees a part of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_bytes(content)
    temporary.replace(path)


@contextmanager
def exclusive(directory: Path, name: str) -> Iterator[None]:
    """Keep other processes out while a shared file below the directory is read, changed and replaced."""
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / f".{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def record_verdict(verdict: Verdict, reports_dir: Path) -> None:
    """Write the verdict's row, replacing the row of the same use case, month and release."""
    import polars as pl

    row = pl.DataFrame([_row(verdict)], schema=_table_schema())
    with exclusive(reports_dir, "verdicts"):
        others = read_verdicts(reports_dir).filter(
            ~(
                (pl.col("use_case") == verdict.use_case)
                & (pl.col("month") == verdict.month)
                & (pl.col("release") == verdict.release)
            )
        )
        table = pl.concat([others, row]).sort("use_case", "month", "reviewed_at")
        temporary = reports_dir / f".{TABLE_NAME}.{os.getpid()}.tmp"
        table.write_parquet(temporary)
        temporary.replace(reports_dir / TABLE_NAME)


def read_verdicts(reports_dir: Path) -> Any:
    """Return the table of verdicts as a polars frame, oldest month first; without rows if none was written yet."""
    import polars as pl

    path = reports_dir / TABLE_NAME
    if not path.exists():
        return pl.DataFrame(schema=_table_schema())
    return _as_today(pl.read_parquet(path))


def _as_today(table: Any) -> Any:
    """Return a table that an older version may have written with the columns of today."""
    import polars as pl

    if "finding_outcome" in table.columns:
        return table
    return table.with_columns(finding_outcome=pl.col("outcome")).select(*_table_schema())


def verdict_directory(reports_dir: Path, use_case: str, month: date, release: str) -> Path:
    """Return the folder of one review."""
    return reports_dir / use_case / f"{month:%Y-%m}" / release


def read_verdict(reports_dir: Path, use_case: str, month: date, release: str) -> Verdict:
    """Return one full verdict.

    Raises:
        VerdictError: If it is missing or not readable.
    """
    path = verdict_directory(reports_dir, use_case, month, release) / "verdict.json"
    try:
        return Verdict.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise VerdictError(f"{path}: no such verdict; review {use_case} for {month:%Y-%m} again") from None
    except ValidationError as error:
        raise VerdictError(f"{path}: not readable; review {use_case} for {month:%Y-%m} again: {error}") from error


def _row(verdict: Verdict) -> dict[str, Any]:
    judged = [score for score in verdict.columns if score.score is not None]
    performance = verdict.performance
    return {
        "use_case": verdict.use_case,
        "month": verdict.month,
        "release": verdict.release,
        "model_version": verdict.model_version,
        "outcome": verdict.outcome,
        "finding_outcome": verdict.finding_outcome,
        "reasons_en": [reason.sentence_en for reason in verdict.reasons],
        "reasons_zh": [reason.sentence_zh for reason in verdict.reasons],
        "top_columns": json.dumps({score.column: score.score for score in judged[:3]}),
        "rows_current": verdict.rows_current,
        "rows_reference": verdict.rows_reference,
        "columns_judged": verdict.columns_judged,
        "columns_drifted": verdict.columns_drifted,
        "prediction_score": verdict.prediction_score,
        "auc": performance.auc if performance else None,
        "calibration_error": performance.calibration_error if performance else None,
        "policy_version": verdict.policy_version,
        "report_path": verdict.report_path,
        "reviewed_at": verdict.reviewed_at,
    }


def _table_schema() -> dict[str, Any]:
    import polars as pl

    return {
        "use_case": pl.String,
        "month": pl.Date,
        "release": pl.String,
        "model_version": pl.String,
        "outcome": pl.String,
        "finding_outcome": pl.String,
        "reasons_en": pl.List(pl.String),
        "reasons_zh": pl.List(pl.String),
        "top_columns": pl.String,
        "rows_current": pl.Int64,
        "rows_reference": pl.Int64,
        "columns_judged": pl.Int64,
        "columns_drifted": pl.Int64,
        "prediction_score": pl.Float64,
        "auc": pl.Float64,
        "calibration_error": pl.Float64,
        "policy_version": pl.String,
        "report_path": pl.String,
        "reviewed_at": pl.Datetime("us", "UTC"),
    }
