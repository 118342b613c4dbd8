"""Our own asset checks: what each demands, and how a result of the domain becomes a check result.

dbt's tests become checks by themselves; the checks here are those that dbt cannot make.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import dagster as dg

if TYPE_CHECKING:
    from ml.gate import GateDecision
    from ml.sufficiency import SufficiencyReport
    from ml.trials import TrialRequirement, TrialSummary
    from monitoring.acknowledgements import Told
    from monitoring.verdicts import Verdict
    from orchestration.lifecycle import ScoredMonth
    from orchestration.serving_parity import Parity

RECONCILED = "rows_reconcile"
HOLIDAYS = "holidays_are_known"
SUFFICIENT = "data_is_sufficient"
GATE = "release_gate"
SCORED = "every_customer_is_scored"
STABLE = "no_drift_that_matters"
TRIED = "trial_keeps_its_limits"
ONLINE_AS_OFFLINE = "online_equals_offline"

WARN = dg.AssetCheckSeverity.WARN
ERROR = dg.AssetCheckSeverity.ERROR

NOTHING_TO_JUDGE = "There is no model to judge, because the data is not sufficient."


def reconciled_spec(asset: dg.AssetKey) -> dg.AssetCheckSpec:
    """Return the check that no row was lost between a file and the landing."""
    return dg.AssetCheckSpec(
        RECONCILED,
        asset=asset,
        blocking=True,
        description="Per file: rows in = rows loaded + exact duplicates + rows quarantined with a reason.",
    )


def holidays_spec(asset: dg.AssetKey) -> dg.AssetCheckSpec:
    """Return the check that public holidays are known wherever there are readings."""
    return dg.AssetCheckSpec(
        HOLIDAYS,
        asset=asset,
        description="Each local year with readings has holidays of the jurisdiction in dbt_project/seeds/holidays.csv; "
        "without them public holidays count as working days or weekends.",
    )


def holidays_result(asset: dg.AssetKey, missing: str) -> dg.AssetCheckResult:
    """Return the result for a sentence about missing holidays; they warn, since the data is right without them."""
    return dg.AssetCheckResult(
        asset_key=asset,
        check_name=HOLIDAYS,
        passed=not missing,
        severity=WARN,
        description=missing or "Each year with readings has holidays.",
    )


def sufficient_spec(asset: dg.AssetKey) -> dg.AssetCheckSpec:
    """Return the check that a use case has the data that it needs."""
    return dg.AssetCheckSpec(
        SUFFICIENT,
        asset=asset,
        description="History, coverage and labels allow a model. When not, the sentence says what is missing.",
    )


def sufficient_result(report: "SufficiencyReport") -> dg.AssetCheckResult:
    """Return the result of the sufficiency check; too little data warns and stops nothing else."""
    return dg.AssetCheckResult(
        check_name=SUFFICIENT, passed=report.is_sufficient, severity=WARN, description=report.sentence()
    )


def gate_spec(asset: dg.AssetKey) -> dg.AssetCheckSpec:
    """Return the check that stands between a model and its release."""
    return dg.AssetCheckSpec(
        GATE,
        asset=asset,
        blocking=True,
        description="Better than the named baselines, not worse than the champion, calibrated, stable and within "
        "the limits. Anything missing refuses the release.",
    )


def gate_result(decision: "GateDecision | None") -> dg.AssetCheckResult:
    """Return the gate's result; ``None`` means that there was no model, so nothing must be blocked."""
    if decision is None:
        return dg.AssetCheckResult(check_name=GATE, passed=False, severity=WARN, description=NOTHING_TO_JUDGE)
    return dg.AssetCheckResult(check_name=GATE, passed=decision.approved, severity=ERROR, description=decision.reason)


def scored_spec(asset: dg.AssetKey) -> dg.AssetCheckSpec:
    """Return the check that a month was scored completely."""
    return dg.AssetCheckSpec(
        SCORED, asset=asset, description="Each chosen month has a prediction for every customer with features."
    )


def scored_result(months: Sequence["ScoredMonth"]) -> dg.AssetCheckResult:
    """Return the result for the months that were to be scored."""
    missing = [f"{month.month:%Y-%m} ({month.note})" for month in months if month.path is None]
    return dg.AssetCheckResult(
        check_name=SCORED,
        passed=not missing,
        severity=WARN,
        description="Not scored: " + ", ".join(missing) if missing else "All months are scored.",
    )


def trial_spec(asset: dg.AssetKey) -> dg.AssetCheckSpec:
    """Return the check that holds a trial on live traffic against its limits."""
    return dg.AssetCheckSpec(
        TRIED,
        asset=asset,
        description="Enough decisions in shadow, agreement with the champion, speed and errors, as "
        "KILOWISE_TRIAL_REQUIREMENTS demands them, else by the default limits. It warns; where a trial is demanded, "
        "the gate refuses.",
    )


def trial_result(summary: "TrialSummary | None", requirement: "TrialRequirement | None") -> dg.AssetCheckResult:
    """Return the result for a trial; without one there is nothing to hold against anything."""
    from ml.trials import TrialRequirement, judge_trial

    if summary is None:
        return dg.AssetCheckResult(
            check_name=TRIED, passed=requirement is None, severity=WARN, description="No challenger was tried."
        )
    criterion = judge_trial(
        summary,
        requirement or TrialRequirement(),
        challenger_version=summary.challenger_version,
        decided_on=(summary.last_decided_at or summary.started_at).date(),
    )
    return dg.AssetCheckResult(
        check_name=TRIED,
        passed=criterion.passed is True,
        severity=WARN,
        description=criterion.reason,
        metadata={"required": criterion.required},
    )


def parity_spec(asset: dg.AssetKey) -> dg.AssetCheckSpec:
    """Return the check that the API answers what the offline path would have answered."""
    return dg.AssetCheckSpec(
        ONLINE_AS_OFFLINE,
        asset=asset,
        description="Logged answers, computed again, are the same to the last digit: predictions by their release, "
        "features by the marts, features of raw rows by the definitions of the marts.",
    )


def parity_result(parity: "Parity") -> dg.AssetCheckResult:
    """Return the result of a comparison; any difference is an error."""
    return dg.AssetCheckResult(
        check_name=ONLINE_AS_OFFLINE, passed=parity.is_equal, severity=ERROR, description=parity.sentence
    )


def stable_spec(asset: dg.AssetKey) -> dg.AssetCheckSpec:
    """Return the check that carries the verdict of a drift review."""
    return dg.AssetCheckSpec(
        STABLE,
        asset=asset,
        description="The verdict on the latest reviewed month, without the findings that its owner silenced: stable "
        "passes; what is an error and what warns is said by the policy of the use case (by default act is an error, "
        "watch and 'not enough data' warn). docs/review.md says by finding what to do first.",
    )


def stable_result(verdict: "Verdict | None", told: "Told | None" = None) -> dg.AssetCheckResult:
    """Return the verdict as a check result; no release means that there is nothing to review.

    Args:
        verdict: The verdict.
        told: What is told of it, given what is silenced; None if nothing is.
    """
    if verdict is None:
        return dg.AssetCheckResult(
            check_name=STABLE, passed=False, severity=WARN, description="No model is released, so nothing is reviewed."
        )
    outcome = verdict.outcome if told is None else told.outcome
    metadata: dict[str, dg.MetadataValue] = {
        "month": dg.MetadataValue.text(f"{verdict.month:%Y-%m}"),
        "outcome": dg.MetadataValue.text(verdict.outcome),
        "month alone": dg.MetadataValue.text(verdict.finding_outcome),
        "release": dg.MetadataValue.text(verdict.release),
        "owner": dg.MetadataValue.text(verdict.owner),
        "what to do": dg.MetadataValue.text(verdict.reasons[0].runbook),
    }
    if verdict.leading_columns:
        metadata["columns that matter most"] = dg.MetadataValue.text(", ".join(verdict.leading_columns))
    records = () if told is None else (*told.silences, *told.acknowledgements)
    if records:
        metadata["recorded"] = dg.MetadataValue.md("\n".join(f"- {record.sentence()}" for record in records))
    return dg.AssetCheckResult(
        check_name=STABLE,
        passed=outcome == "stable",
        severity=ERROR if outcome in verdict.error_outcomes else WARN,
        description=verdict.sentence() if outcome == verdict.outcome else f"{verdict.sentence()} {told_words(outcome)}",
        metadata=metadata,
    )


def told_words(outcome: str) -> str:
    """Return that findings are silenced, and what is left."""
    left = "nothing is left" if outcome == "stable" else f"{outcome.replace('_', ' ')} is left"
    return f"Findings are silenced; {left}."
