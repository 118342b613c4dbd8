"""What one bill covers: calendar months or billing periods, cut where prices change, and their shares of months."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise
from typing import Generic, Literal, TypeVar

from ml.errors import TariffError
from ml.tariffs.calendar import month_starts, next_month
from ml.tariffs.exact import IntArray
from ml.tariffs.schema import DatedTable, EnergyComponent, Tariff

Proration = Literal["by_days", "none"]
TableT = TypeVar("TableT", bound=DatedTable)
QuantityT = TypeVar("QuantityT", int, IntArray)


@dataclass(frozen=True, slots=True)
class Window:
    """Local days from ``first`` to before ``end``."""

    first: date
    end: date

    @classmethod
    def of_month(cls, month: date) -> "Window":
        """Return a calendar month."""
        return cls(month, next_month(month))

    @property
    def days(self) -> int:
        """Number of days."""
        return (self.end - self.first).days

    @property
    def last(self) -> date:
        """Last day."""
        return self.end - timedelta(days=1)

    @property
    def is_calendar_month(self) -> bool:
        """Whether the window is one whole calendar month."""
        return self.first.day == 1 and self.end == next_month(self.first)

    def contains(self, day: date) -> bool:
        """Return whether ``day`` lies in the window."""
        return self.first <= day < self.end

    def cut_at(self, days: Sequence[date]) -> list["Window"]:
        """Return the parts of the window that begin with it and with each of ``days`` inside it."""
        edges = [self.first, *sorted({day for day in days if self.first < day < self.end}), self.end]
        return [Window(first, end) for first, end in pairwise(edges)]

    def inner_month_starts(self) -> list[date]:
        """Return the firsts of months after the window's first day."""
        return [month for month in month_starts(self.first, self.last) if month > self.first]


@dataclass(frozen=True, slots=True)
class Stretch(Generic[TableT]):
    """A run of days of a window that one table prices."""

    days: Window
    table: TableT


def stretches(window: Window, tables: Sequence[TableT]) -> list[Stretch[TableT]]:
    """Return the runs of days of ``window`` with one table each, in order."""
    if window.is_calendar_month and len(tables) == 1:
        return [Stretch(window, tables[0])]
    cuts = [day for table in tables for day in table.changes] + window.inner_month_starts()
    found: list[Stretch[TableT]] = []
    for part in window.cut_at(cuts):
        table = table_on(part.first, tables)
        if found and found[-1].table is table:
            found[-1] = Stretch(Window(found[-1].days.first, part.end), table)
        else:
            found.append(Stretch(part, table))
    return found


def days_of(runs: Sequence[Stretch[TableT] | None]) -> tuple[Window | None, ...]:
    """Return the days of stretches."""
    return tuple(None if run is None else run.days for run in runs)


def table_on(day: date, tables: Sequence[TableT]) -> TableT:
    """Return the table that prices a day."""
    return next(table for table in tables if table.applies_to(day))


def parts_of(tariff: Tariff, windows: Sequence[Window]) -> list[list[Window]]:
    """Return each window cut wherever the tariff needs energy apart: where tables change, and on 1 January."""
    cuts_by_window = []
    for window in windows:
        cuts: list[date] = []
        for component in tariff.components:
            tables: Sequence[DatedTable] = getattr(component, "tables", ())
            cuts += [stretch.days.first for stretch in stretches(window, tables)] if tables else []
            if isinstance(component, EnergyComponent) and component.tiers and component.tiers.basis == "year":
                cuts += [month for month in window.inner_month_starts() if month.month == 1]
        # Clocks differ by month, so a part never holds days of two months.
        cuts_by_window.append(window.cut_at(cuts + window.inner_month_starts()))
    return cuts_by_window


def share_of_days(quantity: QuantityT, days: Window, window: Window, proration: Proration) -> QuantityT:
    """Return what falls to ``days`` of a quantity per month, in its own unit rounded half up.

    Shares of the parts of a whole month add up to ``quantity`` exactly. With ``proration`` ``none`` the window,
    whatever its length, counts as one month.
    """
    if days.is_calendar_month and (proration == "by_days" or days == window):
        return quantity
    if proration == "none" and not window.is_calendar_month:
        return _share(quantity, days, window)
    total = quantity * 0
    for month in month_starts(days.first, days.last):
        civil = Window.of_month(month)
        inside = Window(max(days.first, civil.first), min(days.end, civil.end))
        total = total + _share(quantity, inside, civil)
    return total


def share_of_window(quantity: QuantityT, days: Window, window: Window) -> QuantityT:
    """Return what falls to ``days`` of a quantity of the whole window, rounded half up."""
    return quantity if days == window else _share(quantity, days, window)


def _share(quantity: QuantityT, days: Window, whole: Window) -> QuantityT:
    start, end = (days.first - whole.first).days, (days.end - whole.first).days
    return (2 * quantity * end + whole.days) // (2 * whole.days) - (2 * quantity * start + whole.days) // (
        2 * whole.days
    )


def billing_windows(periods: Sequence[tuple[date, date]]) -> tuple[Window, ...]:
    """Return consecutive billing periods as windows.

    Args:
        periods: First day, and day after the last, of each; a period starts on the day on which the one before ends.

    Raises:
        TariffError: A period is empty, or does not start where the one before it ends.
    """
    if not periods:
        raise TariffError("periods: none were given, so there is nothing to price")
    windows = tuple(Window(first, end) for first, end in periods)
    for index, window in enumerate(windows):
        if window.end <= window.first:
            raise TariffError(f"periods[{index}]: ends on {window.end}, not after its first day {window.first}")
        if index and windows[index - 1].end != window.first:
            raise TariffError(
                f"periods[{index}]: starts on {window.first}, and the one before it ends on {windows[index - 1].end}; "
                "billing periods follow each other without gap or overlap"
            )
    return windows


def check_validity(tariff: Tariff, windows: Sequence[Window]) -> None:
    """Refuse windows that do not lie wholly in the validity of the tariff."""
    for window in windows:
        if not (tariff.is_valid_on(window.first) and tariff.is_valid_on(window.last)):
            shown = f"{window.first:%Y-%m}" if window.is_calendar_month else f"{window.first} to {window.last}"
            raise TariffError(
                f"{tariff.tariff_id} version {tariff.version}: valid from {tariff.valid_from} "
                f"to {tariff.valid_to or 'further notice'}, so it cannot price {shown}"
            )
