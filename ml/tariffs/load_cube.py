"""The load cube: per customer, month, day type and time slot the energy and the largest power, as exact integers.

The cube is a sufficient statistic for every tariff whose prices depend on month, day type and clock. Energies and
powers are ``int64`` in 1e-4 kWh and 1e-4 kW, so that sums are exact in any order.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from ml.columns import CUSTOMER_KEY, DAY_TYPES
from ml.errors import SchemaMismatchError
from ml.tariffs.calendar import MINUTES_PER_DAY, DayCalendar, days_in_month, month_starts, next_month
from ml.tariffs.exact import QUANTITY_DECIMALS, IntArray
from ml.wording import plural

_SCALE = 10**QUANTITY_DECIMALS
_LARGEST_READING = 1e9  # kWh in an interval: more than any grid carries
_LARGEST_CELL = 1e11  # kWh in a slot of a month
_TILE = 128
_REQUIRED = (CUSTOMER_KEY, "month", "day_type", "slot", "slot_minutes", "kwh", "peak_kw")


@dataclass(frozen=True)
class LoadCube:
    """Loads of many customers over consecutive local months.

    Attributes:
        customer_keys: Who, in the order of the first axis.
        months: First days of consecutive local months, in the order of the second axis.
        slot_minutes: Length of a slot of local time.
        kwh: Energy in 1e-4 kWh, shape (customers, months, day types, slots).
        peak_kw: Largest interval power in 1e-4 kW, same shape.
        present: Whether a customer has any reading in a month, shape (customers, months).
        interval_count: Intervals read, shape (customers, months).
        expected_interval_count: Intervals that a complete month has, shape (customers, months).
        kvarh: Reactive energy of the month in 1e-4 kvarh, shape (customers, months), if metered.
        has_kvarh: Where reactive energy was metered, shape (customers, months); everywhere if None and ``kvarh`` is
            given.
        opening_kwh: Energy of each customer from 1 January until the first month, in 1e-4 kWh; None if not known.
            Zero by definition where the first month is a January.
    """

    customer_keys: NDArray[np.object_]
    months: tuple[date, ...]
    slot_minutes: int
    kwh: IntArray
    peak_kw: IntArray
    present: NDArray[np.bool_]
    interval_count: IntArray
    expected_interval_count: IntArray
    kvarh: IntArray | None = None
    opening_kwh: IntArray | None = None
    has_kvarh: NDArray[np.bool_] | None = None
    _cache: dict[object, IntArray] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def from_frame(cls, rows: pd.DataFrame | pl.DataFrame | pa.Table) -> Self:
        """Read rows of ``marts/customer_load_cube``.

        Args:
            rows: One row per customer, month, day type and slot. Energies are decimals or floats in kWh, kW and kvarh.
                ``kvarh``, ``interval_count`` and ``expected_interval_count`` may be absent.
        """
        frame = to_polars(rows)
        quantities = [name for name in ("kwh", "peak_kw", "kvarh") if name in frame.columns]
        for name in quantities:
            _check_finite(frame, name)
        return cls._from_scaled_rows(frame.with_columns(*(_scaled(frame, name) for name in quantities)))

    @classmethod
    def _from_scaled_rows(cls, frame: pl.DataFrame, part_starts: Sequence[date] | None = None) -> Self:
        """Build from cube rows whose quantities are integers in 1e-4 units already.

        ``part_starts`` stand for the months where the second axis holds parts of billing periods.
        """
        missing = [name for name in _REQUIRED if name not in frame.columns]
        if missing:
            raise SchemaMismatchError(f"customer_load_cube: missing columns {', '.join(missing)}")
        if frame.is_empty():
            raise SchemaMismatchError("customer_load_cube: no rows, so there is nothing to price")
        slot_minutes = frame.get_column("slot_minutes").unique().to_list()
        if len(slot_minutes) != 1:
            raise SchemaMismatchError(f"customer_load_cube: expected one slot_minutes, found {sorted(slot_minutes)}")
        slots = MINUTES_PER_DAY // int(slot_minutes[0])
        keys = frame.get_column(CUSTOMER_KEY).cast(pl.String).drop_nulls().unique().sort()
        month_column = frame.get_column("month").cast(pl.Date)
        first, last = month_column.min(), month_column.max()
        if not isinstance(first, date) or not isinstance(last, date):
            raise SchemaMismatchError("customer_load_cube: column month holds no dates")
        months = month_starts(first, last) if part_starts is None else list(part_starts)
        month_number = (
            (pl.col("month").cast(pl.Date).dt.year().cast(pl.Int64) - first.year) * 12
            + pl.col("month").cast(pl.Date).dt.month().cast(pl.Int64)
            - first.month
        )
        if part_starts is not None:
            positions = {start: index for index, start in enumerate(part_starts)}
            month_number = pl.col("month").replace_strict(positions, return_dtype=pl.Int64)
        codes = frame.select(
            customer=pl.col(CUSTOMER_KEY).cast(pl.String).cast(pl.Enum(keys)).to_physical().cast(pl.Int64),
            month=month_number,
            day_type=pl.col("day_type")
            .cast(pl.String)
            .replace_strict({name: code for code, name in enumerate(DAY_TYPES)}, default=None, return_dtype=pl.Int64),
            slot=pl.col("slot").cast(pl.Int64),
            kwh=_count(frame, "kwh"),
            peak_kw=_count(frame, "peak_kw"),
            kvarh=_count(frame, "kvarh"),
            interval_count=_count(frame, "interval_count"),
            expected_interval_count=_count(frame, "expected_interval_count"),
        )
        _check_codes(codes, slots, frame)
        shape = (len(keys), len(months), len(DAY_TYPES), slots)
        axes = ("customer", "month", "day_type", "slot")
        customer, month, day_type, slot = (codes.get_column(axis).to_numpy() for axis in axes)
        customer_month = customer * shape[1] + month
        cell = (customer_month * shape[2] + day_type) * shape[3] + slot
        seen = np.zeros(int(np.prod(shape)), bool)
        seen[cell] = True
        if int(seen.sum()) != len(cell):
            _raise_duplicate(frame, cell)

        def dense(name: str) -> IntArray:
            values = np.zeros(int(np.prod(shape)), np.int64)
            values[cell] = codes.get_column(name).fill_null(0).to_numpy()
            return values.reshape(shape)

        has_kvarh = np.zeros(shape[0] * shape[1], bool)
        has_kvarh[customer_month[codes.get_column("kvarh").is_not_null().to_numpy()]] = True

        def monthly(name: str) -> IntArray:
            values = np.zeros(shape[0] * shape[1], np.int64)
            np.add.at(values, customer_month, codes.get_column(name).fill_null(0).to_numpy())
            return values.reshape(shape[:2])

        return cls(
            customer_keys=keys.to_numpy().astype(object),
            months=tuple(months),
            slot_minutes=int(slot_minutes[0]),
            kwh=dense("kwh"),
            peak_kw=dense("peak_kw"),
            present=np.asarray(seen.reshape(shape).any(axis=(2, 3))),
            interval_count=monthly("interval_count"),
            expected_interval_count=monthly("expected_interval_count"),
            kvarh=monthly("kvarh") if has_kvarh.any() else None,
            has_kvarh=has_kvarh.reshape(shape[:2]) if has_kvarh.any() else None,
        )

    @classmethod
    def from_parquet(cls, path: Path) -> Self:
        """Read the exported mart ``customer_load_cube``."""
        return cls.from_frame(pl.read_parquet(path))

    @classmethod
    def from_arrays(
        cls,
        customer_keys: Sequence[str] | NDArray[np.object_],
        months: Sequence[date],
        *,
        kwh: IntArray,
        peak_kw: IntArray,
        slot_minutes: int,
        present: NDArray[np.bool_] | None = None,
        kvarh: IntArray | None = None,
        opening_kwh: IntArray | None = None,
    ) -> Self:
        """Build a cube from dense arrays in 1e-4 kWh and 1e-4 kW; every month counts as fully read unless told."""
        keys = np.asarray(customer_keys, dtype=object)
        shape = (len(keys), len(months), len(DAY_TYPES), MINUTES_PER_DAY // slot_minutes)
        if kwh.shape != shape or peak_kw.shape != shape:
            raise SchemaMismatchError(f"load cube: expected shape {shape}, found {kwh.shape} and {peak_kw.shape}")
        if list(months) != month_starts(months[0], months[-1]):
            raise SchemaMismatchError("load cube: months must be consecutive first days of months")
        if kwh.dtype != np.int64 or peak_kw.dtype != np.int64:
            raise SchemaMismatchError("load cube: kwh and peak_kw must be int64 in 1e-4 kWh and 1e-4 kW")
        if kwh.size and kwh.min() < 0:
            raise SchemaMismatchError("load cube: energy taken from the grid cannot be negative")
        is_present: NDArray[np.bool_] = np.ones(shape[:2], dtype=bool) if present is None else present
        expected = np.array([days_in_month(month) * shape[3] for month in months], np.int64)
        return cls(
            customer_keys=keys,
            months=tuple(months),
            slot_minutes=slot_minutes,
            kwh=kwh,
            peak_kw=peak_kw,
            present=is_present,
            interval_count=is_present * expected,
            expected_interval_count=np.broadcast_to(expected, shape[:2]).copy(),
            kvarh=kvarh,
            opening_kwh=opening_kwh,
        )

    @classmethod
    def from_series(
        cls,
        customer_keys: Sequence[str] | NDArray[np.object_],
        local_starts: NDArray[np.datetime64],
        interval_kwh: IntArray,
        *,
        interval_minutes: int,
        days: DayCalendar,
        slot_minutes: int = 60,
        is_read: NDArray[np.bool_] | None = None,
        opening_kwh: IntArray | None = None,
    ) -> Self:
        """Bin interval readings that all customers share the clock of.

        Args:
            customer_keys: Who, in the order of the rows of ``interval_kwh``.
            local_starts: Local start of every interval; a repeated hour of a clock change appears twice.
            interval_kwh: Energy in 1e-4 kWh, shape (customers, intervals).
            interval_minutes: Length of an interval; must divide an hour or be a multiple of it.
            days: Day types.
            slot_minutes: Length of a slot, at least ``interval_minutes``.
            is_read: Where a reading exists, same shape; everywhere by default. Unread intervals count as zero energy.
            opening_kwh: See the class.
        """
        _check_interval(interval_minutes, slot_minutes)
        if interval_kwh.dtype != np.int64:
            raise SchemaMismatchError("interval_kwh must be int64 in 1e-4 kWh")
        if interval_kwh.size and interval_kwh.min() < 0:
            raise SchemaMismatchError("interval_kwh: energy taken from the grid cannot be negative")
        minutes = local_starts.astype("datetime64[m]")
        month_numbers = minutes.astype("datetime64[M]").astype(np.int64)
        months = month_starts(
            minutes.min().astype("datetime64[D]").astype(object), minutes.max().astype("datetime64[D]").astype(object)
        )
        slots = MINUTES_PER_DAY // slot_minutes
        slot = (minutes - minutes.astype("datetime64[D]")).astype(np.int64) // slot_minutes
        cell = days.day_type_codes(minutes).astype(np.int64) * slots + slot
        shape = (len(interval_kwh), len(months), len(DAY_TYPES), slots)
        kwh = np.zeros(shape, np.int64)
        peak_kw = np.zeros(shape, np.int64)
        interval_count = np.zeros(shape[:2], np.int64)
        expected = np.zeros(shape[:2], np.int64)
        readings = interval_kwh if is_read is None else np.where(is_read, interval_kwh, 0)
        for index in range(len(months)):
            columns = np.flatnonzero(month_numbers == month_numbers.min() + index)
            expected[:, index] = columns.size
            if not columns.size:
                continue
            order = columns[np.argsort(cell[columns], kind="stable")]
            cells, starts = np.unique(cell[order], return_index=True)
            values = readings[:, order]
            flat_kwh = kwh[:, index].reshape(len(kwh), -1)
            flat_kwh[:, cells] = np.add.reduceat(values, starts, axis=1)
            flat_peak = peak_kw[:, index].reshape(len(kwh), -1)
            flat_peak[:, cells] = power_of(np.maximum.reduceat(values, starts, axis=1), interval_minutes)
            kwh[:, index] = flat_kwh.reshape(len(kwh), len(DAY_TYPES), slots)
            peak_kw[:, index] = flat_peak.reshape(len(kwh), len(DAY_TYPES), slots)
            interval_count[:, index] = columns.size if is_read is None else is_read[:, columns].sum(axis=1)
        return cls(
            customer_keys=np.asarray(customer_keys, dtype=object),
            months=tuple(months),
            slot_minutes=slot_minutes,
            kwh=kwh,
            peak_kw=peak_kw,
            present=interval_count > 0,
            interval_count=interval_count,
            expected_interval_count=expected,
            opening_kwh=opening_kwh,
        )

    @classmethod
    def from_intervals(
        cls,
        readings: pd.DataFrame | pl.DataFrame,
        *,
        interval_minutes: int,
        time_zone: str,
        days: DayCalendar,
        slot_minutes: int | None = None,
    ) -> Self:
        """Bin interval readings of any number of customers.

        Args:
            readings: ``customer_key``, ``read_at`` (start of the interval; UTC where it carries no zone), ``kwh`` and,
                if metered, ``kvarh``. Order does not matter; a second reading of one instant is refused.
            interval_minutes: Length of an interval.
            time_zone: IANA name of the zone in which days, months and clocks of the tariff run.
            days: Day types.
            slot_minutes: Length of a slot; an interval by default.
        """
        frame = located_readings(readings, interval_minutes=interval_minutes, time_zone=time_zone, days=days)
        slot = interval_minutes if slot_minutes is None else slot_minutes
        _check_interval(interval_minutes, slot)
        cube = cls._from_scaled_rows(_cube_rows(frame, interval_minutes, slot))
        expected = [interval_count(month, next_month(month), time_zone, interval_minutes) for month in cube.months]
        return cube._with_expected(expected)

    @classmethod
    def of_parts(
        cls, located: pl.DataFrame, parts: Sequence[tuple[date, date]], *, interval_minutes: int, time_zone: str
    ) -> Self:
        """Bin located readings by parts of billing periods instead of months; slots are intervals.

        Args:
            located: See ``located_readings``, with ``month`` holding the first day of the reading's part.
            parts: First day, and day after the last, of each part.
            interval_minutes: Length of an interval.
            time_zone: IANA name of the zone.
        """
        rows = _cube_rows(located, interval_minutes, interval_minutes)
        cube = cls._from_scaled_rows(rows, [first for first, _ in parts])
        return cube._with_expected([interval_count(*part, time_zone, interval_minutes) for part in parts])

    def _with_expected(self, counts: Sequence[int]) -> Self:
        expected = np.broadcast_to(np.array(counts, np.int64), self.present.shape).copy()
        return replace(self, expected_interval_count=expected)

    def __len__(self) -> int:
        return len(self.customer_keys)

    @property
    def coverage_pct(self) -> NDArray[np.float64]:
        """Share of expected intervals that were read, in %, shape (customers, months); NaN where none were expected."""
        expected = self.expected_interval_count.astype(float)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(expected > 0, 100.0 * self.interval_count / expected, np.nan)

    def take(self, customers: Sequence[str] | NDArray[Any]) -> "LoadCube":
        """Return the cube of some customers, given by key, position or mask, in the order given.

        Customers who stand one after the other share their arrays with this cube.
        """
        chosen = np.asarray(customers)
        if chosen.dtype.kind in "OU":
            positions = pd.Index(self.customer_keys).get_indexer(pd.Index(chosen.astype(object)))
            if (positions < 0).any():
                raise SchemaMismatchError(f"load cube: no load for customer {chosen[positions < 0][0]}")
            chosen = positions
        is_run = chosen.dtype.kind == "i" and chosen.size > 0 and chosen[0] >= 0 and bool((np.diff(chosen) == 1).all())
        rows = slice(int(chosen[0]), int(chosen[-1]) + 1) if is_run else chosen
        return replace(
            self,
            customer_keys=self.customer_keys[rows],
            kwh=self.kwh[rows],
            peak_kw=self.peak_kw[rows],
            present=self.present[rows],
            interval_count=self.interval_count[rows],
            expected_interval_count=self.expected_interval_count[rows],
            kvarh=None if self.kvarh is None else self.kvarh[rows],
            opening_kwh=None if self.opening_kwh is None else self.opening_kwh[rows],
            has_kvarh=None if self.has_kvarh is None else self.has_kvarh[rows],
            _cache={},
        )

    def select(self, first: date, last: date) -> "LoadCube":
        """Return the months from ``first``'s to ``last``'s; ``opening_kwh`` follows if the year's start is known."""
        wanted = month_starts(first, last)
        if wanted[0] < self.months[0] or wanted[-1] > self.months[-1]:
            raise SchemaMismatchError(
                f"load cube: {wanted[0]:%Y-%m} to {wanted[-1]:%Y-%m} was asked for, "
                f"loads exist for {self.months[0]:%Y-%m} to {self.months[-1]:%Y-%m}"
            )
        start = self.months.index(wanted[0])
        part = slice(start, start + len(wanted))
        return replace(
            self,
            months=tuple(wanted),
            kwh=self.kwh[:, part],
            peak_kw=self.peak_kw[:, part],
            present=self.present[:, part],
            interval_count=self.interval_count[:, part],
            expected_interval_count=self.expected_interval_count[:, part],
            kvarh=None if self.kvarh is None else self.kvarh[:, part],
            opening_kwh=self._opening_at(start),
            has_kvarh=None if self.has_kvarh is None else self.has_kvarh[:, part],
            _cache={},
        )

    def last_months(self, count: int) -> "LoadCube":
        """Return the last ``count`` months."""
        if not 0 < count <= len(self.months):
            raise SchemaMismatchError(f"load cube: {count} months were asked for, loads exist for {len(self.months)}")
        return self.select(self.months[-count], self.months[-1])

    def with_opening_from_window(self) -> "LoadCube":
        """Return the cube with the unknown start of the first year estimated from the same months a year later.

        Twelve months from October on, for example, take January to September of the second year as a stand-in for the
        same months of the first. Nothing changes where ``opening_kwh`` is known. Months that the cube does not hold
        are estimated by the mean of those it holds.
        """
        if self.opening_kwh is not None or self.months[0].month == 1:
            return self
        needed = self.months[0].month - 1
        totals = self.month_kwh()
        later = [index for index, month in enumerate(self.months) if month.year == self.months[0].year + 1]
        stand_in = totals[:, [index for index in later if self.months[index].month <= needed]]
        mean = totals.sum(axis=1) // np.maximum(self.present.sum(axis=1), 1)
        return replace(self, opening_kwh=stand_in.sum(axis=1) + (needed - stand_in.shape[1]) * mean, _cache={})

    def month_kwh(self) -> IntArray:
        """Return energy per customer and month in 1e-4 kWh."""
        return self._cached("month_kwh", lambda: self.kwh.sum(axis=(2, 3)))

    def month_kvarh(self) -> IntArray | None:
        """Return reactive energy per customer and month in 1e-4 kvarh; None if none was metered."""
        return self.kvarh

    @property
    def is_reactive_metered(self) -> NDArray[np.bool_]:
        """Where reactive energy is known, shape (customers, months)."""
        if self.kvarh is None:
            return np.zeros(self.present.shape, bool)
        return np.ones(self.present.shape, bool) if self.has_kvarh is None else self.has_kvarh

    def month_peak_kw(self) -> IntArray:
        """Return the largest interval power per customer and month in 1e-4 kW."""
        return self._cached("month_peak_kw", lambda: self.peak_kw.max(axis=(2, 3), initial=0))

    def period_kwh(self, codes: NDArray[np.int8], period_count: int) -> IntArray:
        """Return energy per period in 1e-4 kWh.

        Args:
            codes: Period of every month, day type and slot, shape (months, day types, slots).
            period_count: Number of periods.

        Returns:
            Shape (customers, months, periods).
        """

        def sums() -> IntArray:
            running = self._running_kwh()
            energy = np.zeros((period_count, len(self.months), len(self)), np.int64)
            for month, by_day_type in enumerate(codes):
                for day_type, row in enumerate(by_day_type):
                    for start, end in pairwise([0, *np.flatnonzero(np.diff(row)) + 1, len(row)]):
                        total = energy[row[start], month]
                        total += running[month, day_type, end]
                        if start:
                            total -= running[month, day_type, start]
            # Customers first again, each period on its own in memory: pricing works on one period at a time.
            return np.ascontiguousarray(energy.transpose(0, 2, 1)).transpose(1, 2, 0)

        return self._cached(("period_kwh", codes.tobytes(), period_count), sums)

    def period_peak_kw(self, is_in_period: NDArray[np.bool_]) -> IntArray:
        """Return the largest power in the slots where ``is_in_period`` (months, day types, slots) holds, in 1e-4 kW."""

        def peaks() -> IntArray:
            by_slot = self._cached("peak_kw by slot", lambda: _customers_last(self.peak_kw))
            largest = np.zeros((len(self.months), len(self)), np.int64)
            for month, by_day_type in enumerate(is_in_period):
                for day_type, row in enumerate(by_day_type):
                    edges = np.flatnonzero(np.diff(row, prepend=False, append=False))
                    for start, end in edges.reshape(-1, 2):
                        run = by_slot[month, day_type, start:end].max(axis=0)
                        np.maximum(largest[month], run, out=largest[month])
            return np.ascontiguousarray(largest.T)

        return self._cached(("period_peak_kw", is_in_period.tobytes()), peaks)

    def following_opening_kwh(self) -> IntArray | None:
        """Return ``opening_kwh`` of a cube that starts in the month after the last; None if it is not known."""
        return self._opening_at(len(self.months))

    def _opening_at(self, start: int) -> IntArray | None:
        month = next_month(self.months[-1]) if start == len(self.months) else self.months[start]
        if month.month == 1:
            return np.zeros(len(self), np.int64)
        january = start - (month.month - 1)
        totals = self.month_kwh()
        if january >= 0:
            return totals[:, january:start].sum(axis=1)
        if self.opening_kwh is not None:
            return self.opening_kwh + totals[:, :start].sum(axis=1)
        return None

    def _running_kwh(self) -> IntArray:
        """Return the energy of each day before a slot starts, shape (months, day types, slots + 1, customers).

        The energy of a price period is the difference of a few of these rows, whatever the length of the period.
        """

        def sums() -> IntArray:
            customers, months, day_types, slots = self.kwh.shape
            running = np.zeros((months, day_types, slots + 1, customers), np.int64)
            _customers_last(self.kwh, out=running[:, :, 1:])
            for slot in range(2, slots + 1):
                running[:, :, slot] += running[:, :, slot - 1]
            return running

        return self._cached("running kwh", sums)

    def _cached(self, key: object, compute: Callable[[], IntArray]) -> IntArray:
        if key not in self._cache:
            self._cache[key] = compute()
        return self._cache[key]


def _customers_last(values: IntArray, out: IntArray | None = None) -> IntArray:
    """Return values with the first axis moved to the end and contiguous there, copied in tiles that fit the cache."""
    moved = np.empty((*values.shape[1:], len(values)), values.dtype) if out is None else out
    for start in range(0, len(values), _TILE):
        moved[..., start : start + _TILE] = np.moveaxis(values[start : start + _TILE], 0, -1)
    return moved


def power_of(energy: IntArray, interval_minutes: int) -> IntArray:
    """Return the mean power in 1e-4 kW of interval energies in 1e-4 kWh, rounded half up where it does not divide."""
    return (energy * 120 + interval_minutes) // (2 * interval_minutes)


def _check_interval(interval_minutes: int, slot_minutes: int) -> None:
    if interval_minutes <= 0 or MINUTES_PER_DAY % interval_minutes:
        raise SchemaMismatchError(f"interval_minutes: {interval_minutes} does not divide a day")
    if slot_minutes % interval_minutes or MINUTES_PER_DAY % slot_minutes:
        raise SchemaMismatchError(
            f"slot_minutes: {slot_minutes} must divide a day and be a multiple of the readings' {interval_minutes}"
        )


def interval_count(first: date, end: date, time_zone: str, interval_minutes: int) -> int:
    """Return how many intervals lie from local day ``first`` to before local day ``end``."""
    zone = ZoneInfo(time_zone)
    start_at, end_at = (datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC) for day in (first, end))
    return int((end_at - start_at).total_seconds()) // (60 * interval_minutes)


def located_readings(
    readings: pd.DataFrame | pl.DataFrame, *, interval_minutes: int, time_zone: str, days: DayCalendar
) -> pl.DataFrame:
    """Return readings as integers with where they lie in local time.

    Args:
        readings: See ``LoadCube.from_intervals``.
        interval_minutes: Length of an interval.
        time_zone: IANA name of the zone.
        days: Day types.

    Returns:
        ``customer_key``, ``read_at`` (UTC), ``kwh``, ``kvarh``, ``export_kwh`` in 1e-4 units, ``local_date``, ``month``
        (its first day), ``minute`` of the local day and ``day_type``.

    Raises:
        SchemaMismatchError: A column is missing, an instant is read twice or lies off the clock of its interval, or an
            energy is missing, negative or no number.
    """
    _check_interval(interval_minutes, interval_minutes)
    frame = local_readings(readings, time_zone).with_columns(
        local_date=pl.col("local_at").dt.date(),
        minute=pl.col("local_at").dt.hour().cast(pl.Int64) * 60 + pl.col("local_at").dt.minute(),
    )
    is_off = (pl.col("minute") % interval_minutes != 0) | (pl.col("local_at") != pl.col("local_at").dt.truncate("1m"))
    off = frame.filter(is_off)
    if len(off):
        first = off.row(0, named=True)
        raise SchemaMismatchError(
            f"readings: customer {first[CUSTOMER_KEY]} has a reading at local time {first['local_at']}, which does not "
            f"start an interval of {interval_minutes} minutes ({plural(len(off), 'row')}); check interval_minutes "
            "and time zone"
        )
    local_days = frame.get_column("local_date").unique().sort()
    codes = days.day_type_codes(local_days.to_numpy())
    day_types = pl.DataFrame(
        {"local_date": local_days, "day_type": [DAY_TYPES[code] for code in codes]},
        schema={"local_date": pl.Date, "day_type": pl.String},
    )
    return frame.join(day_types, on="local_date").with_columns(month=pl.col("local_date").dt.month_start())


def _cube_rows(located: pl.DataFrame, interval_minutes: int, slot_minutes: int) -> pl.DataFrame:
    """Return the rows of a cube, quantities in 1e-4 units, from located readings."""
    power = (pl.col("kwh").max() * 120 + interval_minutes) // (2 * interval_minutes)
    return (
        located.group_by(CUSTOMER_KEY, "month", "day_type", (pl.col("minute") // slot_minutes).alias("slot"))
        .agg(
            kwh=pl.col("kwh").sum(),
            peak_kw=power,
            kvarh=pl.when(pl.col("kvarh").count() > 0).then(pl.col("kvarh").sum()),
            interval_count=pl.len(),
        )
        .with_columns(slot_minutes=pl.lit(slot_minutes))
    )


def local_readings(readings: pd.DataFrame | pl.DataFrame, time_zone: str) -> pl.DataFrame:
    """Return readings with integer energies in 1e-4 units, ``read_at`` in UTC and ``local_at`` without a zone.

    Raises:
        SchemaMismatchError: A column is missing, an instant is read twice, or an energy is missing, negative or no
            number.
    """
    frame = to_polars(readings)
    missing = [name for name in (CUSTOMER_KEY, "read_at", "kwh") if name not in frame.columns]
    if missing:
        raise SchemaMismatchError(f"readings: missing columns {', '.join(missing)}")
    if frame.is_empty():
        raise SchemaMismatchError("readings: no rows, so there is nothing to price")
    try:
        ZoneInfo(time_zone)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise SchemaMismatchError(
            f"time_zone: `{time_zone}` is not the IANA name of a time zone, such as Asia/Shanghai"
        ) from error
    energies = [
        _scaled_readings(frame, name) if name in frame.columns else pl.lit(None, pl.Int64).alias(name)
        for name in ("kwh", "kvarh", "export_kwh")
    ]
    frame = frame.select(pl.col(CUSTOMER_KEY).cast(pl.String), utc_column(frame, "read_at"), *energies).with_columns(
        local_at=pl.col("read_at").dt.convert_time_zone(time_zone).dt.replace_time_zone(None)
    )
    lacks = pl.col("kwh").is_null() | pl.col("read_at").is_null()
    is_negative = (pl.col("kwh") < 0) | (pl.col("export_kwh") < 0).fill_null(value=False)
    bad = frame.filter(lacks | is_negative)
    if len(bad):
        first = bad.row(0, named=True)
        raise SchemaMismatchError(
            f"readings: kwh of customer {first[CUSTOMER_KEY]} at {first['read_at']} is missing or negative "
            f"({plural(len(bad), 'row')})"
        )
    repeated = frame.filter(pl.struct(CUSTOMER_KEY, "read_at").is_duplicated())
    if len(repeated):
        first = repeated.row(0, named=True)
        raise SchemaMismatchError(f"readings: customer {first[CUSTOMER_KEY]} has two readings at {first['read_at']}")
    return frame


def _check_finite(frame: pl.DataFrame, name: str) -> None:
    """Refuse cube rows whose quantity is no number of a possible size."""
    kind = frame.schema[name]
    if not kind.is_numeric() and kind != pl.Null:
        raise SchemaMismatchError(f"customer_load_cube: {name} holds {kind}, expected numbers")
    if kind.is_float():
        bad = frame.select((~(pl.col(name).abs() <= _LARGEST_CELL)).fill_null(value=False).arg_true()).to_series()
        if len(bad):
            value = frame.get_column(name)[int(bad[0])]
            raise SchemaMismatchError(
                f"customer_load_cube: row {int(bad[0])}: {name} {value} is no possible number "
                f"({plural(len(bad), 'such row')})"
            )


def _scaled_readings(frame: pl.DataFrame, name: str) -> pl.Expr:
    """Return a column as integers in 1e-4 units, NaN as missing; refuse what is no number of a possible size."""
    kind = frame.schema[name]
    if not kind.is_numeric() and kind != pl.Null:
        raise SchemaMismatchError(f"readings: {name} holds {kind}, expected numbers")
    if kind.is_decimal() or not kind.is_float():
        return _scaled(frame, name)
    column = frame.get_column(name)
    impossible = frame.filter((column.is_infinite() | (column.abs() > _LARGEST_READING)).fill_null(value=False))
    impossible = impossible.filter(pl.col(name).is_not_nan())
    if len(impossible):
        first = impossible.row(0, named=True)
        raise SchemaMismatchError(
            f"readings: {name} of customer {first[CUSTOMER_KEY]} at {first['read_at']} is {first[name]}, which no "
            f"meter reads in an interval ({plural(len(impossible), 'row')})"
        )
    return (pl.col(name).fill_nan(None).cast(pl.Float64) * _SCALE).round().cast(pl.Int64)


def utc_column(frame: pl.DataFrame, name: str) -> pl.Expr:
    """Return an instant in UTC with microseconds; a column without a zone is UTC already."""
    kind = frame.schema[name]
    if not isinstance(kind, pl.Datetime):
        raise SchemaMismatchError(f"column {name} holds {kind}, expected instants")
    column = pl.col(name).cast(pl.Datetime("us", kind.time_zone))
    return column.dt.convert_time_zone("UTC") if kind.time_zone else column.dt.replace_time_zone("UTC")


def to_polars(rows: pd.DataFrame | pl.DataFrame | pa.Table) -> pl.DataFrame:
    """Return the same table as a Polars frame."""
    if isinstance(rows, pl.DataFrame):
        return rows
    if isinstance(rows, pa.Table):
        return pl.DataFrame(rows)
    return pl.from_pandas(rows)


def _scaled(frame: pl.DataFrame, name: str) -> pl.Expr:
    """Column ``name`` as an integer in 1e-4 of its unit."""
    if frame.schema[name].is_decimal():
        return pl.col(name).cast(pl.Decimal(38, QUANTITY_DECIMALS)).to_physical().cast(pl.Int64)
    return (pl.col(name).cast(pl.Float64) * _SCALE).round().cast(pl.Int64)


def _count(frame: pl.DataFrame, name: str) -> pl.Expr:
    if name not in frame.columns:
        return pl.lit(None, pl.Int64).alias(name)
    return pl.col(name).cast(pl.Int64)


def _check_codes(codes: pl.DataFrame, slots: int, frame: pl.DataFrame) -> None:
    """Refuse rows that name no cell of the cube or hold no energy."""
    problems = (
        (CUSTOMER_KEY, pl.col("customer").is_null(), "is missing"),
        ("month", pl.col("month").is_null(), "is missing"),
        ("day_type", pl.col("day_type").is_null(), f"is not one of {', '.join(DAY_TYPES)}"),
        ("slot", ~pl.col("slot").is_between(0, slots - 1).fill_null(value=False), f"is not from 0 to {slots - 1}"),
        ("kwh", pl.col("kwh").is_null() | (pl.col("kwh") < 0), "is missing or negative"),
        ("peak_kw", pl.col("peak_kw").is_null() | (pl.col("peak_kw") < 0), "is missing or negative"),
    )
    for name, is_bad, message in problems:
        bad = codes.select(is_bad.arg_true()).to_series()
        if len(bad):
            value = frame.get_column(name)[int(bad[0])]
            if value is not None and name in {"kwh", "peak_kw"}:
                value /= _SCALE
            raise SchemaMismatchError(
                f"customer_load_cube: row {int(bad[0])}: {name} {value!r} {message} ({plural(len(bad), 'such row')})"
            )


def _raise_duplicate(frame: pl.DataFrame, cell: IntArray) -> None:
    _, first, counts = np.unique(cell, return_index=True, return_counts=True)
    row = frame.row(int(first[counts > 1][0]), named=True)
    raise SchemaMismatchError(
        f"customer_load_cube: more than one row for customer {row[CUSTOMER_KEY]}, month {row['month']}, "
        f"{row['day_type']}, slot {row['slot']}"
    )
