"""The page of service quality tells which targets are missed, for how long, and how each segment is served."""

from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from monitoring.service_quality_page import MART, figure, read_service_page
from monitoring.site import build_site

MONTHS = [date(2026, month, 1) for month in (6, 7, 8, 9)]


def _row(month: date, dimension: str, value: str, **changes: Any) -> dict[str, Any]:
    name = {"R1": ("Evening peak", "晚峰型")}.get(value, (value, value))
    return {
        "month": month,
        "dimension": dimension,
        "value": value,
        "value_name": name[0],
        "value_name_zh": name[1],
        "contacts_count": 40,
        "responded_contacts_count": 40,
        "median_hours_to_response": 0.1,
        "p90_hours_to_response": 0.4,
        "closed_contacts_count": 38,
        "mean_hours_to_close": 9.0,
        "median_hours_to_close": 5.5,
        "p90_hours_to_close": 30.0,
        "share_closed_24h_pct": 80.0,
        "satisfaction_answers_count": 25,
        "mean_satisfaction": 4.2,
        "repeat_contacts_count": 2,
        "judged_contacts_count": 3 if month == MONTHS[-1] else 40,
        "answered_first_time_pct": 100.0 if month == MONTHS[-1] else 92.5,
        **changes,
    }


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Four months in which the telephone is answered too late in the last two."""
    rows = [
        _row(month, dimension, value)
        for month in MONTHS
        for dimension, value in (("total", "total"), ("topic", "outage"), ("segment", "R1"), ("district", "<b>x</b>"))
    ]
    rows += [
        _row(month, "channel", "phone", p90_hours_to_response=2.5 if month >= MONTHS[2] else 0.3) for month in MONTHS
    ]
    version = tmp_path / "marts" / "after_models" / "versions" / "v1"
    version.mkdir(parents=True)
    pl.DataFrame(rows).write_parquet(version / f"{MART}.parquet")
    (version.parents[1] / "CURRENT").write_text("v1", encoding="utf-8")
    return tmp_path


def test_missed_targets_come_first_with_how_long_they_are_missed(home: Path) -> None:
    page = read_service_page(home)

    assert page is not None
    outage, telephone = page.missed
    # Outages take thirty hours in every month, the telephone is late in the last two.
    assert page.targets[:2] == (outage, telephone)
    assert (outage.title.en, outage.missed_months) == ("Outage: Closed, nine of ten within", 4)
    assert (telephone.title.en, telephone.missed_months) == ("Telephone: First answer, nine of ten within", 2)
    assert telephone.limit == "≤ 30 min"
    assert [month.outcome for month in telephone.months] == ["met", "met", "missed", "missed"]


def test_repetition_is_told_of_the_latest_month_in_which_it_is_known(home: Path) -> None:
    page = read_service_page(home)

    assert page is not None
    assert (page.month, page.judged_month) == (MONTHS[3], MONTHS[2])
    segment = page.tables[0].rows[0]
    assert segment.title.zh == "晚峰型"
    assert (segment.contacts, segment.repeated, segment.first_time) == ("40", "5.0 %", "92.5 %")
    assert segment.response == ("6 min", "24 min")
    assert segment.closing == ("5.5 h", "30.0 h")


def test_a_target_that_nobody_contacted_for_is_not_judged(home: Path) -> None:
    page = read_service_page(home)

    assert page is not None
    app = next(row for row in page.targets if row.title.en.startswith("App"))
    assert app.latest is None
    assert app.missed_months == 0


def test_a_target_that_was_missed_long_ago_and_not_judged_since_is_not_called_missed(home: Path) -> None:
    path = home / "marts" / "after_models" / "versions" / "v1" / f"{MART}.parquet"
    late = pl.DataFrame([_row(MONTHS[0], "topic", "complaint", p90_hours_to_close=400.0)])
    pl.concat([pl.read_parquet(path), late]).write_parquet(path)
    page = read_service_page(home)

    assert page is not None
    complaint = next(row for row in page.targets if row.title.en.startswith("Complaint"))
    assert complaint.missed_months == 1
    assert complaint not in page.missed


def test_without_the_mart_or_without_contacts_there_is_no_page(home: Path, tmp_path: Path) -> None:
    path = home / "marts" / "after_models" / "versions" / "v1" / f"{MART}.parquet"
    pl.read_parquet(path).clear().write_parquet(path)

    assert read_service_page(home) is None
    assert read_service_page(tmp_path / "nowhere") is None


def test_the_site_leads_to_the_page_and_shows_values_as_text(home: Path) -> None:
    index = build_site(home)
    page = index.with_name("service_quality.html").read_text(encoding="utf-8")

    assert 'href="service_quality.html"' in index.read_text(encoding="utf-8")
    assert "Telephone: First answer, nine of ten within" in index.read_text(encoding="utf-8")
    assert "&lt;b&gt;x&lt;/b&gt;" in page
    assert "<b>x</b>" not in page
    assert "晚峰型" in page
    assert len(page) < 200_000


@pytest.mark.parametrize(
    ("measure", "value", "text"),
    [
        ("p90_hours_to_close", 0.5, "30 min"),
        ("p90_hours_to_close", 71.0, "71.0 h"),
        ("p90_hours_to_close", 96.0, "4.0 d"),
        ("mean_satisfaction", 4.234, "4.23"),
        ("answered_first_time_pct", 92.04, "92.0 %"),
        ("answered_first_time_pct", None, "–"),
    ],
)
def test_figures_have_units_that_a_reader_expects(measure: str, value: float | None, text: str) -> None:
    assert figure(measure, value) == text
