"""Energy by period and tier: ladders that count months, years or days, and the allocations of tiers to periods."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ml.errors import TariffError
from ml.tariffs.calendar import ALL_PERIODS
from ml.tariffs.exact import PRICE_DECIMALS, QUANTITY_DECIMALS, IntArray, divide_product, to_scaled
from ml.tariffs.priced_load import PricedLoad
from ml.tariffs.schema import EnergyComponent, PeriodPrices, Tariff, Tiers
from ml.tariffs.windows import Stretch, Window, days_of, share_of_days, stretches, table_on

_ONE = 10**QUANTITY_DECIMALS
_NO_LIMIT = int(np.iinfo(np.int64).max)


@dataclass(frozen=True, slots=True)
class EnergyQuantity:
    """Energy of one period and tier in the n-th stretch of every window.

    Attributes:
        period: Price period, or ``all``.
        tier: Number of the tier from 1; None without tiers.
        days: The stretch of each window; None where the window has fewer.
        quantity: In 1e-4 kWh, shape (customers, windows).
        price: In 1e-8 per kWh, shape (windows,).
        is_priced: Whether the stretch's table prices the period, shape (windows,).
    """

    period: str
    tier: int | None
    days: tuple[Window | None, ...]
    quantity: IntArray
    price: IntArray
    is_priced: NDArray[np.bool_]


class EnergyLadders:
    """The energies of one component.

    Args:
        component: The component.
        tariff: To which it belongs.
        load: The load.
        period_kwh: Energy of a period (or ``all``) in 1e-4 kWh, shape (customers, parts).
        capacity_kva: Contracted capacity in 1e-4 kVA, shape (customers,); called only where limits depend on it.
    """

    def __init__(
        self,
        component: EnergyComponent,
        tariff: Tariff,
        load: PricedLoad,
        period_kwh: Callable[[str], IntArray],
        capacity_kva: Callable[[], IntArray],
    ) -> None:
        self.component = component
        self.tariff = tariff
        self.load = load
        self.period_kwh = period_kwh
        self.capacity_kva = capacity_kva
        self.table_of_part = [table_on(part.first, component.tables) for part in load.parts]

    def quantities(self) -> Iterator[EnergyQuantity]:
        """Yield every period and tier of every stretch."""
        found = [stretches(window, self.component.tables) for window in self.load.windows]
        for number in range(max(len(runs) for runs in found)):
            runs = [runs[number] if number < len(runs) else None for runs in found]
            yield from self._of_stretch(runs)

    def _of_stretch(self, runs: Sequence[Stretch[PeriodPrices] | None]) -> Iterator[EnergyQuantity]:
        days = days_of(runs)
        for period in dict.fromkeys(period for run in runs if run is not None for period in run.table.prices):
            tables = [run.table if run is not None and period in run.table.prices else None for run in runs]
            is_priced = np.array([table is not None for table in tables])
            if self.component.tiers is None:
                prices = self._prices(tables, period, 1)[:, 0]
                energy = self.load.sum_of_days(self.period_kwh(period), days) * is_priced
                yield EnergyQuantity(period, None, days, energy, prices, is_priced)
                continue
            tiers = self._tiers(self.component.tiers, period, days)
            prices = self._prices(tables, period, len(tiers))
            for tier, energy in enumerate(tiers):
                yield EnergyQuantity(period, tier + 1, days, energy * is_priced, prices[:, tier], is_priced)

    def _prices(self, tables: Sequence[PeriodPrices | None], period: str, tier_count: int) -> IntArray:
        """Return prices by window and tier; tiers that a table does not have repeat its last price."""
        prices = np.zeros((len(tables), tier_count), np.int64)
        for index, table in enumerate(tables):
            if table is not None:
                values = [to_scaled(price, PRICE_DECIMALS) for price in table.prices[period]]
                prices[index] = [values[min(tier, len(values) - 1)] for tier in range(tier_count)]
        return prices

    def _tiers(self, tiers: Tiers, period: str, days: tuple[Window | None, ...]) -> list[IntArray]:
        """Return the energy of each tier of a period in a stretch, shape (customers, windows)."""
        counts_intervals = tiers.basis == "day" or (tiers.allocation == "chronological" and period != ALL_PERIODS)
        if counts_intervals:
            by_part = self._climbed_by_intervals(tiers, period)
        elif tiers.allocation == "ladder_per_period":
            prices_period = np.array([period in table.prices for table in self.table_of_part])
            by_part = self._climbed(tiers, self.period_kwh(period) * prices_period, period)
        else:
            by_part = self._climbed(tiers, self.period_kwh(ALL_PERIODS), ALL_PERIODS)
        if tiers.allocation != "prorata" or period == ALL_PERIODS:
            return [self.load.sum_of_days(energy, days) for energy in by_part]
        shares = [
            split_in_proportion(
                self.load.sum_of_days(self.period_kwh(period), on_ladder),
                [self.load.sum_of_days(energy, on_ladder) for energy in by_part],
            )
            for on_ladder in _days_by_ladder(tiers, days)
        ]
        return [sum(of_tier[1:], of_tier[0]) for of_tier in zip(*shares, strict=True)]

    def _climbed(self, tiers: Tiers, energy: IntArray, period: str) -> list[IntArray]:
        """Return the energy of each tier by part when ``energy`` climbs one ladder part after part."""
        before = self._before(tiers, energy, period)
        after = before + energy
        return [
            np.clip(after, lower, upper) - np.clip(before, lower, upper)
            for lower, upper in self._tier_bounds(tiers, period)
        ]

    def _before(self, tiers: Tiers, energy: IntArray, period: str) -> IntArray:
        """Return the energy on the ladder when each part begins."""
        before = np.zeros_like(energy)
        if tiers.basis != "year" and self.load.is_whole:
            return before
        parts, windows = self.load.parts, self.load.window_of_part
        if tiers.basis == "year":
            before[:, 0] = self._opening_kwh(period)
        for index in range(1, len(parts)):
            starts_anew = (
                (parts[index].first.month, parts[index].first.day) == (1, 1)
                if tiers.basis == "year"
                else windows[index] != windows[index - 1]
            )
            if not starts_anew:
                before[:, index] = before[:, index - 1] + energy[:, index - 1]
        return before

    def _opening_kwh(self, period: str) -> IntArray | int:
        """Return the energy from 1 January until the first window."""
        first = self.load.windows[0].first
        if (first.month, first.day) == (1, 1):
            return 0
        if self.load.cube.opening_kwh is None or period != ALL_PERIODS:
            shown = f"{first:%Y-%m}" if first.day == 1 else f"{first}"
            raise TariffError(
                f"{self.tariff.tariff_id}: {self.component.name}: tiers count from 1 January, and the load starts in "
                f"{shown} with no energy known from the year's start; give opening_kwh, or estimate it "
                "by LoadCube.with_opening_from_window()"
            )
        return self.load.cube.opening_kwh

    def _tier_bounds(self, tiers: Tiers, period: str) -> list[tuple[IntArray | int, IntArray | int]]:
        """Return lower and upper limit of each tier in 1e-4 kWh, broadcast against (customers, parts)."""
        limits = [self.component.limits_kwh(table, period) for table in self.table_of_part]
        bounds: list[IntArray | int] = [0]
        for tier in range(max(len(found) for found in limits)):
            scaled = [to_scaled(f[tier], QUANTITY_DECIMALS) if tier < len(f) else None for f in limits]
            if tiers.basis in {"month", "year", "day"} and len(set(scaled)) == 1 and self._counts_whole_months(tiers):
                bounds.append(scaled[0] or _NO_LIMIT)
            else:
                by_part = np.broadcast_arrays(*(self._limit(tiers, limit, i) for i, limit in enumerate(scaled)))
                bounds.append(np.stack(by_part, axis=-1))
        bounds.append(_NO_LIMIT)
        return list(pairwise(bounds))

    def _counts_whole_months(self, tiers: Tiers) -> bool:
        return tiers.basis != "month" or all(window.is_calendar_month for window in self.load.windows)

    def _limit(self, tiers: Tiers, limit: int | None, part: int) -> IntArray:
        """Return a limit during one part, shape (customers,) or (1,)."""
        number = int(self.load.window_of_part[part])
        window = self.load.windows[number]
        if limit is None:
            return np.full(1, _NO_LIMIT, np.int64)
        written = np.full(1, limit, np.int64)
        match tiers.basis:
            case "year" | "day":
                return written
            case "daily_allowance":
                return written * window.days
            case "month":
                multiplied = written
            case "kwh_per_kw":
                multiplied = _times(limit, self.load.peak_kw()[:, number])
            case "kwh_per_kva":
                multiplied = _times(limit, self.capacity_kva())
        return share_of_days(multiplied, window, window, self.tariff.proration)

    def _climbed_by_intervals(self, tiers: Tiers, period: str) -> list[IntArray]:
        """Return the energy of each tier of a period by part when every interval climbs in order of time."""
        readings = self.load.readings
        if readings is None or self.load.cube.kwh.sum() != readings.frame.get_column("kwh").sum():
            raise TariffError(
                f"{self.tariff.tariff_id}: {self.component.name}: intervals climb the ladder one by one, so their "
                "energies are needed as they were read; use price_intervals without scale_to_complete"
            )
        frame = readings.frame
        ladder = ["customer", self._ladder_start(tiers)]
        climbing = period if tiers.allocation == "ladder_per_period" else ALL_PERIODS
        frame = frame.with_columns(
            window=pl.Series(self.load.window_of_part[frame.get_column("part").to_numpy()]),
            year=pl.col("local_date").dt.year(),
        )
        in_period = np.ones(len(frame), bool)
        if period != ALL_PERIODS:
            calendar = self.tariff.calendar
            assert calendar is not None  # noqa: S101 - the schema demands a calendar where periods are named
            codes = readings.period_codes(self.load.period_codes(calendar))
            in_period = codes == calendar.period_names.index(period)
            if tiers.allocation == "ladder_per_period":
                frame = frame.filter(pl.Series(in_period))
                in_period = np.ones(len(frame), bool)
        after = frame.select(pl.col("kwh").cum_sum().over(ladder)).to_series().to_numpy()
        kwh, customer, part = (frame.get_column(name).to_numpy() for name in ("kwh", "customer", "part"))
        if tiers.basis == "year":
            opening = np.broadcast_to(np.asarray(self._opening_kwh(climbing), np.int64), (len(self.load.cube),))
            is_first_year = frame.get_column("year").to_numpy() == self.load.windows[0].first.year
            after = after + np.where(is_first_year, opening[customer], 0)
        before = after - kwh
        shape = (len(self.load.cube), len(self.load.parts))
        found = []
        for lower, upper in self._tier_bounds(
            tiers, period if tiers.allocation == "ladder_per_period" else ALL_PERIODS
        ):
            low, high = (np.broadcast_to(np.asarray(bound), shape)[customer, part] for bound in (lower, upper))
            climbed = np.where(in_period, np.clip(after, low, high) - np.clip(before, low, high), 0)
            sums = np.zeros(shape, np.int64)
            np.add.at(sums, (customer, part), climbed)
            found.append(sums)
        return found

    def _ladder_start(self, tiers: Tiers) -> str:
        """Return the column whose values have a ladder each."""
        return {"day": "local_date", "year": "year"}.get(tiers.basis, "window")


def _days_by_ladder(tiers: Tiers, days: tuple[Window | None, ...]) -> list[tuple[Window | None, ...]]:
    """Return the days of a stretch by the ladder that they climb: a ladder of the year starts anew on 1 January."""
    if tiers.basis != "year":
        return [days]
    cut = [
        [] if run is None else run.cut_at([month for month in run.inner_month_starts() if month.month == 1])
        for run in days
    ]
    return [
        tuple(parts[number] if number < len(parts) else None for parts in cut) for number in range(max(map(len, cut)))
    ]


def split_in_proportion(period_kwh: IntArray, tiers: Sequence[IntArray]) -> list[IntArray]:
    """Return a period's part of each tier, in proportion to the period's share, by largest remainder.

    Args:
        period_kwh: Energy of the period, any shape.
        tiers: Energy of each tier over all periods, same shape.

    Returns:
        Energies that add up to ``period_kwh`` exactly; a unit that is left over goes to the tier with the largest
        remainder, the lower one in a tie.
    """
    total = np.maximum(sum(tiers[1:], tiers[0]), 1)
    divided = [divide_product(tier, period_kwh, total) for tier in tiers]
    lacking = period_kwh - sum((quotient for quotient, _ in divided[1:]), divided[0][0])
    parts = []
    for tier, (quotient, rest) in enumerate(divided):
        rank = np.zeros(rest.shape, np.int64)
        for other, (_, others_rest) in enumerate(divided):
            if other != tier:
                rank += others_rest >= rest if other < tier else others_rest > rest
        parts.append(quotient + (rank < lacking))
    return parts


def _times(limit: int, quantity: IntArray) -> IntArray:
    """Return ``limit * quantity`` in 1e-4 units, rounded half up."""
    return (limit * quantity + _ONE // 2) // _ONE
