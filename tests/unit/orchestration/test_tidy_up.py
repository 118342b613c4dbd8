"""Tidying up: what is old goes, what anybody still needs stays."""

import os
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from orchestration.jobs import tidy_up
from orchestration.settings import PlatformSettings
from orchestration.tidy_up import remove_old_logs, remove_old_report_pages, remove_old_runs

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


def test_the_job_does_it_all_on_an_empty_home(
    settings: PlatformSettings,
) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        result = tidy_up.execute_in_process(instance=instance, resources={"settings": settings})
        assert result.success
