"""When a verdict opens a training, when it does not and why, and what becomes of those that were opened."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest
from dagster._core.storage.tags import WILL_RETRY_TAG
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from ml.gate import GateDecision
from monitoring.pipeline_health import DeliveredRows, FailedCheck, PipelineHealth, SourceFreshness, UnreadFile
from monitoring.policy import RetrainingRule
from monitoring.retrainings import Retraining, RetrainingStatus, read_retrainings, record_retraining
from monitoring.verdicts import Reason, Severity, Verdict
from orchestration.assets.release import build_release_asset, stop_at_faults
from orchestration.ingestion.magnitudes import ChangedMagnitude
from orchestration.lifecycle import decision_dir
from orchestration.retraining import (
    BROKEN_DATA,
    RUN_TAG,
    Evidence,
    consider,
    follow_up,
    refusals_by_evidence,
    run_key,
)
from orchestration.settings import PlatformSettings
from orchestration.use_cases import CreditRisk
from serving.model_store import ModelStore
from tests.unit.monitoring.test_verdicts import verdict

NOW = datetime(2026, 9, 5, 8, tzinfo=UTC)
RULE = RetrainingRule(
    cooldown_days=30,
    trainings_per_quarter=2,
    quarantined_pct=5,
    minimum_delivered_rows=100,
    reason="Limits of a test that are easy to count",
)


def delivered(entity: str, rows_in: int, rows_quarantined: int, month: int = 8) -> DeliveredRows:
    return DeliveredRows(
        month=date(2026, month, 1),
        entity=entity,
        rows_in=rows_in,
        rows_loaded=rows_in - rows_quarantined,
        rows_corrected=0,
        rows_duplicate=0,
        rows_quarantined=rows_quarantined,
        quarantined_by_reason={},
    )


def arrived(entity: str, month: int) -> SourceFreshness:
    """Return a monthly source that arrived last in a month of this year."""
    at = datetime(2026, month, 2, tzinfo=UTC)
    return SourceFreshness(entity=entity, deliveries_count=9, last_known_at=at, last_landed_at=at, usual_gap_days=31)


def arrivals(payments_rows: int = 1000, **month_by_entity: int) -> Evidence:
    rows = {"payments": payments_rows}
    return evidence(
        sources=tuple(arrived(entity, month) for entity, month in month_by_entity.items()),
        deliveries=tuple(delivered(entity, rows.get(entity, 1000), 0) for entity in month_by_entity),
    )


def failed_check(asset: str, severity: str) -> FailedCheck:
    return FailedCheck.model_validate(
        {
            "asset": asset,
            "check": "unique_bill_id",
            "severity": severity,
            "description": "",
            "evaluated_at": NOW,
            "failing_since": NOW,
        }
    )


def evidence(*, is_new: bool = True, magnitudes: tuple[ChangedMagnitude, ...] = (), **health: Any) -> Evidence:
    return Evidence(
        health=PipelineHealth(collected_at=NOW, **health),
        upstream=frozenset({"landing/bills", "landing/payments", "staging/stg_bills"}),
        is_new=is_new,
        magnitudes=magnitudes,
    )


def act(month: int = 8, code: str = "prediction_drift", severity: Severity = "act") -> Verdict:
    reason = Reason(code=code, severity=severity, sentence_en="It was found.", sentence_zh="发现。")
    return verdict(month=date(2026, month, 1), outcome="act").model_copy(update={"reasons": (reason,)})


def considered(
    about: Verdict,
    lines: list[Retraining],
    found: Evidence | None = None,
    *,
    now: datetime = NOW,
    is_left_to_a_person: bool = False,
) -> Retraining | None:
    return consider(about, lines, RULE, lambda: found or evidence(), is_left_to_a_person=is_left_to_a_person, now=now)


def opened(at: datetime, status: RetrainingStatus = "released", month: int = 7) -> Retraining:
    """Return a training that was opened and has come to a result."""
    line = considered(act(month), [], now=at)
    assert line is not None
    return line.model_copy(update={"status": status})


def codes(line: Retraining | None) -> list[str]:
    assert line is not None
    return [refusal.code for refusal in line.refusals]


def test_verdict_on_fit_data_opens_a_training() -> None:
    line = considered(act(), [])

    assert line is not None
    assert (line.status, line.opened_at, line.refusals) == ("opened", NOW, ())
    assert line.why_en == "Credit risk, 2026-08: Act. It was found."


def test_training_is_left_to_a_person_by_default_and_the_data_is_not_looked_at() -> None:
    def look() -> Evidence:
        raise AssertionError("nobody asked for it")

    line = consider(act(), [], RULE, look, is_left_to_a_person=True, now=NOW)

    assert codes(line) == ["left_to_a_person"]


@pytest.mark.parametrize("code", sorted(BROKEN_DATA))
def test_fault_of_a_source_refuses_the_training_and_says_what_to_repair(code: str) -> None:
    line = considered(act(code=code, severity="watch"), [])

    assert codes(line) == [code]
    assert line is not None
    assert line.refusals[0].sentence_en == "The data is broken or incomplete, look at its source first: It was found."


def test_fault_that_counts_for_nothing_refuses_nothing() -> None:
    line = considered(act(code="files_unreadable", severity="info"), [])

    assert line is not None
    assert line.status == "opened"


@pytest.mark.parametrize(
    ("found", "code"),
    [
        (evidence(deliveries=(delivered("bills", 100, 5),)), "quarantine"),
        (evidence(deliveries=(delivered("bills", 99, 90),)), None),
        (evidence(deliveries=(delivered("bills", 1000, 49),)), None),
        (evidence(deliveries=(delivered("bills", 100, 90, month=7), delivered("bills", 100, 0))), None),
        (evidence(unread_files=(UnreadFile(entity="bills", source_file="b.csv", landed_at=NOW),)), "unread_files"),
        (evidence(failed_checks=(failed_check("staging/stg_bills", "ERROR"),)), "failed_checks"),
        (evidence(failed_checks=(failed_check("staging/stg_bills", "WARN"),)), None),
        (evidence(failed_checks=(failed_check("marts/customer_portrait", "ERROR"),)), None),
        (evidence(deliveries=(delivered("weather", 100, 90),)), None),
        (arrivals(bills=8, payments=7), "late_source"),
        (arrivals(bills=8, payments=8), None),
        (arrivals(bills=3, payments=3), None),
        (arrivals(bills=8, weather=3), None),
        (arrivals(bills=8, payments=3, payments_rows=4), None),
        (evidence(magnitudes=(ChangedMagnitude("bills", "amount", "2026-09", 120.0, 1.2),)), "unit_suspicion"),
        (evidence(is_new=False), "no_new_data"),
    ],
)
def test_state_of_the_data_decides(found: Evidence, code: str | None) -> None:
    assert [refusal.code for refusal in refusals_by_evidence(found, RULE)] == ([code] if code else [])


def test_cooldown_says_when_it_ends() -> None:
    line = considered(act(), [opened(NOW - timedelta(days=10))])

    assert codes(line) == ["cooldown"]
    assert line is not None
    assert line.refusals[0].sentence_en.endswith("the policy waits 30 days, until 2026-09-25.")


def test_cooldown_ends_to_the_minute() -> None:
    history = [opened(NOW - timedelta(days=30))]
    early, due = (considered(act(), history, now=NOW - timedelta(minutes=minutes)) for minutes in (1, 0))

    assert early is not None
    assert due is not None
    assert (early.status, due.status) == ("refused", "opened")


def test_budget_is_of_the_calendar_quarter() -> None:
    july, august = datetime(2026, 7, 1, tzinfo=UTC), datetime(2026, 8, 2, tzinfo=UTC)
    history = [opened(july, month=6), opened(august, month=7)]

    in_september = considered(act(), history, now=datetime(2026, 9, 30, 23, tzinfo=UTC))
    in_october = considered(act(), history, now=datetime(2026, 10, 1, tzinfo=UTC))

    assert codes(in_september) == ["budget"]
    assert in_october is not None
    assert in_october.status == "opened"


@pytest.mark.parametrize("status", ["opened", "released", "gate_refused", "awaits_approval", "not_enough_data"])
def test_one_verdict_opens_one_training(status: RetrainingStatus) -> None:
    assert considered(act(8), [opened(NOW, status, month=8)], now=NOW + timedelta(days=400)) is None


def test_training_that_broke_down_may_be_opened_again_after_the_cooldown() -> None:
    history = [opened(NOW, "failed", month=8)]

    assert codes(considered(act(8), history, now=NOW + timedelta(days=29))) == ["cooldown"]
    again = considered(act(8), history, now=NOW + timedelta(days=31))
    assert again is not None
    assert again.status == "opened"


def test_nothing_is_opened_while_another_training_runs() -> None:
    assert considered(act(8), [opened(NOW - timedelta(days=300), "opened", month=7)]) is None


def test_refusal_is_recorded_once_and_anew_when_its_reason_changes() -> None:
    first = considered(act(), [], evidence(is_new=False))
    assert first is not None

    assert considered(act(), [first], evidence(is_new=False), now=NOW + timedelta(minutes=5)) is None
    assert codes(considered(act(), [first], evidence(deliveries=(delivered("bills", 100, 50),)))) == ["quarantine"]
    healed = considered(act(), [first])
    assert healed is not None
    assert healed.status == "opened"


RESULTS: list[RetrainingStatus] = ["released", "gate_refused", "failed", "not_enough_data", "awaits_approval"]
DATA = [evidence(), evidence(), evidence(is_new=False), evidence(deliveries=(delivered("bills", 100, 9),))]
LOOK = st.tuples(
    st.floats(0.01, 45.0),
    st.integers(1, 12),
    st.sampled_from(
        [evidence(), evidence(), evidence(is_new=False), evidence(deliveries=(delivered("bills", 100, 9),))]
    ),
    st.sampled_from(["prediction_drift", "prediction_drift", "missing_rise"]),
    st.sampled_from(RESULTS),
)


@hypothesis_settings(max_examples=200)
@given(looks=st.lists(LOOK, max_size=40))
def test_no_sequence_of_verdicts_makes_a_storm(looks) -> None:
    """Whatever is reviewed and however trainings end, they stay apart, within the budget, and on fit data."""
    lines: list[Retraining] = []
    now = NOW
    for days, month, found, code, result in looks:
        now += timedelta(days=days)
        line = considered(act(month, code), lines, found, now=now)
        assert considered(act(month, code), [*lines, line] if line else lines, found, now=now) is None
        if line is None:
            continue
        lines.append(line)
        if line.status == "opened":
            assert code not in BROKEN_DATA
            assert found == evidence()
            lines.append(line.model_copy(update={"status": result}))
    moments = sorted({line.opened_at for line in lines if line.opened_at})
    assert all(later - earlier >= timedelta(days=RULE.cooldown_days) for earlier, later in pairwise(moments))
    quarters = [(at.year, (at.month - 1) // 3) for at in moments]
    assert all(quarters.count(quarter) <= RULE.trainings_per_quarter for quarter in quarters)
    settled = [line.retraining_id for line in lines if line.status in RESULTS and line.status != "failed"]
    assert len(settled) == len(set(settled))


@pytest.fixture
def settings(tmp_path: Path) -> PlatformSettings:
    return PlatformSettings(home=tmp_path, _env_file=None)  # type: ignore[call-arg]  # pydantic-settings' own


def run_of(retraining: Retraining, instance: dg.DagsterInstance, train: Callable[[dg.OpExecutionContext], None]) -> str:
    """Do a run as the sensor starts it, with a training that does as told."""

    @dg.op(name="models__credit_risk")
    def training(context: dg.OpExecutionContext) -> None:
        train(context)

    @dg.job
    def retrain_model() -> None:
        training()

    result = retrain_model.execute_in_process(
        instance=instance, tags={RUN_TAG: run_key(retraining)}, raise_on_error=False
    )
    return result.run_id


def gave(version: str | None) -> Callable[[dg.OpExecutionContext], None]:
    metadata = {"version": version} if version else {"status": "no model"}

    def train(context: dg.OpExecutionContext) -> None:
        context.log_event(dg.AssetMaterialization(["models", "credit_risk"], metadata=metadata))

    return train


def broke_down(_context: dg.OpExecutionContext) -> None:
    raise dg.Failure("out of memory", allow_retries=False)


def decided(settings: PlatformSettings, version: str, *, approved: bool) -> None:
    decision = GateDecision(
        use_case="credit_risk",
        approved=approved,
        decided_on=NOW.date(),
        policy_valid_from=date(2026, 1, 1),
        criteria=(),
        reason="As the gate says.",
    )
    folder = decision_dir(settings, "credit_risk", version)
    folder.mkdir(parents=True)
    (folder / "decision.json").write_text(decision.model_dump_json())


def followed(settings: PlatformSettings, instance: dg.DagsterInstance, now: datetime = NOW) -> Retraining:
    for line in follow_up(CreditRisk(), settings, instance, now):
        record_retraining(line, settings.reports_dir)
    [standing] = read_retrainings(settings.reports_dir, "credit_risk")
    return standing


@pytest.mark.parametrize(
    ("train", "approved", "status"),
    [
        (gave("v2"), True, "awaits_approval"),
        (gave("v2"), False, "gate_refused"),
        (gave(None), None, "not_enough_data"),
        (broke_down, None, "failed"),
    ],
)
def test_result_of_a_run_is_recorded(settings, train, approved: bool | None, status: str) -> None:
    line = opened(NOW, "opened")
    record_retraining(line, settings.reports_dir)
    if approved is not None:
        decided(settings, "v2", approved=approved)
    with dg.DagsterInstance.ephemeral() as instance:
        run_id = run_of(line, instance, train)
        standing = followed(settings, instance)
        again = followed(settings, instance)

    assert (standing.status, standing.run_id) == (status, run_id)
    assert standing.gate_reason == ("As the gate says." if approved is not None else "")
    assert again == standing


def test_run_that_is_started_again_is_waited_for(settings) -> None:
    """A retry repeats the tags; what the second run says counts."""
    line = opened(NOW, "opened")
    record_retraining(line, settings.reports_dir)
    decided(settings, "v2", approved=False)
    with dg.DagsterInstance.ephemeral() as instance:
        died = run_of(line, instance, broke_down)
        instance.add_run_tags(died, {WILL_RETRY_TAG: "true"})
        assert followed(settings, instance).status == "opened"
        again = run_of(line, instance, gave("v2"))
        standing = followed(settings, instance)

    assert (standing.status, standing.run_id) == ("gate_refused", again)


def test_release_by_a_person_is_recorded_later(settings, monkeypatch: pytest.MonkeyPatch) -> None:
    line = opened(NOW, "awaits_approval").model_copy(update={"challenger_version": "v2"})
    record_retraining(line, settings.reports_dir)
    decided(settings, "v2", approved=True)
    released = SimpleNamespace(name="0002-v2", bundle_version="v2")
    monkeypatch.setattr(ModelStore, "list_releases", lambda _store, _use_case: [released])
    with dg.DagsterInstance.ephemeral() as instance:
        standing = followed(settings, instance)

    assert (standing.status, standing.released_as) == ("released", "0002-v2")


def test_training_whose_run_never_started_is_given_up_after_a_day(settings) -> None:
    record_retraining(opened(NOW, "opened"), settings.reports_dir)
    with dg.DagsterInstance.ephemeral() as instance:
        assert followed(settings, instance, NOW + timedelta(hours=23)).status == "opened"
        assert followed(settings, instance, NOW + timedelta(hours=25)).status == "failed"


def test_what_broke_since_a_training_was_opened_keeps_its_challenger_from_release(
    settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = evidence(is_new=False, deliveries=(delivered("bills", 1000, 60),))
    monkeypatch.setattr("orchestration.retraining._evidence", lambda *_: broken)
    reviewed = act(code="missing_rise")
    monkeypatch.setattr("orchestration.retraining.latest_verdicts", lambda _: [reviewed])
    context: Any = SimpleNamespace(instance=None, repository_def=SimpleNamespace(asset_graph=None))

    with pytest.raises(dg.Failure, match=r"nothing is released by itself.*6\.0 % of the rows of bills") as stopped:
        stop_at_faults(CreditRisk(), settings, context)
    assert "The data is broken or incomplete" in str(stopped.value)

    fit = evidence(is_new=False)
    monkeypatch.setattr("orchestration.retraining._evidence", lambda *_: fit)
    monkeypatch.setattr("orchestration.retraining.latest_verdicts", lambda _: [act()])
    stop_at_faults(CreditRisk(), settings, context)


@pytest.mark.parametrize("tags", [{}, {RUN_TAG: "credit_risk-2026-08"}], ids=["by a person", "by the sensor"])
def test_only_a_release_that_the_sensor_leads_to_is_checked_again(
    settings, monkeypatch: pytest.MonkeyPatch, tags: dict[str, str]
) -> None:
    asked = []
    monkeypatch.setattr("orchestration.assets.release.stop_at_faults", lambda *_: asked.append(True))
    monkeypatch.setattr("orchestration.assets.release.current_marts", lambda _: None)
    monkeypatch.setattr("orchestration.assets.release.release_challenger", lambda *_, **__: None)
    monkeypatch.setattr("orchestration.assets.release.settle_trial", lambda *_: None)

    done = dg.materialize([build_release_asset(CreditRisk())], resources={"settings": settings}, tags=tags)

    assert (done.success, asked) == (True, [True] if tags else [])
