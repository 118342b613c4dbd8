import csv
import datetime as dt
from collections import Counter

import numpy as np
import pytest

from orchestration.ingestion.holidays import HOLIDAYS_CSV
from orchestration.ingestion.simulated_supplier.calendar import (
    HOLIDAY,
    WEEKEND,
    WORKDAY,
    MonthCalendar,
    day_type,
    spring_festival,
)


@pytest.mark.parametrize(
    ("day", "expected"),
    [
        ("2024-10-08", WORKDAY),
        ("2024-10-05", HOLIDAY),
        ("2024-10-12", WORKDAY),
        ("2024-10-13", WEEKEND),
        ("2025-01-26", WORKDAY),
        ("2025-01-29", HOLIDAY),
        ("2026-02-28", WORKDAY),
    ],
)
def test_make_up_days_are_workdays_and_days_off_are_holidays(day: str, expected: int) -> None:
    assert day_type(dt.date.fromisoformat(day)) == expected


@pytest.mark.parametrize(("year", "first_day_off"), [(2024, "2024-02-10"), (2025, "2025-01-28"), (2026, "2026-02-15")])
def test_spring_festival_begins_on_the_first_day_off(year: int, first_day_off: str) -> None:
    assert spring_festival(year) == dt.date.fromisoformat(first_day_off)


def test_festival_of_a_year_without_dates_is_unknown() -> None:
    assert spring_festival(2035) is None


def test_holiday_table_names_each_date_of_a_jurisdiction_once() -> None:
    with HOLIDAYS_CSV.open(encoding="utf-8", newline="") as file:
        counts = Counter((row["jurisdiction"], row["holiday_date"]) for row in csv.DictReader(file))

    assert max(counts.values()) == 1
    assert {jurisdiction for jurisdiction, _ in counts} == {"CN", "GB"}


def test_every_year_pays_for_long_holidays_with_weekend_work() -> None:
    for year in (2024, 2025, 2026):
        days = [dt.date(year, 1, 1) + dt.timedelta(days=offset) for offset in range(365)]
        made_up = [day for day in days if day.weekday() >= 5 and day_type(day) == WORKDAY]

        assert 5 <= len(made_up) <= 9


@pytest.mark.parametrize("interval_minutes", [15, 30, 60])
def test_ticks_are_the_local_month_in_utc(interval_minutes: int) -> None:
    calendar = MonthCalendar(dt.date(2024, 9, 1), interval_minutes)
    first = dt.datetime(2024, 8, 31, 16, tzinfo=dt.UTC)

    assert calendar.read_at_us[0] == first.timestamp() * 1_000_000
    assert np.diff(calendar.read_at_us).tolist() == [interval_minutes * 60_000_000] * (calendar.ticks_count - 1)
    assert calendar.ticks_count == 30 * 1440 // interval_minutes
