import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from orchestration.pipeline_health import collect_pipeline_health
from orchestration.run_costs import STEP_COSTS
from orchestration.settings import PlatformSettings

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.fixture
def settings(tmp_path: Path) -> PlatformSettings:
    return PlatformSettings(home=tmp_path, _env_file=None)


def read_file(entity: str, rows_in: int, **counts: Any) -> dict[str, Any]:
    quarantined = counts.get("quarantined_by_reason", {})
    refused = sum(quarantined.values())
    duplicate = counts.get("rows_duplicate", 0)
    return {
        "entity": entity,
        "source_file": f"{entity}.csv",
        "rows_in": rows_in,
        "rows_loaded": rows_in - refused - duplicate,
        "rows_corrected": 0,
        "rows_duplicate": duplicate,
        "rows_quarantined": refused,
        "quarantined_by_reason": quarantined,
        "retried_delivery_id": counts.get("retried_delivery_id"),
    }


def land(settings: PlatformSettings, name: str, *files: dict[str, Any], unreadable: tuple[str, ...] = ()) -> None:
    folder = settings.landing_dir / "deliveries" / name
    folder.mkdir(parents=True)
    manifest = {
        "delivery_id": name,
        "known_at": f"{name[:10]}T06:00:00",
        "landed_at": f"{name[:10]}T07:30:00",
        "files": files,
        "unreadable": [{"entity": "bills", "source_file": file, "message": "torn"} for file in unreadable],
    }
    (folder / "delivery.json").write_text(json.dumps(manifest), encoding="utf-8")


def collect(settings: PlatformSettings, instance: dg.DagsterInstance | None = None) -> Any:
    with instance or dg.DagsterInstance.ephemeral() as history:
        return collect_pipeline_health(settings, history, NOW)


def test_a_home_without_a_delivery_or_a_run_is_healthy_by_ignorance_and_says_so(settings) -> None:
    health = collect(settings)
    assert (health.sources, health.deliveries, health.runs, health.checks_count) == ((), (), (), 0)


def test_the_rhythm_of_a_source_is_the_middle_gap_between_its_deliveries(settings) -> None:
    for name in ("2026-06-02-a", "2026-07-02-b", "2026-08-02-c", "2026-09-12-d"):
        land(settings, name, read_file("bills", 100))
    land(settings, "2026-07-05-e", read_file("tariffs", 3))

    bills, tariffs = collect(settings).sources

    assert (bills.entity, bills.deliveries_count, bills.usual_gap_days) == ("bills", 4, 31)
    assert bills.last_known_at == datetime(2026, 9, 12, 6, tzinfo=UTC)
    assert bills.last_landed_at == datetime(2026, 9, 12, 7, 30, tzinfo=UTC)
    assert bills.state(NOW) == "late"
    assert tariffs.state(NOW) == "no_rhythm"


def test_rows_of_a_month_are_the_sums_over_its_deliveries(settings) -> None:
    land(settings, "2026-07-02-a", read_file("bills", 100, rows_duplicate=10, quarantined_by_reason={"orphan": 5}))
    land(settings, "2026-07-20-b", read_file("bills", 50, quarantined_by_reason={"wrong_type": 2}))

    [july] = collect(settings).deliveries

    assert (july.month, july.entity) == (date(2026, 7, 1), "bills")
    assert (july.rows_in, july.rows_loaded, july.rows_duplicate, july.rows_quarantined) == (150, 133, 10, 7)
    assert july.quarantined_by_reason == {"orphan": 5, "wrong_type": 2}


def test_an_orphan_that_is_taken_up_later_leaves_the_quarantine_of_its_month(settings) -> None:
    land(settings, "2026-07-02-a", read_file("bills", 100, quarantined_by_reason={"orphan": 5}))
    retry = read_file("bills", 5, retried_delivery_id="2026-07-02-a", quarantined_by_reason={"wrong_type": 1})
    land(settings, "2026-08-02-b", retry)

    health = collect(settings)

    [july] = health.deliveries
    assert (july.rows_in, july.rows_loaded, july.rows_quarantined) == (100, 99, 1)
    assert july.quarantined_by_reason == {"wrong_type": 1}
    assert health.sources[0].deliveries_count == 1


def test_a_file_that_could_not_be_read_is_named_until_it_is(settings) -> None:
    land(settings, "2026-07-02-a", read_file("meters", 1), unreadable=("bills.csv", "other.csv"))
    assert [file.source_file for file in collect(settings).unread_files] == ["bills.csv", "other.csv"]
    land(settings, "2026-07-03-b", read_file("bills", 100))
    assert [file.source_file for file in collect(settings).unread_files] == ["other.csv"]


def evaluated_table(outcomes: dict[str, bool]) -> dg.AssetsDefinition:
    @dg.asset(name="table", check_specs=[dg.AssetCheckSpec(name, asset="table") for name in outcomes])
    def table() -> dg.MaterializeResult:
        return dg.MaterializeResult(
            check_results=[
                dg.AssetCheckResult(check_name=name, passed=passed, description=f"{name} was looked at")
                for name, passed in outcomes.items()
            ]
        )

    return table


def test_a_check_that_fails_is_told_with_the_first_of_its_failures_in_a_row(settings) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        for outcomes in ({"keys": False, "sums": True}, {"keys": True, "sums": False}, {"keys": True, "sums": False}):
            dg.materialize([evaluated_table(outcomes)], instance=instance)
        health = collect_pipeline_health(settings, instance, NOW)

    [failed] = health.failed_checks
    assert (failed.asset, failed.check, failed.severity) == ("table", "sums", "ERROR")
    assert failed.description == "sums was looked at"
    assert failed.failing_since < failed.evaluated_at
    assert health.checks_count == 2
    assert [run.status for run in health.runs] == ["success"] * 3
    assert [step.step for step in health.slowest_steps] == ["table"]


def test_a_run_tells_what_its_steps_used(settings: PlatformSettings) -> None:
    @dg.op
    def nothing() -> None:
        """Do nothing."""

    @dg.job(hooks=STEP_COSTS)
    def cheap() -> None:
        nothing()

    with dg.DagsterInstance.ephemeral() as instance:
        cheap.execute_in_process(instance=instance)
        [run] = collect_pipeline_health(settings, instance, NOW).runs
    assert run.cost is not None
    assert run.cost.peak_memory_bytes > 10_000_000
