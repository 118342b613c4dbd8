"""The dated rules by which a month is judged: one YAML file per use case, every number with its reason.

Change a rule by adding a version with a later ``valid_from``, never by editing an old one: verdicts name the version
that judged them.
"""

from datetime import date
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from ml.columns import USE_CASES, Column, names
from ml.errors import KilowiseError
from monitoring.runbook import runbook
from monitoring.verdicts import MoneyKind

POLICY_DIRECTORY = Path(__file__).parent / "policies"


class PolicyError(KilowiseError):
    """A drift policy is missing, not yet valid, or says something that cannot be applied."""


class _Rule(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    reason: str = Field(min_length=20, description="Why the numbers are what they are.")


class Limit(_Rule):
    """Two levels of one quantity, larger is worse."""

    watch: float = Field(gt=0, description="From here on the outcome is at least watch.")
    act: float = Field(gt=0, description="From here on the outcome is act.")

    @model_validator(mode="after")
    def _levels_are_ordered(self) -> "Limit":
        if self.act < self.watch:
            raise ValueError(f"act ({self.act}) must not be below watch ({self.watch})")
        return self


class NumericMethod(Limit):
    """How numeric columns are compared."""

    method: Literal["psi"]
    bins: int = Field(ge=4, le=50, description="Quantile bins of the reference.")


class CategoricalMethod(Limit):
    """How categorical and boolean columns are compared."""

    method: Literal["psi"]
    rare_share_pct: float = Field(ge=0, le=10, description="Categories below this share of the reference share a bin.")


class SampleRule(_Rule):
    """How many rows are compared at most."""

    rows: int = Field(ge=1_000, le=200_000)
    seed: int = Field(ge=0)


class ReferenceRule(_Rule):
    """Which part of the released model's reference is compared with."""

    latest_months: int = Field(
        ge=1, le=60, description="Latest as-of months of the reference; older ones are left out."
    )


class MinimumRule(_Rule):
    """Below which size nothing is said."""

    rows: int = Field(ge=30, description="Rows of the month, and of the reference, below which nothing is judged.")
    column_rows: int = Field(ge=30, description="Values of one column on either side below which it is not judged.")
    judged_share_pct: float = Field(ge=0, le=100, description="Share of the columns that must be judged for stable.")


class SeasonRule(_Rule):
    """How columns that follow the season are compared."""

    months_around: int = Field(ge=0, le=2, description="Calendar months before and after that count as same season.")
    decides: tuple[Literal["weather_adjusted", "same_season"], ...] = Field(
        min_length=1, description="Forms of the reference; the first that can be made decides."
    )


class WeatherRule(_Rule):
    """How the effect of the weather is taken out of columns that follow it, see ``monitoring.response``."""

    heating_base_c: float = Field(ge=5, le=25, description="Daily mean below which customers heat.")
    cooling_base_c: float = Field(ge=15, le=30, description="Daily mean above which customers cool.")
    response_per_degree: float = Field(
        gt=0, le=2, description="Size of a response, in log-odds per degree, that is plausible before data is seen."
    )


class HistoryRule(Limit):
    """How customers are compared with those who had as long a history; the limits are percentage points.

    The levels belong to the rise of the share of customers without a full history.
    """

    column: str | None = Field(description="Column with the months since a customer came; None if there is none.")
    bands_months: tuple[int, ...] = Field(
        min_length=1, description="Months of history at which a band begins; the last is a full history."
    )

    @model_validator(mode="after")
    def _bands_ascend(self) -> "HistoryRule":
        if list(self.bands_months) != sorted(set(self.bands_months)) or self.bands_months[0] < 1:
            raise ValueError(f"bands_months must ascend from 1 or more, not {list(self.bands_months)}")
        return self

    @property
    def full_months(self) -> int:
        """Months from which on a history is full: no column that moves with it looks back further."""
        return self.bands_months[-1]


class EconomyRule(_Rule):
    """How far the economy may move all customers alike, which is no drift of the columns of arrears."""

    shift_sd: float = Field(
        gt=0, lt=2, description="Standard deviation between the reference and a month, in log-odds, of all customers."
    )
    payment_columns: tuple[str, ...] = Field(min_length=1, description="Numeric columns that tell how customers pay.")


class ResolutionRule(_Rule):
    """The smallest difference of a column that means anything."""

    step: float = Field(gt=0, description="Values are rounded to multiples of it before they are compared.")


class PredictionRule(Limit):
    """The prediction that stands for the model's decisions."""

    column: str


class PerformanceRule(_Rule):
    """How predictions are compared with outcomes, once these are known."""

    minimum_rows: int = Field(ge=30)
    minimum_events: int = Field(ge=5)
    months: int = Field(ge=1, le=24, description="Latest matured months that are looked at.")
    auc_drop: Limit
    calibration_error: Limit


class EstimateRule(_Rule):
    """How performance is estimated until the outcomes are known, see ``monitoring.estimates``."""

    coverage_pct: float = Field(ge=50, le=99, description="Share of months that the stated interval is to hold.")
    minimum_rows: int = Field(ge=100, description="Customers below which nothing is estimated.")
    minimum_events: float = Field(ge=1, description="Expected defaults below which nothing is estimated.")
    shift_sd: float = Field(
        gt=0, lt=2, description="Spread of the log-odds between what a model says and what comes, before any record."
    )
    slope_sd: float = Field(gt=0, lt=1, description="The same of the logarithm of the calibration slope.")
    assumed_windows: float = Field(
        ge=1, le=50, description="Outcome windows of a record that the two assumed spreads count for."
    )
    default_rate_ratio: Limit = Field(description="Estimated default rate over that of the release's hold-out.")
    auc_drop: Limit = Field(description="Estimated AUC below that of the release's hold-out.")
    record_months: int = Field(ge=3, description="Months with known outcomes from which the record is judged.")
    outside_pct: Limit = Field(description="Share of those months whose outcome lay outside of the stated interval.")


class VintageRule(_Rule):
    """When the arrears of a month's customers are more than usual, see ``monitoring.vintages``."""

    months_since: int = Field(ge=1, le=12, description="Age at which a vintage is compared with earlier ones.")
    minimum_customers: int = Field(ge=100)
    minimum_vintages: int = Field(ge=4, description="Earlier vintages of that age below which nothing is said.")
    latest_vintages: int = Field(ge=4, le=36, description="Earlier vintages that are compared with at most.")
    ratio: Limit = Field(description="Share of customers 30 days past due over the mean of earlier vintages.")


class TariffOutcomeRule(_Rule):
    """When the advice to change fell short of its promise, see ``monitoring.tariff_outcomes``."""

    minimum_customers: int = Field(ge=10, description="Judged customers of a cohort below which nothing is said.")
    minimum_months: int = Field(ge=1, le=12, description="Months of bills below which nothing is said.")
    ages_months: tuple[int, ...] = Field(min_length=1, description="Months after the advice at which it is judged.")
    customers: int = Field(ge=100, le=20_000, description="Advised customers of a month who are judged at most.")
    coverage_pct: float = Field(ge=50, le=99, description="Share of savings that the stated interval is to hold.")
    shortfall_pct: Limit = Field(description="Part of the promised saving that did not come.")
    worse_off_pct: Limit = Field(description="Share of the advised customers to whom it saved nothing.")
    outside_pct: Limit = Field(description="Share of the savings outside of the stated interval.")


class SegmentStabilityRule(_Rule):
    """When too many customers changed their segment, see ``monitoring.segment_stability``."""

    minimum_customers: int = Field(ge=30, description="Customers of both months below which nothing is said.")
    moved_pct: Limit = Field(description="Share of the customers in another segment than a month before.")


class QualityRule(_Rule):
    """What a log may lose or repeat before a month is no longer taken at its word."""

    lost_pct: float = Field(
        gt=0, lt=100, description="Share of files, or of rows without a month, from which on a month is unknown."
    )
    duplicated_pct: float = Field(gt=0, lt=100, description="Share of duplicated rows from which on it is watched.")


class ImportanceRule(_Rule):
    """How the columns that drive the predictions are compared with those at release."""

    rows: int = Field(ge=300, le=20_000, description="Rows of either side that are explained at most.")
    watch: float = Field(gt=0, lt=1, description="Share of the importance that moved to other columns.")


class ConceptRule(Limit):
    """Residuals by group: how far observed and predicted may part since the release, in the prediction's unit."""

    minimum_customers: int = Field(ge=30, description="Customers of a group below which it is not judged.")
    minimum_events: int = Field(
        ge=5, description="Customers with a default, observed or predicted, below which it is not judged."
    )


class ConsequenceRule(_Rule):
    """What the move of one column may do to decisions and money before it counts, see ``monitoring.consequences``."""

    decision: str = Field(description="Prediction that is the decision about a customer.")
    money: MoneyKind = Field(description="The money that the use case moves.")
    decisions_changed_pct: Limit = Field(description="Share of the customers whose decision changes.")
    money_change_pct: Limit = Field(description="Change of the money, up or down, in percent of the reference.")


class HysteresisRule(_Rule):
    """When the outcome of a model falls back to stable."""

    calm_months: int = Field(ge=1, le=6, description="Stable months in a row, this one included, that end a watch.")


class CheckRule(_Rule):
    """How loud the asset check is."""

    errors: tuple[Literal["watch", "act", "not_enough_data"], ...] = Field(
        description="Outcomes for which the check is an error; it warns for the others that are not stable."
    )


class IncidentRule(_Rule):
    """When a month of which too little is known is an incident, of which people are told."""

    unknown_findings: tuple[str, ...] = Field(
        description="Codes of findings for which a month without enough data is an incident; others are only shown."
    )

    @field_validator("unknown_findings")
    @classmethod
    def _codes_are_known(cls, codes: tuple[str, ...]) -> tuple[str, ...]:
        if unknown := sorted(set(codes) - set(runbook())):
            raise ValueError(f"{', '.join(unknown)}: no such finding; docs/review.md lists their codes")
        return codes


class ReportRule(_Rule):
    """How large the Evidently report may become."""

    columns: int = Field(ge=5, le=60)


class RetrainingRule(_Rule):
    """How often a verdict "act" may open a training, and on what data it may not."""

    cooldown_days: int = Field(ge=1, le=365, description="Days after a training was opened in which none is opened.")
    trainings_per_quarter: int = Field(ge=0, le=12, description="Trainings opened per calendar quarter at most.")
    quarantined_pct: float = Field(
        gt=0, le=100, description="Refused share of an entity's rows in the latest delivery, from which none is opened."
    )
    minimum_delivered_rows: int = Field(ge=1, description="Rows of an entity below which that share says nothing.")


class DriftPolicy(BaseModel):
    """All rules for one use case from one day on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    use_case: str
    valid_from: date
    owner: str
    sample: SampleRule
    reference: ReferenceRule
    minimum: MinimumRule
    season: SeasonRule
    weather: WeatherRule
    economy: EconomyRule | None = None
    history: HistoryRule
    numeric: NumericMethod
    categorical: CategoricalMethod
    effect: Limit = Field(description="Effect of one column on the prediction, see monitoring.drift.Effect.")
    consequences: ConsequenceRule
    hysteresis: HysteresisRule
    check: CheckRule
    incident: IncidentRule
    prediction: PredictionRule
    drifted_share_pct: Limit
    missing_rise_pct: Limit = Field(description="Rise of the missing share in percentage points.")
    infinite_pct: Limit
    unseen_pct: Limit
    performance: PerformanceRule | None = None
    estimates: EstimateRule | None = None
    vintages: VintageRule | None = None
    tariff_outcomes: TariffOutcomeRule | None = None
    segment_stability: SegmentStabilityRule | None = None
    quality: QualityRule
    importance: ImportanceRule
    concept: ConceptRule | None = None
    resolution: dict[str, ResolutionRule] = Field(
        default={}, description="Columns whose smallest differences mean nothing."
    )
    report: ReportRule
    retraining: RetrainingRule
    important_columns: dict[str, str] = Field(description="Column and why its drift matters by itself.")
    ignored_columns: dict[str, str] = Field(description="Column and why it is not compared.")

    @property
    def version(self) -> str:
        """Name of this version on verdicts and pages."""
        return self.valid_from.isoformat()

    def method_for(self, column: Column) -> NumericMethod | CategoricalMethod:
        """Return the rule by which the column is compared."""
        return self.numeric if column.kind == "numeric" else self.categorical


def load_policy(use_case: str, on_date: date, directory: Path = POLICY_DIRECTORY) -> DriftPolicy:
    """Load the policy version of a use case that is valid on a day.

    Args:
        use_case: One of ``ml.columns.USE_CASES``.
        on_date: Day of the review.
        directory: Folder of the policy files.

    Raises:
        PolicyError: If there is no such file or version, or if it breaks a rule; the message names file and field.
    """
    if use_case not in USE_CASES:
        raise PolicyError(f"unknown use case {use_case!r}; known are {', '.join(USE_CASES)}")
    path = directory / f"{use_case}.yaml"
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise PolicyError(f"{path.name}: no drift policy for {use_case}; add the file to {directory.name}/") from None
    except yaml.YAMLError as error:
        raise PolicyError(f"{path.name}: not readable as YAML: {error}") from error
    if not isinstance(content, dict) or not isinstance(content.get("versions"), list):
        raise PolicyError(f"{path.name}: expected a list under 'versions', each with its valid_from")
    versions = []
    for number, entry in enumerate(content["versions"]):
        try:
            policy = DriftPolicy.model_validate(entry)
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(str(part) for part in first["loc"])
            raise PolicyError(f"{path.name}: versions[{number}].{field}: {first['msg']}") from error
        _check_columns(policy, path.name)
        versions.append(policy)
    valid = [policy for policy in versions if policy.valid_from <= on_date]
    if not valid:
        raise PolicyError(f"{path.name}: no version is valid on {on_date}; add one with an earlier valid_from")
    return max(valid, key=lambda policy: policy.valid_from)


def _check_columns(policy: DriftPolicy, file_name: str) -> None:
    """Refuse a policy that names columns which its use case does not have."""
    from monitoring.datasets import schema_columns

    features, predictions = schema_columns(policy.use_case)
    known = {*names(features), *names(predictions)}
    named = {policy.prediction.column, policy.consequences.decision, *policy.important_columns, *policy.ignored_columns}
    named |= {
        *policy.resolution,
        *(policy.economy.payment_columns if policy.economy else ()),
        *((policy.history.column,) if policy.history.column else ()),
    }
    if unknown := sorted(named - known):
        raise PolicyError(f"{file_name}: {', '.join(unknown)}: no such column in ml/{policy.use_case}/schema.py")
