"""The small drill of every test run: the supplier of the finished home goes on, with bills in another unit."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from monitoring.drills import DailyAlarm, JudgedMonth, Replay, false_alarms, load_expectations, score_drill
from monitoring.verdicts import read_verdict, read_verdicts
from orchestration.drills import DrillPlan, replay_scenario
from orchestration.pipeline_health import collect_pipeline_health
from tests.integration.platform_home import USE_CASES, PlatformHome

# The first test that needs the finished home waits for it.
pytestmark = pytest.mark.timeout(3600)

SEED = 7
PLAN = DrillPlan(customers=420, seeds=(SEED,), start_month=date(2024, 9, 1), history_months=25)


@pytest.fixture(scope="module")
def before(finished_home: PlatformHome) -> Replay:
    """What the finished home said of its latest month and of its data, before the supplier went on."""
    reports_dir = finished_home.settings.reports_dir
    reviewed = read_verdicts(reports_dir).select("use_case", "month", "release").iter_rows()
    verdicts = [read_verdict(reports_dir, *row) for row in reviewed]
    with finished_home.instance() as instance:
        failed = collect_pipeline_health(finished_home.settings, instance, datetime.now(UTC)).failed_checks
    return Replay(
        scenario=None,
        seed=SEED,
        released_month=PLAN.month_at(0),
        months=tuple(JudgedMonth.of(verdict, verdict.month + timedelta(days=34)) for verdict in verdicts),
        daily_alarms=tuple(
            DailyAlarm(name=f"check: {check.asset} {check.check}", found_on=PLAN.month_at(1)) for check in failed
        ),
    )


def test_the_month_of_the_release_wakes_nobody(before: Replay) -> None:
    counts = false_alarms([before])

    assert sorted(counts) == sorted(USE_CASES)
    assert [count.model_months for count in counts.values()] == [1, 1, 1]
    assert sum(count.act_months for count in counts.values()) == 0
    assert sum(count.column_months for count in counts.values()) > 150


def test_bills_in_another_unit_are_caught_on_the_day_of_their_first_delivery(
    finished_home: PlatformHome, before: Replay, tmp_path: Path
) -> None:
    expectation = load_expectations()["unit_change"].model_copy(update={"onset_months": 1, "replayed_months": 1})

    replay = replay_scenario(PLAN, SEED, expectation, finished_home.path, tmp_path / "unit_change")
    as_before = [judged.model_copy(update={"month": PLAN.month_at(1)}) for judged in before.months]
    result = score_drill(expectation, replay, before.model_copy(update={"months": tuple(as_before)}))

    assert result.result == "caught"
    assert result.counted is not None
    assert result.counted.detector == "check: staging/stg_billing__bills bill_amounts_keep_their_unit"
    assert result.counted.days == 32
    assert {judged.outcome for judged in replay.months} == {"not_enough_data"}
