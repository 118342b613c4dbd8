"""Days and clocks: which type a local day has, and which price period each slot of it belongs to."""

import re
from collections.abc import Iterable
from datetime import date, timedelta
from functools import cached_property
from typing import Annotated, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from ml.columns import DAY_TYPES
from ml.errors import TariffError

DayType = Literal["workday", "weekend", "holiday"]
MonthNumber = Annotated[int, Field(ge=1, le=12)]

MINUTES_PER_DAY = 1440
ALL_PERIODS = "all"
_DAY_TYPES: tuple[DayType, ...] = ("workday", "weekend", "holiday")
_SATURDAY = 5
_CLOCK_RANGE = re.compile(r"([01]\d|2[0-4]):([0-5]\d)-([01]\d|2[0-4]):([0-5]\d)")


def month_starts(first: date, last: date) -> list[date]:
    """Return the first day of every month from ``first``'s to ``last``'s, both included."""
    count = (last.year - first.year) * 12 + last.month - first.month + 1
    return [date(first.year + (first.month - 1 + i) // 12, (first.month - 1 + i) % 12 + 1, 1) for i in range(count)]


def next_month(month: date) -> date:
    """Return the first day of the month after ``month``'s."""
    return date(month.year + month.month // 12, month.month % 12 + 1, 1)


def days_in_month(month: date) -> int:
    """Return the number of days of ``month``'s month."""
    return (next_month(month) - month.replace(day=1)).days


class DayCalendar:
    """Day types of local days: public holidays, weekends and working days.

    A day that the list does not mention is a weekend day on Saturday and Sunday and a workday otherwise.

    Args:
        holidays: Days off by law.
        working_days: Weekend days that are worked, such as the make-up days around Chinese holidays.
    """

    def __init__(self, holidays: Iterable[date] = (), working_days: Iterable[date] = ()) -> None:
        self.holidays = frozenset(holidays)
        self.working_days = frozenset(working_days)
        both = self.holidays & self.working_days
        if both:
            raise TariffError(f"{min(both)} is listed both as a holiday and as a working day: keep one of them")

    def day_type(self, day: date) -> DayType:
        """Return the type of a local day."""
        if day in self.holidays:
            return "holiday"
        if day.weekday() >= _SATURDAY and day not in self.working_days:
            return "weekend"
        return "workday"

    def day_type_codes(self, days: NDArray[np.datetime64]) -> NDArray[np.int8]:
        """Return the index in ``ml.columns.DAY_TYPES`` of every local day or local time in ``days``."""
        whole_days = days.astype("datetime64[D]")
        if not whole_days.size:
            return np.zeros(0, np.int8)
        first = whole_days.min()
        span = int((whole_days.max() - first).astype(int)) + 1
        start = first.astype(object)
        lookup = np.array([DAY_TYPES.index(self.day_type(start + timedelta(days=i))) for i in range(span)], np.int8)
        return lookup[(whole_days - first).astype(np.int64)]


class Schedule(BaseModel):
    """The clock of some months and day types.

    Attributes:
        months: Calendar months to which it applies.
        day_types: Day types to which it applies.
        periods: Ranges ``HH:MM-HH:MM`` per price period; a range may pass midnight.
        otherwise: Period of all remaining time; without it the ranges must cover the day.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    months: tuple[MonthNumber, ...] = tuple(range(1, 13))
    day_types: tuple[DayType, ...] = _DAY_TYPES
    periods: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    otherwise: str | None = None

    @model_validator(mode="after")
    def _covers_the_day_once(self) -> Self:
        self.minutes()
        return self

    def minutes(self) -> list[str]:
        """Return the period of each of the day's 1,440 minutes."""
        day: list[str | None] = [None] * MINUTES_PER_DAY
        for period, ranges in self.periods.items():
            for text in ranges:
                for minute in _minutes_of_range(text):
                    if day[minute] is not None:
                        raise ValueError(f"periods.{period}: {text} overlaps {day[minute]} at {_clock(minute)}")
                    day[minute] = period
        covered = [period or self.otherwise for period in day]
        if None in covered:
            gap = _clock(covered.index(None))
            raise ValueError(f"periods: no period at {gap}; add a range, or name the rest's period in `otherwise`")
        return [period for period in covered if period is not None]


class _Memo:
    """Period codes already computed. Equal only to itself, so that it plays no part when calendars are compared."""

    __slots__ = ("codes",)

    def __init__(self) -> None:
        self.codes: dict[tuple[int, int], NDArray[np.int8]] = {}


class Calendar(BaseModel):
    """Price periods by month, day type and clock; every month and day type is covered exactly once.

    Attributes:
        schedules: Clocks, each for some months and day types.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schedules: tuple[Schedule, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _covers_the_year_once(self) -> Self:
        owner: dict[tuple[int, DayType], int] = {}
        for index, schedule in enumerate(self.schedules):
            for month in schedule.months:
                for day_type in schedule.day_types:
                    if (month, day_type) in owner:
                        raise ValueError(
                            f"schedules[{index}]: month {month} {day_type} is already covered by "
                            f"schedules[{owner[month, day_type]}]"
                        )
                    owner[month, day_type] = index
        for month in range(1, 13):
            for day_type in _DAY_TYPES:
                if (month, day_type) not in owner:
                    raise ValueError(f"schedules: no schedule for month {month} {day_type}")
        if ALL_PERIODS in self.period_names:
            raise ValueError(f"schedules: `{ALL_PERIODS}` stands for every period and cannot name one")
        return self

    @property
    def period_names(self) -> tuple[str, ...]:
        """Names of the periods, in order of first appearance."""
        names: dict[str, None] = {}
        for schedule in self.schedules:
            names.update(dict.fromkeys(schedule.periods))
            if schedule.otherwise is not None:
                names[schedule.otherwise] = None
        return tuple(names)

    def period_codes(self, month: int, slot_minutes: int) -> NDArray[np.int8]:
        """Return the period of every day type and slot of a calendar month.

        Args:
            month: 1 to 12.
            slot_minutes: Length of a slot; the clock must not change inside one.

        Returns:
            Indices into ``period_names``, shape (day types, slots).
        """
        key = (month, slot_minutes)
        if key not in self._memo.codes:
            codes = self._computed_period_codes(month, slot_minutes)
            codes.setflags(write=False)
            self._memo.codes[key] = codes
        return self._memo.codes[key]

    @cached_property
    def _memo(self) -> "_Memo":
        return _Memo()

    def _computed_period_codes(self, month: int, slot_minutes: int) -> NDArray[np.int8]:
        names = {name: code for code, name in enumerate(self.period_names)}
        codes = np.empty((len(DAY_TYPES), MINUTES_PER_DAY // slot_minutes), np.int8)
        for schedule in self.schedules:
            if month not in schedule.months:
                continue
            minutes = np.array([names[period] for period in schedule.minutes()], np.int8).reshape(-1, slot_minutes)
            if (minutes != minutes[:, :1]).any():
                slot = int(np.nonzero((minutes != minutes[:, :1]).any(axis=1))[0][0])
                raise TariffError(
                    f"calendar: the period changes inside the {slot_minutes}-minute slot that starts at "
                    f"{_clock(slot * slot_minutes)} in month {month}; finer readings are needed to price this tariff"
                )
            for day_type in schedule.day_types:
                codes[DAY_TYPES.index(day_type)] = minutes[:, 0]
        return codes


def _minutes_of_range(text: str) -> Iterable[int]:
    match = _CLOCK_RANGE.fullmatch(text)
    if match is None:
        raise ValueError(f"periods: `{text}` is not a range such as 08:00-22:00")
    start_hour, start_minute, end_hour, end_minute = (int(part) for part in match.groups())
    start, end = start_hour * 60 + start_minute, end_hour * 60 + end_minute
    if start == end or start >= MINUTES_PER_DAY or end > MINUTES_PER_DAY:
        raise ValueError(f"periods: `{text}` is empty or passes 24:00")
    length = (end - start) % MINUTES_PER_DAY or MINUTES_PER_DAY
    return ((start + offset) % MINUTES_PER_DAY for offset in range(length))


def _clock(minute: int) -> str:
    return f"{minute // 60:02d}:{minute % 60:02d}"
