"""A challenger on live traffic: what the two models said and how fast, and what the gate may demand of it.

In *shadow* the challenger scores what the champion answers, and nobody is told; every decision is then known from both.
With a *share* it answers a part of the customers; then the two groups are compared. Nothing here reads a file.
"""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from statistics import NormalDist
from typing import Literal

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from ml.evaluation import Criterion
from ml.wording import number_text, plural

Mode = Literal["shadow", "share"]

CRITERION = "trial"
DECISION_ID = "decision_id"
CHAMPION = "champion"
CHALLENGER = "challenger"

# A group that is this far from its share came about by another way than by the lot (one in 16,000).
_IMPLAUSIBLE_DEVIATIONS = 4.0
_MOST_CHANGES = 20


@dataclass(frozen=True, slots=True)
class DecisionColumns:
    """What counts as the decision of a use case, and the number behind it.

    Attributes:
        decision: Columns whose values together are the decision.
        score: Column of the number.
    """

    decision: tuple[str, ...]
    score: str


DECISION_COLUMNS: Mapping[str, DecisionColumns] = {
    "segmentation": DecisionColumns(("segment_id",), "segment_confidence"),
    "tariff_matching": DecisionColumns(("recommended_tariff_id",), "expected_saving_amount"),
    "credit_risk": DecisionColumns(("credit_rating",), "default_probability"),
}


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TrialRequirement(_Frozen):
    """What a trial in shadow must show before a challenger is released.

    Attributes:
        decisions: Least number of decisions that both models made.
        minimum_agreement: Smallest accepted lower end of the interval of the share of equal decisions.
        maximum_p95_ms: Largest accepted 95th percentile of the challenger's scoring time per customer.
        maximum_error_share: Largest accepted share of decisions that the challenger failed to make.
        maximum_age_days: Days after the last decision of the trial for which it counts.
    """

    decisions: int = Field(default=1_000, ge=1)
    minimum_agreement: float = Field(default=0.8, ge=0, le=1)
    maximum_p95_ms: float = Field(default=50.0, gt=0)
    maximum_error_share: float = Field(default=0.0, ge=0, le=1)
    maximum_age_days: int = Field(default=30, ge=1)


class ArmFigures(_Frozen):
    """What one model did in a trial.

    Attributes:
        decisions_count: Decisions that it made, told or in shadow.
        customers_count: Different customers among them; those without a key are not counted.
        errors_count: Decisions that it failed to make.
        median_ms: Median of the scoring time per customer; None without decisions.
        p95_ms: Its 95th percentile.
        shares: Share of each decision, the most frequent first.
    """

    decisions_count: int = 0
    customers_count: int = 0
    errors_count: int = 0
    median_ms: float | None = None
    p95_ms: float | None = None
    shares: dict[str, float] = Field(default_factory=dict)

    @property
    def error_share(self) -> float:
        """Share of the attempts that failed."""
        attempts = self.decisions_count + self.errors_count
        return self.errors_count / attempts if attempts else 0.0


class DecisionChange(_Frozen):
    """How often the challenger said ``after`` where the champion said ``before``."""

    before: str
    after: str
    count: int


class TrialSummary(_Frozen):
    """What a trial showed so far.

    Attributes:
        trial_id: The trial.
        use_case: One of ``ml.columns.USE_CASES``.
        mode: In shadow or with a share.
        share: Share of the traffic that the challenger scores or answers.
        champion_version: Bundle that is served.
        challenger_version: Bundle that is tried.
        started_at: Since when.
        last_decided_at: The latest decision that is counted; None without one.
        champion: Figures of the champion.
        challenger: Figures of the challenger.
        compared_count: Decisions that both made.
        agreement: Share of them that are equal; None without any.
        agreement_lower: Lower end of its 95 % interval (Wilson 1927).
        agreement_upper: Upper end.
        changes: Unequal decisions, the most frequent first.
        mean_score_difference: Mean of challenger minus champion of the number behind the decision.
        mean_absolute_score_difference: Mean of its size.
        share_found: With a share: part of the customers whom the challenger answered.
        is_share_plausible: Whether chance explains its distance from the share; None in shadow or without customers.
    """

    trial_id: str
    use_case: str
    mode: Mode
    share: float
    champion_version: str
    challenger_version: str
    started_at: datetime
    last_decided_at: datetime | None = None
    champion: ArmFigures = ArmFigures()
    challenger: ArmFigures = ArmFigures()
    compared_count: int = 0
    agreement: float | None = None
    agreement_lower: float | None = None
    agreement_upper: float | None = None
    changes: tuple[DecisionChange, ...] = ()
    mean_score_difference: float | None = None
    mean_absolute_score_difference: float | None = None
    share_found: float | None = None
    is_share_plausible: bool | None = None

    def sentences(self) -> list[str]:
        """Return what the trial showed, in words."""
        start = (
            f"{self.challenger_version} in shadow of {self.champion_version}"
            if self.mode == "shadow"
            else f"{self.challenger_version} answers {self.share:.1%} of the customers of {self.champion_version}"
        )
        told = [f"Trial {self.trial_id}: {start}, since {self.started_at:%Y-%m-%d %H:%M} UTC."]
        for name, arm in (("Champion", self.champion), ("Challenger", self.challenger)):
            speed = "" if arm.p95_ms is None else f", {arm.median_ms:.2f} ms in the median, {arm.p95_ms:.2f} ms in 95 %"
            told.append(
                f"{name}: {plural(arm.decisions_count, 'decision')} for {plural(arm.customers_count, 'customer')}, "
                f"{plural(arm.errors_count, 'error')}{speed}."
            )
        if self.agreement is not None:
            told.append(
                f"Of {plural(self.compared_count, 'decision')} of both, {self.agreement:.2%} are equal "
                f"({self.agreement_lower:.2%} to {self.agreement_upper:.2%})."
            )
            told += [f"{plural(one.count, 'time')} {one.after} instead of {one.before}." for one in self.changes[:5]]
        if self.mode == "share" and self.share_found is not None:
            told.append(
                f"The challenger answered {self.share_found:.1%} of the customers"
                + ("." if self.is_share_plausible else ", which chance does not explain: do not compare the groups.")
            )
        return told


def is_challengers(customer_key: str, salt: str, share: float) -> bool:
    """Return whether a customer belongs to the challenger's share: always the same answer for one salt.

    Args:
        customer_key: The customer.
        salt: Of the trial, so that another trial draws other customers.
        share: From 0, nobody, to 1, everybody.
    """
    digest = hashlib.blake2b(customer_key.encode(), digest_size=8, key=salt.encode()[:64]).digest()
    return int.from_bytes(digest, "big") < share * 2**64


def summarise_trial(empty: TrialSummary, answered: pd.DataFrame, shadow: pd.DataFrame) -> TrialSummary:
    """Summarise what the two models said.

    Args:
        empty: The trial, without figures.
        answered: What was answered during the trial: ``decision_id``, ``customer_key``, ``decided_at``, ``scoring_ms``,
            ``arm`` (champion or challenger) and the use case's `DECISION_COLUMNS`.
        shadow: What the challenger said or failed to say beside it: the same columns, and ``error``.
    """
    columns = DECISION_COLUMNS[empty.use_case]
    failed = shadow["error"].notna() if len(shadow) else pd.Series(False, index=shadow.index)
    said = shadow[~failed]
    champion = answered[answered["arm"] == CHAMPION]
    told = answered[answered["arm"] == CHALLENGER]
    challenger = said if empty.mode == "shadow" else told
    pairs = champion.merge(said, on=DECISION_ID, suffixes=("_before", "_after"))
    before, after = (_decisions(pairs, columns, suffix) for suffix in ("_before", "_after"))
    is_equal = before == after
    lower, upper = _wilson_interval(int(is_equal.sum()), len(pairs))
    changes = pd.DataFrame({"before": before, "after": after})[~is_equal].value_counts()
    difference = (pairs[f"{columns.score}_after"] - pairs[f"{columns.score}_before"]).dropna().astype(float)
    share_found, is_plausible = _share_found(empty, champion, told)
    instants = pd.concat([champion["decided_at"], challenger["decided_at"]])
    return empty.model_copy(
        update={
            "last_decided_at": None if instants.empty else instants.max().to_pydatetime(),
            "champion": _figures(champion, 0, columns),
            "challenger": _figures(challenger, int(failed.sum()), columns),
            "compared_count": len(pairs),
            "agreement": float(is_equal.mean()) if len(pairs) else None,
            "agreement_lower": lower,
            "agreement_upper": upper,
            "changes": tuple(
                DecisionChange(before=str(pair[0]), after=str(pair[1]), count=int(count))
                for pair, count in list(changes.items())[:_MOST_CHANGES]
                if isinstance(pair, tuple)
            ),
            "mean_score_difference": float(difference.mean()) if len(difference) else None,
            "mean_absolute_score_difference": float(difference.abs().mean()) if len(difference) else None,
            "share_found": share_found,
            "is_share_plausible": is_plausible,
        }
    )


def judge_trial(
    summary: TrialSummary | None, requirement: TrialRequirement, *, challenger_version: str, decided_on: date
) -> Criterion:
    """Hold a trial against what is demanded; a trial that is missing, of another model, too short or too old refuses.

    Args:
        summary: The trial; None when there was none.
        requirement: What is demanded.
        challenger_version: Bundle that is to be released.
        decided_on: Day of the decision.
    """
    demanded = plural(requirement.decisions, "decision")
    required = (
        f"{demanded} in shadow, agreement at least {requirement.minimum_agreement:.2%} (lower end of the interval), "
        f"95 % within {requirement.maximum_p95_ms:g} ms, errors at most {requirement.maximum_error_share:.2%}"
    )

    def criterion(passed: bool | None, reason: str, observed: str = "") -> Criterion:
        return Criterion(
            name=CRITERION, passed=passed, observed=observed, required=required, reason=reason, aspect="champion"
        )

    if summary is None or summary.challenger_version != challenger_version:
        return criterion(None, f"A trial on live traffic is demanded, but {challenger_version} had none.")
    if summary.last_decided_at is None or summary.compared_count < requirement.decisions:
        counted = f"{summary.compared_count:,} of {demanded}"
        return criterion(None, f"The trial on live traffic is too short: {counted} in shadow.", counted)
    age = (decided_on - summary.last_decided_at.date()).days
    if age > requirement.maximum_age_days:
        return criterion(None, f"The trial on live traffic ended {plural(age, 'day')} ago and counts no more.")
    p95_ms, lower = summary.challenger.p95_ms, summary.agreement_lower
    if p95_ms is None or lower is None or summary.agreement is None or not math.isfinite(p95_ms):
        return criterion(None, "The trial on live traffic has no scoring times, so it cannot be judged.")
    broken = []
    if lower < requirement.minimum_agreement:
        broken.append(f"only {summary.agreement:.2%} of the decisions are those of the champion")
    if p95_ms > requirement.maximum_p95_ms:
        broken.append(f"5 % of the decisions take more than {number_text(p95_ms, 1)} ms")
    if summary.challenger.error_share > requirement.maximum_error_share:
        broken.append(f"{plural(summary.challenger.errors_count, 'decision')} failed")
    observed = (
        f"{summary.compared_count:,} decisions, agreement {summary.agreement:.2%} (from {lower:.2%}), 95 % within "
        f"{number_text(p95_ms, 1)} ms, errors {summary.challenger.error_share:.2%}"
    )
    if broken:
        return criterion(False, f"On live traffic {' and '.join(broken)}.", observed)
    return criterion(True, f"The trial on live traffic keeps its limits: {observed}.", observed)


def _figures(rows: pd.DataFrame, errors_count: int, columns: DecisionColumns) -> ArmFigures:
    times = rows["scoring_ms"].dropna().astype(float)
    shares = _decisions(rows, columns, "").value_counts(normalize=True)
    return ArmFigures(
        decisions_count=len(rows),
        customers_count=int(rows["customer_key"].nunique()),
        errors_count=errors_count,
        median_ms=float(times.median()) if len(times) else None,
        p95_ms=float(times.quantile(0.95)) if len(times) else None,
        shares={str(name): float(share) for name, share in shares.items()},
    )


def _decisions(rows: pd.DataFrame, columns: DecisionColumns, suffix: str) -> "pd.Series[str]":
    parts = rows[[f"{name}{suffix}" for name in columns.decision]].astype(object)
    texts: pd.Series[str] = parts.where(parts.notna(), "nothing").astype(str).agg(" ".join, axis=1)
    return texts if len(rows) else pd.Series([], dtype=str)


def _share_found(trial: TrialSummary, champion: pd.DataFrame, told: pd.DataFrame) -> tuple[float | None, bool | None]:
    chosen = told["customer_key"].nunique()
    total = chosen + champion["customer_key"].nunique()
    if trial.mode == "shadow" or not total:
        return None, None
    found = chosen / total
    deviation = math.sqrt(trial.share * (1 - trial.share) / total)
    return found, abs(found - trial.share) <= max(_IMPLAUSIBLE_DEVIATIONS * deviation, 1e-9)


def _wilson_interval(count: int, total: int) -> tuple[float | None, float | None]:
    if not total:
        return None, None
    z = NormalDist().inv_cdf(0.975)
    share = count / total
    centre = (share + z**2 / (2 * total)) / (1 + z**2 / total)
    half = z / (1 + z**2 / total) * math.sqrt(share * (1 - share) / total + z**2 / (4 * total**2))
    return max(0.0, centre - half), min(1.0, centre + half)
