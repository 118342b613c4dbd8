"""A drill depends on its plan alone, and leaves the home that it starts from as it was."""

from datetime import date
from pathlib import Path

import pytest

from orchestration.drills import MONTHS_AT_ONCE, DrillPlan, copy_home


def test_months_count_from_the_last_that_the_release_knew() -> None:
    plan = DrillPlan(start_month=date(2024, 1, 1), history_months=24)

    assert [plan.month_at(number) for number in (0, 1, 24)] == [
        date(2025, 12, 1),
        date(2026, 1, 1),
        date(2027, 12, 1),
    ]


def test_the_environment_of_the_operator_counts_for_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KILOWISE_INBOX", "/somewhere/else")
    monkeypatch.setenv("KILOWISE_DEFAULT_DAYS", "60")
    monkeypatch.setenv("KILOWISE_ENVIRONMENT", "production")

    settings = DrillPlan().settings(tmp_path)

    assert settings.inbox_dir == tmp_path / "inbox"
    assert settings.default_days == DrillPlan().default_days
    assert not settings.simulate


def test_the_default_plan_stays_within_the_months_whose_holidays_and_tariffs_are_embedded() -> None:
    plan = DrillPlan()

    assert plan.start_month >= date(2024, 1, 1)
    assert plan.month_at(plan.quiet_months) <= date(2027, 12, 1)
    assert len(set(plan.seeds)) == 10
    assert plan.quiet_months % MONTHS_AT_ONCE == 0


def test_a_copy_of_a_home_changes_without_the_home(tmp_path: Path) -> None:
    source = tmp_path / "released"
    for name in ("inbox/2026-01-02/bills.csv", "warehouse/kilowise.duckdb"):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text("before", encoding="utf-8")

    copy_home(source, tmp_path / "copy")
    (tmp_path / "copy" / "warehouse" / "kilowise.duckdb").write_text("after", encoding="utf-8")

    assert (source / "warehouse" / "kilowise.duckdb").read_text(encoding="utf-8") == "before"
    assert (tmp_path / "copy" / "inbox/2026-01-02/bills.csv").samefile(source / "inbox/2026-01-02/bills.csv")
