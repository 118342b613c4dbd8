"""A verdict as asset check: what is silenced does not fail it, and the policy says what is an error."""

from datetime import UTC, date, datetime

import dagster as dg
import pytest

from monitoring.acknowledgements import Acknowledgement, Told
from monitoring.verdicts import Outcome, Reason, Verdict
from orchestration import checks

ERROR, WARN = dg.AssetCheckSeverity.ERROR, dg.AssetCheckSeverity.WARN


def verdict(outcome: Outcome, error_outcomes: tuple[Outcome, ...] = ("act",)) -> Verdict:
    reason = Reason(code="column_drift", severity="act", sentence_en="It moved.", sentence_zh="偏移。")
    return Verdict(
        use_case="credit_risk",
        month=date(2026, 8, 1),
        release="0001",
        model_version="v1",
        outcome=outcome,
        reasons=(reason,),
        columns=(),
        rows_current=1_000,
        rows_available=1_000,
        rows_reference=1_000,
        columns_judged=60,
        columns_drifted=1,
        prediction_column="default_probability",
        prediction_score=0.3,
        leading_columns=("late_bills_3m_count", "oldest_debt_days"),
        error_outcomes=error_outcomes,
        policy_version="2026-01-01",
        owner="the owner",
        reviewed_at=datetime(2026, 9, 5, tzinfo=UTC),
        report_path=None,
    )


@pytest.mark.parametrize(
    ("outcome", "error_outcomes", "passed", "severity"),
    [
        ("stable", ("act",), True, WARN),
        ("not_enough_data", ("act",), False, WARN),
        ("watch", ("act",), False, WARN),
        ("act", ("act",), False, ERROR),
        ("act", (), False, WARN),
        ("not_enough_data", ("act", "not_enough_data"), False, ERROR),
    ],
)
def test_the_policy_says_which_outcome_is_an_error(
    outcome: Outcome, error_outcomes: tuple[Outcome, ...], passed: bool, severity: dg.AssetCheckSeverity
) -> None:
    result = checks.stable_result(verdict(outcome, error_outcomes))
    assert (result.passed, result.severity) == (passed, severity)


def test_the_check_names_owner_what_to_do_and_the_columns_that_matter_most() -> None:
    result = checks.stable_result(verdict("act"))
    assert result.description == "Credit risk, 2026-08: Act. It moved."
    told = {name: value.value for name, value in result.metadata.items()}
    assert told["owner"] == "the owner"
    assert told["what to do"] == "docs/review.md#finding-column-drift"
    assert told["columns that matter most"] == "late_bills_3m_count, oldest_debt_days"
    assert "recorded" not in told


def test_what_is_silenced_does_not_fail_the_check_but_stands_in_it() -> None:
    silence = Acknowledgement(
        kind="silence",
        identifier="0a1b2c3d",
        use_case="credit_risk",
        code="column_drift",
        by="A. Owner",
        reason="The feed is repaired.",
        recorded_at=datetime(2026, 9, 5, tzinfo=UTC),
        until=date(2026, 9, 30),
    )
    act = verdict("act")
    quiet = checks.stable_result(act, Told(outcome="stable", silenced=act.reasons, silences=(silence,)))
    half = checks.stable_result(act, Told(outcome="watch", silenced=act.reasons, silences=(silence,)))

    assert quiet.passed
    assert quiet.description == "Credit risk, 2026-08: Act. It moved. Findings are silenced; nothing is left."
    assert "column_drift silenced until 2026-09-30 by A. Owner" in str(quiet.metadata["recorded"].value)
    assert (half.passed, half.severity) == (False, WARN)
    assert half.description is not None
    assert half.description.endswith("Findings are silenced; watch is left.")


def test_without_a_release_there_is_nothing_to_review() -> None:
    result = checks.stable_result(None)
    assert (result.passed, result.severity) == (False, WARN)
