"""Tidying up: what is old goes, what anybody still needs stays."""

import os
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from orchestration.ingestion.retention import RemovedReadings
from orchestration.jobs import tidy_up
from orchestration.settings import PlatformSettings
from orchestration.tidy_up import (
    first_kept_month,
    remove_abandoned_scorings,
    remove_old_logs,
    remove_old_report_pages,
    remove_old_runs,
)

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.fixture
def settings(tmp_path: Path) -> PlatformSettings:
    return PlatformSettings(home=tmp_path / "home", _env_file=None)


@dg.op
def do_nothing() -> None:
    """Do nothing."""


@dg.job
def nightly() -> None:
    do_nothing()


@dg.job
def scoring() -> None:
    do_nothing()


def runs_of(instance: dg.DagsterInstance) -> list[str]:
    return [record.dagster_run.run_id for record in instance.get_run_records()]


def test_old_runs_go_but_the_last_of_each_job_and_of_each_month_stay(settings: PlatformSettings) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        old = [nightly.execute_in_process(instance=instance).run_id for _ in range(3)]
        month = {"dagster/partition": "2026-09-01"}
        scored_twice = [scoring.execute_in_process(instance=instance, tags=month).run_id for _ in range(2)]
        other_month = scoring.execute_in_process(instance=instance, tags={"dagster/partition": "2026-10-01"}).run_id

        removed = remove_old_runs(settings, instance, datetime.now(UTC) + timedelta(days=401))

        assert removed.count == 3
        assert set(runs_of(instance)) == {old[-1], scored_twice[-1], other_month}


def test_young_runs_stay(settings: PlatformSettings) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        for _ in range(3):
            nightly.execute_in_process(instance=instance)
        assert remove_old_runs(settings, instance, datetime.now(UTC) + timedelta(days=399)).count == 0
        assert len(runs_of(instance)) == 3


def test_logs_of_long_ago_go_with_their_empty_folder(settings: PlatformSettings, tmp_path: Path) -> None:
    for name, days in (("old", 31), ("young", 29)):
        log = tmp_path / "dagster" / "storage" / name / "compute_logs" / "step.out"
        log.parent.mkdir(parents=True)
        log.write_text("hello", encoding="utf-8")
        at = (NOW - timedelta(days=days)).timestamp()
        for path in (log, log.parent):
            os.utime(path, (at, at))

    removed = remove_old_logs(settings, tmp_path / "dagster", NOW, tmp_path / "dbt_project")

    assert (removed.count, removed.size_bytes) == (1, 5)
    assert [path.name for path in (tmp_path / "dagster" / "storage").iterdir()] == ["young"]


def test_pages_of_old_months_say_that_they_were_removed_and_everything_else_stays(settings: PlatformSettings) -> None:
    pages = {}
    for month in ("2024-10", "2024-11", "2026-10"):
        folder = settings.reports_dir / "credit_risk" / month / "0001-202609-abc"
        folder.mkdir(parents=True)
        pages[month] = folder / "report.html"
        pages[month].write_text("<p>figures</p>" * 1000, encoding="utf-8")
        (folder / "verdict.json").write_text("{}", encoding="utf-8")
    decision = settings.reports_dir / "credit_risk" / "decisions" / "202403-abc" / "model_card.html"
    decision.parent.mkdir(parents=True)
    decision.write_text("card", encoding="utf-8")

    removed = remove_old_report_pages(settings, ["credit_risk"], date(2026, 11, 22))

    assert (removed.count, removed.size_bytes) == (1, 14_000)
    assert "KILOWISE_RETAINED_REPORT_MONTHS" in pages["2024-10"].read_text(encoding="utf-8")
    assert pages["2024-11"].stat().st_size == pages["2026-10"].stat().st_size == 14_000
    assert pages["2024-10"].with_name("verdict.json").exists()
    assert decision.read_text(encoding="utf-8") == "card"
    assert remove_old_report_pages(settings, ["credit_risk"], date(2026, 11, 22)).count == 0


def test_what_a_killed_scoring_left_goes_and_what_a_living_one_writes_stays(settings: PlatformSettings) -> None:
    month = settings.predictions_dir / "batch" / "credit_risk" / "as_of_month=2026-10-01"
    old = (NOW - timedelta(hours=25)).timestamp()
    for name in (".parts-killed/a.part", ".0f3c.parquet", ".parts-living/a.part", "predictions.parquet"):
        path = month / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"rows")
        os.utime(path, (old, old))
    # The last part was written a minute ago.
    (month / ".parts-living" / "b.part").write_bytes(b"rows")
    recent = (NOW - timedelta(minutes=1)).timestamp()
    for path, at in (
        (month / ".parts-living" / "b.part", recent),
        (month / ".parts-living", recent),
        (month / ".parts-killed", old),
    ):
        os.utime(path, (at, at))

    removed = remove_abandoned_scorings(settings, NOW)

    assert (removed.count, removed.size_bytes) == (2, 8)
    assert {path.name for path in month.iterdir()} == {".parts-living", "predictions.parquet"}


def test_months_are_kept_as_whole_months_before_the_current_one() -> None:
    assert first_kept_month(date(2026, 11, 22), 28) == date(2024, 7, 1)
    assert first_kept_month(date(2026, 1, 1), 1) == date(2025, 12, 1)


def test_the_job_tells_the_landing_which_readings_it_removed(
    settings: PlatformSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "orchestration.ingestion.retention.remove_old_readings",
        lambda _landing, _first_kept: RemovedReadings((date(2020, 1, 1),), 1, 24, 2_000_000),
    )
    kept = settings.model_copy(update={"retained_reading_months": 28})
    with dg.DagsterInstance.ephemeral() as instance:
        assert tidy_up.execute_in_process(instance=instance, resources={"settings": kept}).success
        [record] = instance.fetch_observations(dg.AssetKey(["landing", "meter_readings"]), limit=5).records
    told = record.asset_observation
    assert told is not None
    assert told.metadata["months removed"].value == "2020-01"
    assert told.metadata["rows removed"].value == 24


def test_the_job_does_it_all_on_an_empty_home(
    settings: PlatformSettings,
) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        result = tidy_up.execute_in_process(instance=instance, resources={"settings": settings})
        assert result.success
