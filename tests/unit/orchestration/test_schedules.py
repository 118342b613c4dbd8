"""What the schedules start, for which month."""

from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import dagster as dg
import pytest

from orchestration.partitions import build_monthly_partitions
from orchestration.schedules import build_schedules
from orchestration.settings import PlatformSettings


@pytest.fixture
def schedules(tmp_path: Path) -> dict[str, dg.ScheduleDefinition]:
    settings = PlatformSettings(home=tmp_path, as_of_lag_days=5)
    return {schedule.name: schedule for schedule in build_schedules(settings, build_monthly_partitions(settings))}


@pytest.mark.parametrize("name", ["score_customers_monthly", "review_drift_monthly"])
@pytest.mark.parametrize(("tick", "month"), [("2026-03-06 05:00", "2026-02-01"), ("2026-01-06 06:00", "2025-12-01")])
def test_monthly_schedule_takes_the_month_before_its_tick_however_late_it_is_evaluated(
    schedules: dict[str, dg.ScheduleDefinition], name: str, tick: str, month: str
) -> None:
    moment = datetime.fromisoformat(tick).replace(tzinfo=ZoneInfo("Asia/Shanghai"))

    request = schedules[name](dg.build_schedule_context(scheduled_execution_time=moment))

    assert isinstance(request, dg.RunRequest)
    assert request.partition_key == month
    assert request.run_key == f"{name}-{month}"


def test_month_is_scored_when_the_lag_is_over_and_reviewed_after_its_scoring(
    schedules: dict[str, dg.ScheduleDefinition],
) -> None:
    assert schedules["score_customers_monthly"].cron_schedule == "0 5 6 * *"
    assert schedules["review_drift_monthly"].cron_schedule == "0 6 6 * *"


def test_schedules_wait_for_an_operator_and_keep_local_time(schedules: dict[str, dg.ScheduleDefinition]) -> None:
    assert {schedule.default_status for schedule in schedules.values()} == {dg.DefaultScheduleStatus.STOPPED}
    assert {schedule.execution_timezone for schedule in schedules.values()} == {"Asia/Shanghai"}
