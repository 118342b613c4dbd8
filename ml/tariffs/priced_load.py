"""The load that is priced: energies and powers by window and part, from the cube or from located readings."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

import numpy as np
import pandas as pd
import polars as pl
from numpy.typing import NDArray

from ml.columns import CUSTOMER_KEY, DAY_TYPES
from ml.errors import TariffError
from ml.tariffs.calendar import Calendar, DayCalendar, month_starts
from ml.tariffs.exact import IntArray
from ml.tariffs.load_cube import LoadCube, located_readings, power_of
from ml.tariffs.schema import Tariff
from ml.tariffs.windows import Window, parts_of

MissingIntervals = Literal["as_zero", "refuse", "scale_to_complete"]


@dataclass(frozen=True)
class IntervalReadings:
    """Readings with their place in the load.

    Attributes:
        frame: ``customer`` and ``part`` as positions in the load, ``read_at`` (UTC), ``local_date``, ``minute``,
            ``day_type`` as a code, ``kwh`` and ``export_kwh`` in 1e-4; in order of customer and time.
        interval_minutes: Length of an interval.
    """

    frame: pl.DataFrame
    interval_minutes: int

    def period_codes(self, codes: NDArray[np.int8]) -> NDArray[np.int64]:
        """Return the price period of every reading.

        Args:
            codes: Periods, shape (parts, day types, slots).
        """
        part, day_type, minute = (self.frame.get_column(name).to_numpy() for name in ("part", "day_type", "minute"))
        return codes[part, day_type, minute // self.interval_minutes].astype(np.int64)


@dataclass(frozen=True)
class PricedLoad:
    """Loads of many customers over the windows that bills cover.

    Attributes:
        cube: Energies and powers; its second axis holds the parts of the windows, in order.
        windows: What each bill covers.
        parts: Runs of days of the windows.
        window_of_part: Position of each part's window.
        readings: Intervals, where the load was made from them.
        exported: Exported energy by the same axes as ``cube``, if metered.
    """

    cube: LoadCube
    windows: tuple[Window, ...]
    parts: tuple[Window, ...]
    window_of_part: NDArray[np.int64]
    readings: IntervalReadings | None = None
    exported: LoadCube | None = None
    _first_part: NDArray[np.int64] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_first_part", np.searchsorted(self.window_of_part, np.arange(len(self.windows))))

    @classmethod
    def of_cube(cls, cube: LoadCube) -> "PricedLoad":
        """Return the months of a cube as windows."""
        months = tuple(Window.of_month(month) for month in cube.months)
        return cls(cube, months, months, np.arange(len(months)))

    @classmethod
    def of_readings(
        cls,
        readings: pd.DataFrame | pl.DataFrame,
        tariff: Tariff,
        windows: Sequence[Window] | None,
        *,
        interval_minutes: int,
        time_zone: str,
        days: DayCalendar,
    ) -> "PricedLoad":
        """Return the load of windows, cut where the tariff needs energies apart.

        Args:
            readings: See ``LoadCube.from_intervals``; those outside of all windows are passed over.
            tariff: Says where to cut.
            windows: In order, without gaps; all calendar months that were read by default.
            interval_minutes: Length of an interval.
            time_zone: IANA name of the zone.
            days: Day types.
        """
        located = located_readings(readings, interval_minutes=interval_minutes, time_zone=time_zone, days=days)
        if windows is None:
            windows = _months_read(located)
        parts_by_window = parts_of(tariff, windows)
        parts = [part for found in parts_by_window for part in found]
        window_of_part = np.repeat(np.arange(len(windows)), [len(found) for found in parts_by_window])
        located = _with_parts(located, parts)
        edges = [(part.first, part.end) for part in parts]
        cube = LoadCube.of_parts(located, edges, interval_minutes=interval_minutes, time_zone=time_zone)
        frame = located.select(
            pl.col(CUSTOMER_KEY).cast(pl.Enum(list(cube.customer_keys))).to_physical().cast(pl.Int64).alias("customer"),
            "part",
            "read_at",
            "local_date",
            "minute",
            pl.col("day_type").replace_strict(
                {name: code for code, name in enumerate(DAY_TYPES)}, return_dtype=pl.Int64
            ),
            "kwh",
            "export_kwh",
        ).sort("customer", "read_at")
        exported = None
        if frame.get_column("export_kwh").null_count() < len(frame):
            sold = located.with_columns(pl.col("export_kwh").fill_null(0).alias("kwh"))
            exported = LoadCube.of_parts(sold, edges, interval_minutes=interval_minutes, time_zone=time_zone)
        return cls(
            cube=cube,
            windows=tuple(windows),
            parts=tuple(parts),
            window_of_part=window_of_part,
            readings=IntervalReadings(frame, interval_minutes),
            exported=exported,
        )

    @property
    def is_whole(self) -> bool:
        """Whether every window is one part."""
        return len(self.parts) == len(self.windows)

    @property
    def shape(self) -> tuple[int, int]:
        """Customers and windows."""
        return len(self.cube), len(self.windows)

    @property
    def present(self) -> NDArray[np.bool_]:
        """Whether a customer has any reading in a window, shape (customers, windows)."""
        return (
            self.cube.present if self.is_whole else np.logical_or.reduceat(self.cube.present, self._first_part, axis=1)
        )

    def sum_by_window(self, by_part: IntArray) -> IntArray:
        """Return sums over the parts of each window; the second axis holds the parts."""
        return by_part if self.is_whole else np.add.reduceat(by_part, self._first_part, axis=1)

    def largest_by_window(self, by_part: IntArray) -> IntArray:
        """Return the largest value of the parts of each window."""
        return by_part if self.is_whole else np.maximum.reduceat(by_part, self._first_part, axis=1)

    def sum_of_days(self, by_part: IntArray, days: Sequence[Window | None]) -> IntArray:
        """Return sums over the parts inside ``days`` of each window, zero where it is None."""
        if self.is_whole and all(found is not None for found in days):
            return by_part
        sums = np.zeros((len(by_part), len(self.windows)), np.int64)
        for index, part in enumerate(self.parts):
            window = int(self.window_of_part[index])
            found = days[window]
            if found is not None and found.contains(part.first):
                sums[:, window] += by_part[:, index]
        return sums

    def kwh(self) -> IntArray:
        """Return energy in 1e-4 kWh, shape (customers, windows)."""
        return self.sum_by_window(self.cube.month_kwh())

    def peak_kw(self) -> IntArray:
        """Return the largest interval power in 1e-4 kW, shape (customers, windows)."""
        return self.largest_by_window(self.cube.month_peak_kw())

    def coverage_pct(self) -> NDArray[np.float64]:
        """Share of expected intervals that were read, in %; NaN where none were expected."""
        read, expected = (
            self.sum_by_window(counts) for counts in (self.cube.interval_count, self.cube.expected_interval_count)
        )
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(expected > 0, 100.0 * read / expected, np.nan)

    def period_codes(self, calendar: Calendar) -> NDArray[np.int8]:
        """Return the period of every part, day type and slot."""
        by_month = {
            month: calendar.period_codes(month, self.cube.slot_minutes)
            for month in {part.first.month for part in self.parts}
        }
        return np.stack([by_month[part.first.month] for part in self.parts])

    def block_peak_kw(self, minutes: int, is_in_period: NDArray[np.bool_] | None) -> IntArray:
        """Return the largest mean power over blocks of the local clock, in 1e-4 kW, shape (customers, windows).

        Args:
            minutes: Length of a block.
            is_in_period: Where blocks count by the slot in which they start, shape (parts, day types, slots).

        Raises:
            TariffError: The readings are longer than a block.
        """
        readings = self.readings
        if readings is None or minutes % readings.interval_minutes:
            length = self.cube.slot_minutes if readings is None else readings.interval_minutes
            raise TariffError(
                f"interval_minutes: demand over {minutes} minutes cannot be told from readings of {length} minutes"
            )
        frame = readings.frame.with_columns(into_block=pl.col("minute") % minutes)
        blocks = (
            frame.with_columns(block_at=pl.col("read_at") - pl.duration(minutes=pl.col("into_block")))
            .group_by("customer", "block_at")
            .agg(
                pl.col("part", "day_type").first(),
                (pl.col("minute") - pl.col("into_block")).first().alias("minute"),
                pl.col("kwh").sum(),
            )
        )
        if is_in_period is not None:
            columns = (blocks.get_column(name).to_numpy() for name in ("part", "day_type", "minute"))
            part, day_type, minute = columns
            blocks = blocks.filter(pl.Series(is_in_period[part, day_type, minute // readings.interval_minutes]))
        largest = np.zeros(self.shape, np.int64)
        customer, part, kwh = (blocks.get_column(name).to_numpy() for name in ("customer", "part", "kwh"))
        np.maximum.at(largest, (customer, self.window_of_part[part]), power_of(kwh, minutes))
        return largest

    def with_opening(self, opening_kwh: IntArray) -> "PricedLoad":
        """Return the load with known energy from 1 January until the first window."""
        return replace_cube(self, replace(self.cube, opening_kwh=opening_kwh))


def replace_cube(load: PricedLoad, cube: LoadCube) -> PricedLoad:
    """Return the load with other energies and powers on the same axes."""
    return PricedLoad(cube, load.windows, load.parts, load.window_of_part, load.readings, load.exported)


def _months_read(located: pl.DataFrame) -> list[Window]:
    first, last = located.select(pl.col("month").min(), pl.col("month").max().alias("last")).row(0)
    return [Window.of_month(month) for month in month_starts(first, last)]


def _with_parts(located: pl.DataFrame, parts: Sequence[Window]) -> pl.DataFrame:
    """Return the readings inside the parts, with ``part`` and its first day as ``month``."""
    starts = np.array([part.first for part in parts], "datetime64[D]")
    days = located.get_column("local_date").unique().sort()
    position = np.searchsorted(starts, days.to_numpy().astype("datetime64[D]"), side="right") - 1
    is_inside = (position >= 0) & (days.to_numpy().astype("datetime64[D]") < np.datetime64(parts[-1].end))
    places = pl.DataFrame(
        {"local_date": days, "part": position, "month": [parts[max(index, 0)].first for index in position]}
    ).filter(pl.Series(is_inside))
    inside = located.drop("month").join(places, on="local_date")
    if inside.is_empty():
        raise TariffError(
            f"readings: none lies in the billing periods from {parts[0].first} to {parts[-1].last}; nothing to price"
        )
    return inside


def complete(load: PricedLoad, missing: MissingIntervals, label: str) -> PricedLoad:
    """Return the load as the policy for intervals that were not read wants it.

    Args:
        load: The load.
        missing: ``as_zero`` leaves it; ``refuse`` wants every window complete; ``scale_to_complete`` multiplies
            energies by expected / read intervals of their part of a window.
        label: Begins the messages.

    Raises:
        TariffError: A window is not complete, or it is not known whether it is.
    """
    if missing not in get_args(MissingIntervals):
        raise TariffError(f"missing: `{missing}` is not one of {', '.join(get_args(MissingIntervals))}")
    if missing == "as_zero":
        return load
    cube, present = load.cube, load.present
    read, expected = cube.interval_count, cube.expected_interval_count
    is_unread = present[:, load.window_of_part] & ((expected <= 0) | (read <= 0))
    lacks = present & (load.sum_by_window(read) < load.sum_by_window(expected))
    is_refused = is_unread if missing == "scale_to_complete" else lacks[:, load.window_of_part] | is_unread
    if is_refused.any():
        row, part = (int(found[0]) for found in np.nonzero(is_refused))
        raise TariffError(
            f"{label}: missing `{missing}`: customer {cube.customer_keys[row]} has {read[row, part]} of "
            f"{expected[row, part]} intervals from {load.parts[part].first} to {load.parts[part].last}"
        )
    if missing == "refuse":
        return load
    lacks = read < expected
    numerator = np.where(lacks, expected, 1)
    denominator = np.where(lacks, read, 1)

    def scaled(values: IntArray) -> IntArray:
        shape = numerator.shape + (1,) * (values.ndim - 2)
        top, bottom = numerator.reshape(shape), denominator.reshape(shape)
        return (2 * values * top + bottom) // (2 * bottom)

    whole = replace(cube, kwh=scaled(cube.kwh), kvarh=None if cube.kvarh is None else scaled(cube.kvarh), _cache={})
    exported = load.exported
    if exported is not None:
        exported = replace(exported, kwh=scaled(exported.kwh), _cache={})
    return replace_cube(replace(load, exported=exported), whole)
