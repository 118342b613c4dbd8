"""Local months as arrays: days, day types, ticks in UTC. The holiday dates are those that dbt seeds."""

import calendar
import csv
import datetime as dt
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from orchestration.ingestion.holidays import HOLIDAYS_CSV

UTC_OFFSET_HOURS = 8
"""The county lies in China, which keeps one offset all year."""

WORKDAY, WEEKEND, HOLIDAY = range(3)
DAY_TYPES_COUNT = 3
MICROSECONDS_PER_MINUTE = 60_000_000


def days_since_1970(day: dt.date) -> int:
    """Return the number of a day."""
    return (day - dt.date(1970, 1, 1)).days


@lru_cache(maxsize=1)
def chinese_holidays() -> dict[dt.date, tuple[str, bool]]:
    """Return name and whether it is a working day for every Chinese date in the seed."""
    with HOLIDAYS_CSV.open(encoding="utf-8", newline="") as file:
        return {
            dt.date.fromisoformat(row["holiday_date"]): (row["name"], row["is_working_day"] == "true")
            for row in csv.DictReader(file)
            if row["jurisdiction"] == "CN"
        }


def day_type(day: dt.date) -> int:
    """Return WORKDAY, WEEKEND or HOLIDAY; make-up working days are work days, whatever the day of the week."""
    entry = chinese_holidays().get(day)
    if entry is not None:
        return WORKDAY if entry[1] else HOLIDAY
    return WEEKEND if day.weekday() >= 5 else WORKDAY


def spring_festival(year: int) -> dt.date | None:
    """Return the first day off of a year's Spring Festival, or None when the seed does not cover the year."""
    days = [day for day, (name, is_working) in chinese_holidays().items() if day.year == year and "Spring" in name]
    return min((day for day in days if day_type(day) == HOLIDAY), default=None)


@dataclass(frozen=True)
class MonthCalendar:
    """One local month.

    Attributes:
        first: First local day of the month.
        interval_minutes: Length of a tick.
    """

    first: dt.date
    interval_minutes: int

    @cached_property
    def days(self) -> list[dt.date]:
        """Local days of the month."""
        count = calendar.monthrange(self.first.year, self.first.month)[1]
        return [self.first + dt.timedelta(days=offset) for offset in range(count)]

    @property
    def days_count(self) -> int:
        """Number of local days."""
        return len(self.days)

    @property
    def slots_per_day(self) -> int:
        """Ticks in a local day."""
        return 1440 // self.interval_minutes

    @property
    def ticks_count(self) -> int:
        """Ticks in the month."""
        return self.days_count * self.slots_per_day

    @cached_property
    def day_types(self) -> np.ndarray:
        """Day type of each local day, shape (days,)."""
        return np.array([day_type(day) for day in self.days], dtype=np.int8)

    @cached_property
    def slot_hours(self) -> np.ndarray:
        """Local hour at the middle of each slot, shape (slots,)."""
        return (np.arange(self.slots_per_day, dtype=np.float32) + 0.5) * (self.interval_minutes / 60)

    @cached_property
    def read_at_us(self) -> np.ndarray:
        """Start of each tick in microseconds of UTC since 1970, shape (ticks,)."""
        start_minutes = days_since_1970(self.first) * 1440 - UTC_OFFSET_HOURS * 60
        minutes = start_minutes + np.arange(self.ticks_count, dtype=np.int64) * self.interval_minutes
        return minutes * MICROSECONDS_PER_MINUTE

    @cached_property
    def festival_offsets(self) -> np.ndarray:
        """Days since the Spring Festival's first day off, clipped to +-30, shape (days,)."""
        start = spring_festival(self.first.year)
        if start is None:
            return np.full(self.days_count, 30)
        return np.clip([(day - start).days for day in self.days], -30, 30)
