"""Bills of many customers at once: exact integers from the energy to the cent.

Quantities are integers in 1e-4 units and prices integers in 1e-8; a line is their exact product, rounded to the money
decimals of the tariff per line, or kept exact and rounded once per bill. ``ml.tariffs.bill`` turns the same lines into
a bill that a person can check; ``docs/tariffs.md`` states every rule.
"""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import polars as pl
from numpy.typing import NDArray

from ml.columns import CUSTOMER_KEY
from ml.errors import TariffError
from ml.tariffs.calendar import ALL_PERIODS, Calendar, DayCalendar, next_month
from ml.tariffs.catalogue import Catalogue
from ml.tariffs.eligibility import CustomerTable, scaled_quantity
from ml.tariffs.exact import (
    FACTOR_DECIMALS,
    PRICE_DECIMALS,
    QUANTITY_DECIMALS,
    IntArray,
    Money,
    multiply,
    to_scaled,
)
from ml.tariffs.ladders import EnergyLadders
from ml.tariffs.load_checks import check_scale
from ml.tariffs.load_cube import LoadCube, to_polars, utc_column
from ml.tariffs.power_factor import PERCENT_DECIMALS, power_factor_percents
from ml.tariffs.price_series import series_sums
from ml.tariffs.priced_load import MissingIntervals, PricedLoad, complete
from ml.tariffs.schema import (
    BandEnergyComponent,
    BillingBasis,
    CapacityComponent,
    Component,
    ContractedDemandComponent,
    DemandComponent,
    DemandPrice,
    EnergyComponent,
    EnergySeriesComponent,
    ExportComponent,
    FixedComponent,
    LoadFactorDiscount,
    MinimumComponent,
    NetMetering,
    PercentageComponent,
    PowerFactorComponent,
    Ratchet,
    Route,
    Tariff,
    UnitPrice,
)
from ml.tariffs.windows import (
    Stretch,
    TableT,
    Window,
    billing_windows,
    check_validity,
    days_of,
    share_of_days,
    share_of_window,
    stretches,
    table_on,
)

_MONTHLY_AMOUNT_COLUMNS = (CUSTOMER_KEY, "month", "tariff_id", "amount")
_ONE_FACTOR = 10**FACTOR_DECIMALS
_MEAN_DAYS = 30_4167  # 365 / 12 in 1e-4 days
_ONE = 10**QUANTITY_DECIMALS
_BY_INTERVALS = Route("intervals", "interval readings were given")
_CUSTOMERS_AT_ONCE = 4_000


@dataclass(frozen=True)
class LineArray:
    """One line of the bills of all customers and windows.

    Attributes:
        component: The tariff component that charges it.
        period: Price period, or ``all``.
        tier: Number of the tier from 1, where there are tiers.
        unit: Unit of the quantity; the currency where a percentage is taken of an amount.
        quantity: In 1e-4 units, shape (customers, windows).
        price: In 1e-8 of the currency, shape (windows,) or (customers, windows); None where every interval has its own.
        factor: In 1e-4, shape (customers, windows), where a factor applies.
        amount: Money, rounded if the tariff rounds lines.
        applies: Whether the line is on the bill at all, shape (customers, 1) or (customers, windows).
        part: ``fixed`` and ``floating``, ``cover`` and ``spot``, where a component has parts.
        days: Days of each window that the line covers; None where it covers the whole of every window.
        metered: Demand as metered, before ratchet and shares of days, shape (customers, windows), on lines of demand.
    """

    component: Component
    period: str
    tier: int | None
    unit: str
    quantity: IntArray
    price: IntArray | None
    factor: IntArray | None
    amount: Money
    applies: NDArray[np.bool_]
    part: str | None = None
    days: tuple[Window | None, ...] | None = None
    metered: IntArray | None = None


@dataclass(frozen=True)
class BillArray:
    """Bills of many customers on one tariff, for calendar months or billing periods.

    Attributes:
        tariff: The tariff.
        customer_keys: First axis.
        months: First days of the windows, the second axis.
        is_priced: False where a customer has no reading in a month; amounts are zero there, shape (customers, months).
        total_units: Bill in the smallest money unit, shape (customers, months).
        component_units: The same per component name. With rounding per total, a component is rounded on its own and
            the components may differ from the total by some units.
        lines: Every line, for bills that explain themselves.
        load: What was priced: windows, energies, demand and the share that was read.
        missing: What was done about intervals that were not read.
        route: Whether the load cube or the intervals were priced, and why.
    """

    tariff: Tariff
    customer_keys: NDArray[np.object_]
    months: tuple[date, ...]
    is_priced: NDArray[np.bool_]
    total_units: IntArray
    component_units: dict[str, IntArray]
    lines: tuple[LineArray, ...] = field(repr=False)
    load: PricedLoad = field(repr=False)
    missing: MissingIntervals
    route: Route

    @property
    def windows(self) -> tuple[Window, ...]:
        """Days that each bill covers."""
        return self.load.windows

    @property
    def unit_decimals(self) -> int:
        """Decimals of the smallest money unit."""
        return self.tariff.rounding.decimals

    @property
    def total_amount(self) -> NDArray[np.float64]:
        """Bill in the currency as float64, shape (customers, months); NaN where not priced."""
        return np.where(self.is_priced, self.total_units / 10**self.unit_decimals, np.nan)

    @property
    def sum_units(self) -> IntArray:
        """Sum over the priced months in the smallest money unit, shape (customers,)."""
        return self.total_units.sum(axis=1)

    @property
    def sum_amount(self) -> NDArray[np.float64]:
        """Sum over the priced months in the currency as float64; NaN for a customer without a priced month."""
        return np.where(self.is_priced.any(axis=1), self.sum_units / 10**self.unit_decimals, np.nan)

    def to_frame(self) -> pd.DataFrame:
        """Return one row per priced customer and month: total and one column per component, as float64."""
        scale = 10**self.unit_decimals
        customer, month = np.nonzero(self.is_priced)
        columns: dict[str, object] = {
            CUSTOMER_KEY: self.customer_keys[customer],
            "month": pd.to_datetime(pd.Series(self.months, dtype=object)).to_numpy()[month],
            "tariff_id": self.tariff.tariff_id,
            "amount": self.total_units[customer, month] / scale,
        }
        for name, units in self.component_units.items():
            columns[name] = units[customer, month] / scale
        return pd.DataFrame(columns)


def price_cube(
    tariff: Tariff,
    cube: LoadCube,
    customers: CustomerTable | None = None,
    *,
    missing: MissingIntervals = "as_zero",
) -> BillArray:
    """Price every customer and month of the cube on one tariff, whether eligible or not.

    Args:
        tariff: The tariff; all months of the cube must lie in its validity.
        cube: Loads; taken as they are, ``check_scale`` tells whether their unit is credible.
        customers: Capacity, contracted demand and billing basis, any order; needed by tariffs that charge for them.
            A customer who names no billing basis is billed on the tariff's first.
        missing: What to do about intervals that were not read.

    Raises:
        TariffError: The tariff needs what the cube or ``customers`` do not hold.
    """
    if tariff.requires_intervals:
        raise TariffError(f"{tariff.tariff_id}: {tariff.route.reason}; use price_intervals")
    return _bills(tariff, PricedLoad.of_cube(cube), customers, {}, missing, tariff.route)


def price_intervals(
    tariff: Tariff,
    readings: pd.DataFrame | pl.DataFrame,
    *,
    interval_minutes: int,
    time_zone: str,
    days: DayCalendar,
    series: Mapping[str, pd.DataFrame | pl.DataFrame] | None = None,
    customers: CustomerTable | None = None,
    opening_kwh: Mapping[str, Decimal] | None = None,
    missing: MissingIntervals = "as_zero",
) -> BillArray:
    """Price interval readings on one tariff, by calendar month.

    A tariff that the cube can price gets the same bills, to the last decimal.

    Args:
        tariff: The tariff.
        readings: See ``LoadCube.from_intervals``; ``export_kwh`` is the energy fed into the grid.
        interval_minutes: Length of an interval.
        time_zone: IANA name of the tariff's zone.
        days: Day types.
        series: By the name that the tariff gives, a table of ``read_at`` (start, UTC where it carries no zone) and
            ``value`` (a band, or a price per kWh) with a row for every instant read; needed where the tariff does not
            bring the values along.
        customers: See ``price_cube``.
        opening_kwh: Energy of each customer from 1 January until the first month.
        missing: What to do about intervals that were not read.

    Raises:
        TariffError: The tariff needs what the readings or ``customers`` do not hold.
        SchemaMismatchError: The readings are none, or look like W or Wh (see ``check_scale``).
    """
    load = PricedLoad.of_readings(
        readings, tariff, None, interval_minutes=interval_minutes, time_zone=time_zone, days=days
    )
    check_scale(load.cube, customers)
    return _bills(tariff, _with_opening(load, opening_kwh), customers, series or {}, missing, _BY_INTERVALS)


def price_billing_periods(
    tariff: Tariff,
    readings: pd.DataFrame | pl.DataFrame,
    periods: Sequence[tuple[date, date]],
    *,
    interval_minutes: int,
    time_zone: str,
    days: DayCalendar,
    series: Mapping[str, pd.DataFrame | pl.DataFrame] | None = None,
    customers: CustomerTable | None = None,
    opening_kwh: Mapping[str, Decimal] | None = None,
    missing: MissingIntervals = "as_zero",
) -> BillArray:
    """Price interval readings by billing periods that need not be calendar months.

    What is charged or counted per month is pro-rated as ``Tariff.proration`` says.

    Args:
        tariff: The tariff; all periods must lie in its validity.
        readings: See ``price_intervals``; those outside of the periods are passed over.
        periods: First local day, and day after the last, of each; without gaps or overlaps.
        interval_minutes: Length of an interval.
        time_zone: IANA name of the tariff's zone.
        days: Day types.
        series: See ``price_intervals``.
        customers: See ``price_cube``.
        opening_kwh: Energy of each customer from 1 January until the first period.
        missing: What to do about intervals that were not read.

    Returns:
        Bills whose ``months`` are the first days of the periods.
    """
    windows = billing_windows(periods)
    check_validity(tariff, windows)
    load = PricedLoad.of_readings(
        readings, tariff, windows, interval_minutes=interval_minutes, time_zone=time_zone, days=days
    )
    check_scale(load.cube, customers)
    return _bills(tariff, _with_opening(load, opening_kwh), customers, series or {}, missing, _BY_INTERVALS)


def _bills(
    tariff: Tariff,
    load: PricedLoad,
    customers: CustomerTable | None,
    series: Mapping[str, pd.DataFrame | pl.DataFrame],
    missing: MissingIntervals,
    route: Route,
) -> BillArray:
    check_validity(tariff, load.windows)
    return _Pricer(tariff, complete(load, missing, tariff.tariff_id), customers, series, missing, route).bills()


def _with_opening(load: PricedLoad, opening_kwh: Mapping[str, Decimal] | None) -> PricedLoad:
    if opening_kwh is None:
        return load
    lacking = [key for key in load.cube.customer_keys if key not in opening_kwh]
    if lacking:
        raise TariffError(f"opening_kwh: no energy since 1 January for customer {lacking[0]}")
    opening = [to_scaled(opening_kwh[key], QUANTITY_DECIMALS) for key in load.cube.customer_keys]
    return load.with_opening(np.array(opening, np.int64))


def monthly_amounts_from_intervals(
    catalogue: Catalogue,
    readings: pd.DataFrame | pl.DataFrame,
    *,
    time_zone: str,
    days: DayCalendar | None = None,
    customers: CustomerTable | None = None,
) -> pd.DataFrame:
    """Price readings on all tariffs of a catalogue that need intervals and bring their price series along.

    A month gets an amount where it lies in the validity of the tariff and inside its series; other months have no row.

    Args:
        catalogue: Tariffs; those that the load cube can price are passed over.
        readings: ``customer_key``, ``read_at`` (UTC where it carries no zone), ``interval_minutes`` and ``kwh``.
        time_zone: IANA name of the tariffs' zone.
        days: Day types; needed by tariffs with a calendar.
        customers: Facts, needed by tariffs that charge for capacity or contracted demand.

    Returns:
        One row per customer, month and tariff: ``customer_key``, ``month``, ``tariff_id``, ``amount``.
    """
    frame = to_polars(readings)
    frame = frame.with_columns(utc_column(frame, "read_at"))
    local_month = pl.col("read_at").dt.convert_time_zone(time_zone).dt.date().dt.month_start()
    parts = []
    for tariff in catalogue.tariffs:
        if not tariff.requires_intervals:
            continue
        if tariff.calendar is not None and days is None:
            raise TariffError(f"{tariff.tariff_id}: calendar: its periods may depend on the day type; pass `days`")
        months = frame.select(local_month.unique().sort()).to_series().to_list()
        covered = [month for month in months if _is_covered(tariff, month, time_zone)]
        for (interval_minutes,), part in frame.filter(local_month.is_in(covered)).group_by("interval_minutes"):
            load = PricedLoad.of_readings(
                part,
                tariff,
                None,
                interval_minutes=int(interval_minutes),
                time_zone=time_zone,
                days=days or DayCalendar(),
            )
            # The readings are a mart's: one customer's wrong capacity must not stop the bills of all others.
            bills = _bills(tariff, load, customers, {}, "as_zero", _BY_INTERVALS)
            parts.append(bills.to_frame()[list(_MONTHLY_AMOUNT_COLUMNS)])
    if not parts:
        return pd.DataFrame(columns=list(_MONTHLY_AMOUNT_COLUMNS))
    return pd.concat(parts, ignore_index=True)


def _is_covered(tariff: Tariff, month: date, time_zone: str) -> bool:
    """Return whether the tariff is valid in a local month, and its series hold values for all of it."""
    zone = ZoneInfo(time_zone)
    start, end = (datetime(day.year, day.month, 1, tzinfo=zone) for day in (month, next_month(month)))
    is_valid = tariff.is_valid_on(month) and tariff.is_valid_on(Window.of_month(month).last)
    return is_valid and all(
        part.values is not None and part.values.starts_at <= start and end <= part.values.ends_at
        for part in tariff.components
        if isinstance(part, EnergySeriesComponent)
    )


class _Pricer:
    """The computation of one ``BillArray``."""

    def __init__(
        self,
        tariff: Tariff,
        load: PricedLoad,
        customers: CustomerTable | None,
        series: Mapping[str, pd.DataFrame | pl.DataFrame],
        missing: MissingIntervals,
        route: Route,
    ) -> None:
        self.tariff = tariff
        self.load = load
        self.cube = load.cube
        self.series = series
        self.missing = missing
        self.route = route
        self.customers = None if customers is None else customers.aligned_to(load.cube.customer_keys)
        self.decimals = tariff.rounding.decimals
        self.windows = load.windows
        self.shape = load.shape
        self.present = load.present
        self.net_kwh = None if tariff.net_metering is None else self._net_kwh(tariff.net_metering)

    def bills(self) -> BillArray:
        lines: list[LineArray] = []
        by_component: dict[str, Money] = {}
        for index, component in enumerate(self.tariff.components):
            total = Money.zero(self.shape, self.decimals)
            for line in self._lines(component, f"components[{index}]", by_component):
                lines.append(line)
                total = total + line.amount
            by_component[component.name] = total
        total = Money.zero(self.shape, self.decimals)
        for amount in by_component.values():
            total = total + amount
        return BillArray(
            tariff=self.tariff,
            customer_keys=self.cube.customer_keys,
            months=tuple(window.first for window in self.windows),
            is_priced=self.present,
            total_units=total.rounded().units,
            component_units={name: amount.rounded().units for name, amount in by_component.items()},
            lines=tuple(lines),
            load=self.load,
            missing=self.missing,
            route=self.route,
        )

    def _lines(self, component: Component, path: str, before: dict[str, Money]) -> Iterator[LineArray]:
        match component:
            case EnergyComponent():
                yield from self._energy_lines(component, path)
            case BandEnergyComponent():
                yield from self._band_lines(component)
            case EnergySeriesComponent():
                yield from self._series_lines(component)
            case DemandComponent():
                yield from self._demand_lines(component, path)
            case ContractedDemandComponent():
                yield from self._contracted_demand_lines(component, path)
            case CapacityComponent():
                capacity = np.broadcast_to(self._capacity_kva(component, path)[:, None], self.shape)
                for days, prices in self._dated_prices(component.tables):
                    yield self._product_line(component, "kVA", self._monthly(capacity, days), prices, days=days)
            case FixedComponent():
                yield from self._fixed_lines(component)
            case MinimumComponent():
                yield self._minimum_line(component, path, before)
            case PowerFactorComponent():
                yield self._power_factor_line(component, path, before)
            case PercentageComponent():
                yield from self._percentage_lines(component, before)
            case ExportComponent():
                yield from self._export_lines(component, path)

    # Energy

    def _energy_lines(self, component: EnergyComponent, path: str) -> Iterator[LineArray]:
        def capacity_kva() -> IntArray:
            return self._capacity_kva(component, path)

        ladders = EnergyLadders(component, self.tariff, self.load, self._period_kwh, capacity_kva)
        for found in ladders.quantities():
            yield self._product_line(
                component,
                "kWh",
                found.quantity,
                found.price,
                period=found.period,
                tier=found.tier,
                days=found.days,
                in_window=found.is_priced,
            )

    def _band_lines(self, component: BandEnergyComponent) -> Iterator[LineArray]:
        for runs in self._runs(component.tables):
            days = days_of(runs)
            kwh = self.load.sum_of_days(self._period_kwh(ALL_PERIODS), days)
            fixed = self._scaled_prices(None if run is None else run.table.fixed for run in runs)
            yield self._product_line(component, "kWh", kwh, fixed, days=days, part="fixed")
            floating = self._scaled_prices(None if run is None else run.table.floating for run in runs)
            factors = [{} if run is None else run.table.factors or component.factors for run in runs]
            for period in dict.fromkeys(period for found in factors for period in found):
                has_factor = np.array([period in found for found in factors])
                energy = self.load.sum_of_days(self._period_kwh(period), days) * has_factor
                factor = [to_scaled(found.get(period, Decimal(0)), FACTOR_DECIMALS) for found in factors]
                yield self._product_line(
                    component,
                    "kWh",
                    energy,
                    floating,
                    period=period,
                    factor=np.broadcast_to(np.array(factor, np.int64), self.shape),
                    days=days,
                    in_window=has_factor,
                    part="floating",
                )

    def _series_lines(self, component: EnergySeriesComponent) -> Iterator[LineArray]:
        for found in series_sums(component, self.load, self.series, self.tariff):
            yield self._line(
                component,
                "kWh",
                found.energy,
                found.price,
                found.amount,
                period=found.period,
                factor=found.factor,
                part=found.part,
            )

    def _export_lines(self, component: ExportComponent, path: str) -> Iterator[LineArray]:
        exported = self._exported(f"{path}: {component.name}")
        for runs in self._runs(component.tables):
            days = days_of(runs)
            for period in dict.fromkeys(period for run in runs if run is not None for period in run.table.prices):
                tables = [run.table if run is not None and period in run.table.prices else None for run in runs]
                prices = self._scaled_prices(None if table is None else table.prices[period][0] for table in tables)
                is_priced = np.array([table is not None for table in tables])
                energy = self.load.sum_of_days(self._kwh_of(exported, period), days) * is_priced
                yield self._product_line(
                    component, "kWh", -energy, prices, period=period, days=days, in_window=is_priced
                )

    def _exported(self, where: str) -> LoadCube:
        if self.load.exported is None:
            raise TariffError(
                f"{self.tariff.tariff_id}: {where}: the readings have no export_kwh; "
                "give it, zero where nothing is fed in"
            )
        return self.load.exported

    def _period_kwh(self, period: str) -> IntArray:
        """Return the energy of a period that energy components charge, by part."""
        if self.net_kwh is not None:
            return self.net_kwh[period]
        return self._kwh_of(self.cube, period)

    def _kwh_of(self, cube: LoadCube, period: str) -> IntArray:
        if period == ALL_PERIODS:
            return cube.month_kwh()
        names = self._calendar().period_names
        return cube.period_kwh(self._period_codes(), len(names))[:, :, names.index(period)]

    def _net_kwh(self, rule: NetMetering) -> dict[str, IntArray]:
        """Return what is bought less what is fed in, by period and for all."""
        if not self.load.is_whole:
            raise TariffError(
                f"{self.tariff.tariff_id}: net_metering: a window in which prices change or a month ends has no one "
                "month to net; price calendar months whose prices change at their start"
            )
        exported = self._exported("net_metering")
        periods = (ALL_PERIODS,) if self.tariff.calendar is None else self.tariff.calendar.period_names
        net: dict[str, IntArray] = {}
        for period in periods:
            balance = self._kwh_of(self.cube, period) - self._kwh_of(exported, period)
            carried = np.zeros(len(self.cube), np.int64)
            billed = np.zeros_like(balance)
            for index, window in enumerate(self.windows):
                if rule.expires_in_month == window.first.month:
                    carried[:] = 0
                after = balance[:, index] + carried
                billed[:, index] = np.maximum(after, 0)
                carried = np.minimum(after, 0) if rule.carry_over == "next_month" else np.zeros_like(after)
            net[period] = billed
        net[ALL_PERIODS] = sum(net.values(), np.zeros_like(next(iter(net.values()))))
        return net

    def _calendar(self) -> Calendar:
        if self.tariff.calendar is None:
            raise TariffError(f"{self.tariff.tariff_id}: calendar: missing, but a component names periods")
        return self.tariff.calendar

    def _period_codes(self) -> NDArray[np.int8]:
        return self.load.period_codes(self._calendar())

    # Demand and capacity

    def _demand_lines(self, component: DemandComponent, path: str) -> Iterator[LineArray]:
        metered = self._demand(component, component.periods, path)
        billed = metered if component.ratchet is None else self._ratcheted(component, component.ratchet, metered, path)
        period = "+".join(component.periods) or ALL_PERIODS
        factor = self._discount_factor(component, component.discount, path)
        for runs in self._runs(component.tables):
            days = days_of(runs)
            demand = self._monthly(billed, days)
            tier_count = max(len(run.table.tier_prices) for run in runs if run is not None)
            if tier_count == 1:
                prices = self._scaled_prices(None if run is None else run.table.tier_prices[0] for run in runs)
                yield self._product_line(
                    component, "kW", demand, prices, period=period, factor=factor, days=days, metered=metered
                )
                continue
            lower = np.zeros(self.shape[1], np.int64)
            for tier in range(tier_count):
                upper, prices = self._demand_tier(runs, tier)
                quantity = np.clip(demand, lower, upper) - lower
                yield self._product_line(
                    component,
                    "kW",
                    quantity,
                    prices,
                    period=period,
                    tier=tier + 1,
                    factor=factor,
                    days=days,
                    metered=metered,
                )
                lower = upper

    def _demand_tier(self, runs: Sequence[Stretch[DemandPrice] | None], tier: int) -> tuple[IntArray, IntArray]:
        """Return upper limit in 1e-4 kW and price of a tier in each window; what a table lacks holds no demand."""
        upper = np.full(self.shape[1], np.iinfo(np.int64).max, np.int64)
        prices = np.zeros(self.shape[1], np.int64)
        for index, run in enumerate(runs):
            if run is None or tier >= len(run.table.tier_prices):
                continue
            prices[index] = to_scaled(run.table.tier_prices[tier], PRICE_DECIMALS)
            if tier < len(run.table.limits_kw):
                limit = to_scaled(run.table.limits_kw[tier], QUANTITY_DECIMALS)
                upper[index] = share_of_days(limit, run.days, self.windows[index], self.tariff.proration)
        return upper, prices

    def _demand(self, component: DemandComponent, periods: tuple[str, ...], path: str) -> IntArray:
        """Return the largest demand of some periods, shape (customers, windows)."""
        is_in_period = None
        if periods:
            names = self._calendar().period_names
            is_in_period = np.isin(self._period_codes(), [names.index(name) for name in periods])
        if component.interval_minutes is not None:
            try:
                return self.load.block_peak_kw(component.interval_minutes, is_in_period)
            except TariffError as error:
                raise TariffError(f"{self.tariff.tariff_id}: {path}.{error}") from error
        if is_in_period is None:
            return self.load.peak_kw()
        return self.load.largest_by_window(self.cube.period_peak_kw(is_in_period))

    def _ratcheted(self, component: DemandComponent, ratchet: Ratchet, metered: IntArray, path: str) -> IntArray:
        billed = metered
        if ratchet.floor_kw is not None:
            billed = np.maximum(billed, to_scaled(ratchet.floor_kw, QUANTITY_DECIMALS))
        share = to_scaled(ratchet.percent / 100, FACTOR_DECIMALS)
        if share == 0:
            return billed
        is_own = ratchet.periods is None or ratchet.periods == component.periods
        demand = metered if is_own else self._demand(component, ratchet.periods or (), path)
        demand = np.where(self.present, demand, 0)
        highest = np.zeros(self.shape, np.int64)
        for index in range(self.shape[1]):
            if ratchet.missing_history == "refuse":
                self._check_history(ratchet, index, path)
            for earlier in range(max(0, index - ratchet.range_months), index):
                if self.windows[earlier].first.month in ratchet.months:
                    highest[:, index] = np.maximum(highest[:, index], demand[:, earlier])
        return np.maximum(billed, (highest * share + _ONE_FACTOR // 2) // _ONE_FACTOR)

    def _check_history(self, ratchet: Ratchet, index: int, path: str) -> None:
        """Refuse a window whose earlier demands are not all known."""
        first = self.windows[0].first
        for back in range(1, ratchet.range_months + 1):
            position = index - back
            month = self.windows[position].first.month if position >= 0 else (first.month - 1 + position) % 12 + 1
            if month not in ratchet.months:
                continue
            lacks = self.present[:, index] & (~self.present[:, position] if position >= 0 else True)
            if lacks.any():
                raise TariffError(
                    f"{self.tariff.tariff_id}: {path}.ratchet: the bill from {self.windows[index].first} depends "
                    f"on the demand of {back} months before, which is not known for customer "
                    f"{self.cube.customer_keys[np.flatnonzero(lacks)[0]]}; give earlier readings, or say "
                    "`missing_history: use_known`"
                )

    def _contracted_demand_lines(self, component: ContractedDemandComponent, path: str) -> Iterator[LineArray]:
        applies = self._applies(component)
        capacity = self._capacity_kva(component, path)
        contracted = scaled_quantity(self._customers(component, path).contracted_kw)
        lacks_contract = applies[:, 0] & (contracted <= 0)
        if lacks_contract.any():
            raise TariffError(
                f"{self.tariff.tariff_id}: {path}: contracted_kw is missing for customer "
                f"{self.cube.customer_keys[lacks_contract][0]}, who is billed by contracted demand"
            )
        # The floor is rounded up to 1e-4 kW and the tolerance down, both far below what a meter resolves.
        floor = -(-capacity * to_scaled(component.floor_share_of_kva, FACTOR_DECIMALS) // _ONE_FACTOR)
        billed = np.maximum(contracted, floor)
        free = billed * to_scaled(component.tolerance, FACTOR_DECIMALS) // _ONE_FACTOR
        metered = self.load.peak_kw()
        excess = np.maximum(metered - free[:, None], 0)
        discount = self._discount_factor(component, component.discount, path)
        multiplier = to_scaled(component.excess_multiplier, FACTOR_DECIMALS)
        excess_factor = np.full(self.shape, multiplier, np.int64)
        if discount is not None:
            excess_factor = excess_factor * discount // _ONE_FACTOR
        billed_months = np.broadcast_to(billed[:, None], self.shape)
        for days, prices in self._dated_prices(component.tables):
            base, above = self._monthly(billed_months, days), self._monthly(excess, days)
            yield self._product_line(component, "kW", base, prices, factor=discount, days=days, metered=metered)
            yield self._product_line(
                component, "kW", above, prices, period="excess", factor=excess_factor, days=days, metered=metered
            )

    def _discount_factor(self, component: Component, discount: LoadFactorDiscount | None, path: str) -> IntArray | None:
        if discount is None:
            return None
        capacity = self._capacity_kva(component, path)[:, None]
        threshold = to_scaled(discount.kwh_per_kva, QUANTITY_DECIMALS)
        # kWh / kVA >= threshold, without dividing.
        needed = self._monthly(np.broadcast_to(-(-capacity * threshold // _ONE), self.shape), self.windows)
        reached = (self.load.kwh() >= needed) & (capacity > 0)
        return np.where(reached, to_scaled(discount.factor, FACTOR_DECIMALS), _ONE_FACTOR)

    # Amounts that do not depend on use

    def _fixed_lines(self, component: FixedComponent) -> Iterator[LineArray]:
        if component.charged_in_month is not None:
            yield self._yearly_line(component, component.charged_in_month)
            return
        for days, prices in self._dated_prices(component.tables):
            if component.per == "year":
                prices = (2 * prices + 12) // 24
            match component.per:
                case "day":
                    unit, row = "day", [0 if found is None else found.days * _ONE for found in days]
                case "mean_day":
                    unit, row = "day", self._monthly_row(_MEAN_DAYS, days)
                case "month" | "year":
                    unit, row = "month", self._monthly_row(_ONE, days)
            quantity = np.broadcast_to(np.array(row, np.int64), self.shape)
            yield self._product_line(component, unit, quantity, prices, days=days)

    def _yearly_line(self, component: FixedComponent, month: int) -> LineArray:
        """Return the line of a year's price that is charged whole where the month begins."""
        prices, quantities = np.zeros(self.shape[1], np.int64), np.zeros(self.shape[1], np.int64)
        for index, window in enumerate(self.windows):
            due = [date(year, month, 1) for year in {window.first.year, window.last.year}]
            for day in due:
                if window.contains(day):
                    quantities[index] += _ONE
                    prices[index] = to_scaled(table_on(day, component.tables).price, PRICE_DECIMALS)
        return self._product_line(component, "year", np.broadcast_to(quantities, self.shape), prices)

    def _minimum_line(self, component: MinimumComponent, path: str, before: dict[str, Money]) -> LineArray:
        covered = self._sum_of(component.covers, before)
        if component.per == "year":
            return self._minimum_of_year_line(component, path, covered)
        minimum = Money.zero((self.shape[1],), self.decimals)
        quantity = np.zeros(self.shape[1], np.int64)
        stretch_prices = []
        for days, prices in self._dated_prices(component.tables):
            row = (
                [0 if found is None else found.days * _ONE for found in days]
                if component.per == "day"
                else self._monthly_row(_ONE, days)
            )
            minimum = minimum + multiply(np.array(row, np.int64), prices, self.decimals)
            quantity = quantity + np.array(row, np.int64)
            stretch_prices.append(prices)
        shortfall = (minimum.broadcast_to(self.shape) + -covered).positive_part()
        price = stretch_prices[0] if len(stretch_prices) == 1 else None
        return self._line(component, component.per, np.broadcast_to(quantity, self.shape), price, shortfall)

    def _minimum_of_year_line(self, component: MinimumComponent, path: str, covered: Money) -> LineArray:
        """Return the line that tops up a calendar year in the window of its 31 December."""
        shortfalls = [Money.zero(self.shape[:1], self.decimals)] * self.shape[1]
        prices, quantities = np.zeros(self.shape[1], np.int64), np.zeros(self.shape[1], np.int64)
        so_far = Money.zero(self.shape[:1], self.decimals)
        is_known = False
        for index, window in enumerate(self.windows):
            if index == 0 or window.first.year != self.windows[index - 1].first.year:
                so_far = Money.zero(self.shape[:1], self.decimals)
                is_known = index > 0 or window.first <= max(date(window.first.year, 1, 1), self.tariff.valid_from)
            so_far = so_far + covered.column(index)
            settled_on = date(window.first.year, 12, 31)
            if not window.contains(settled_on):
                continue
            if not is_known:
                raise TariffError(
                    f"{self.tariff.tariff_id}: {path}.per: the minimum of {settled_on.year} is settled with the bills "
                    f"since 1 January, and the load starts on {self.windows[0].first}; give loads from 1 January"
                )
            prices[index] = to_scaled(table_on(settled_on, component.tables).price, PRICE_DECIMALS)
            quantities[index] = _ONE
            minimum = multiply(quantities[index : index + 1], prices[index : index + 1], self.decimals)
            shortfalls[index] = (minimum.broadcast_to(self.shape[:1]) + -so_far).positive_part()
        shortfall = Money.of_columns(shortfalls)
        return self._line(component, "year", np.broadcast_to(quantities, self.shape), prices, shortfall)

    # Percentages of money

    def _power_factor_line(self, component: PowerFactorComponent, path: str, before: dict[str, Money]) -> LineArray:
        kvarh = self._kvarh(component, path)
        percents = power_factor_percents(component, self.load.kwh(), kvarh)
        prices = percents * 10 ** (PRICE_DECIMALS - 2 - PERCENT_DECIMALS)
        base = self._sum_of(component.base, before).to_quantity()
        return self._product_line(component, self.tariff.currency, base, prices)

    def _kvarh(self, component: PowerFactorComponent, path: str) -> IntArray:
        kvarh = self.cube.month_kvarh()
        lacks = self._applies(component) & self.cube.present & ~self.cube.is_reactive_metered
        if kvarh is None or lacks.any():
            row, part = (int(found[0]) if len(found) else 0 for found in np.nonzero(lacks))
            raise TariffError(
                f"{self.tariff.tariff_id}: {path}: {component.name} depends on kvarh, which was not metered for "
                f"customer {self.cube.customer_keys[row]} from {self.load.parts[part].first}"
            )
        return self.load.sum_by_window(kvarh)

    def _percentage_lines(self, component: PercentageComponent, before: dict[str, Money]) -> Iterator[LineArray]:
        base = self._sum_of(component.base, before).to_quantity()
        for runs in self._runs(component.tables):
            days = days_of(runs)
            quantity = np.zeros(self.shape, np.int64)
            for index, run in enumerate(runs):
                if run is not None:
                    quantity[:, index] = share_of_window(base[:, index], run.days, self.windows[index])
            prices = self._scaled_prices(None if run is None else run.table.percent / 100 for run in runs)
            yield self._product_line(component, self.tariff.currency, quantity, prices, days=days)

    def _sum_of(self, names: tuple[str, ...], before: dict[str, Money]) -> Money:
        """Return the sum of some components, of all before by default."""
        total = Money.zero(self.shape, self.decimals)
        for name in names or before:
            total = total + before[name]
        return total

    # Dates

    def _runs(self, tables: Sequence[TableT]) -> Iterator[list[Stretch[TableT] | None]]:
        """Yield the first stretch of every window, then the second, and so on."""
        found = [stretches(window, tables) for window in self.windows]
        for number in range(max(len(runs) for runs in found)):
            yield [runs[number] if number < len(runs) else None for runs in found]

    def _dated_prices(self, tables: Sequence[UnitPrice]) -> Iterator[tuple[tuple[Window | None, ...], IntArray]]:
        """Yield days and price of the first stretch of every window, then of the second, and so on."""
        for runs in self._runs(tables):
            prices = self._scaled_prices(None if run is None else run.table.price for run in runs)
            yield days_of(runs), prices

    def _monthly(self, quantity: IntArray, days: Sequence[Window | None]) -> IntArray:
        """Return the share of days of a monthly quantity, shape (customers, windows)."""
        if all(
            found is not None and found.is_calendar_month and found == window
            for found, window in zip(days, self.windows, strict=True)
        ):
            return quantity
        shares = np.zeros(self.shape, np.int64)
        for index, (found, window) in enumerate(zip(days, self.windows, strict=True)):
            if found is not None:
                shares[:, index] = share_of_days(quantity[:, index], found, window, self.tariff.proration)
        return shares

    def _monthly_row(self, quantity: int, days: Sequence[Window | None]) -> list[int]:
        return [
            0 if found is None else share_of_days(quantity, found, window, self.tariff.proration)
            for found, window in zip(days, self.windows, strict=True)
        ]

    # Lines

    def _product_line(
        self,
        component: Component,
        unit: str,
        quantity: IntArray,
        price: IntArray,
        *,
        period: str = ALL_PERIODS,
        tier: int | None = None,
        factor: IntArray | None = None,
        days: tuple[Window | None, ...] | None = None,
        in_window: NDArray[np.bool_] | None = None,
        part: str | None = None,
        metered: IntArray | None = None,
    ) -> LineArray:
        amount = multiply(quantity, price, self.decimals, factor=factor)
        return self._line(
            component,
            unit,
            quantity,
            price,
            amount,
            period=period,
            tier=tier,
            factor=factor,
            days=days,
            in_window=in_window,
            part=part,
            metered=metered,
        )

    def _line(
        self,
        component: Component,
        unit: str,
        quantity: IntArray,
        price: IntArray | None,
        amount: Money,
        *,
        period: str = ALL_PERIODS,
        tier: int | None = None,
        factor: IntArray | None = None,
        days: tuple[Window | None, ...] | None = None,
        in_window: NDArray[np.bool_] | None = None,
        part: str | None = None,
        metered: IntArray | None = None,
    ) -> LineArray:
        applies = self._applies(component)
        if days == self.windows:
            days = None
        elif days is not None:
            applies = applies & np.array([found is not None for found in days])
        if in_window is not None:
            applies = applies & in_window
        if self.tariff.rounding.scope == "line":
            amount = amount.rounded()
        amount = amount.where(applies & self.present)
        return LineArray(component, period, tier, unit, quantity, price, factor, amount, applies, part, days, metered)

    def _applies(self, component: Component) -> NDArray[np.bool_]:
        """Return, shape (customers, 1), whether a component is billed to a customer with the chosen basis."""
        if component.billing_basis is None:
            return np.ones((self.shape[0], 1), bool)
        default = self.tariff.billing_bases[0]
        if self.customers is None:
            return np.full((self.shape[0], 1), component.billing_basis == default)
        chosen = self.customers.billing_basis
        is_known = np.isin(chosen.astype(str), self.tariff.billing_bases)
        unknown = ~is_known & pd.notna(chosen)
        if unknown.any():
            raise TariffError(
                f"{self.tariff.tariff_id}: billing_basis {chosen[unknown][0]!r} is not offered; "
                f"choose one of {', '.join(self.tariff.billing_bases)}"
            )
        return (np.where(is_known, chosen, default) == component.billing_basis)[:, None]

    def _scaled_prices(self, prices: Iterable[Decimal | None]) -> IntArray:
        scaled = [0 if price is None else to_scaled(price, PRICE_DECIMALS) for price in prices]
        return np.array(scaled, np.int64)

    def _customers(self, component: Component, path: str) -> CustomerTable:
        if self.customers is None:
            raise TariffError(f"{self.tariff.tariff_id}: {path}: {component.name} needs facts; pass `customers`")
        return self.customers

    def _capacity_kva(self, component: Component, path: str) -> IntArray:
        capacity = self._customers(component, path).contract_capacity_kva
        is_missing = self._applies(component)[:, 0] & ~(capacity > 0)
        if is_missing.any():
            raise TariffError(
                f"{self.tariff.tariff_id}: {path}: contract_capacity_kva is missing for customer "
                f"{self.cube.customer_keys[is_missing][0]}, and {component.name} is charged by it"
            )
        return scaled_quantity(capacity)


@dataclass(frozen=True)
class Offer:
    """A tariff with one choice of options."""

    tariff: Tariff
    billing_basis: BillingBasis | None = None

    @property
    def label(self) -> str:
        """Unique text for tables: ``tariff_id`` or ``tariff_id/billing_basis``."""
        return self.tariff.tariff_id if self.billing_basis is None else f"{self.tariff.tariff_id}/{self.billing_basis}"


@dataclass(frozen=True)
class OfferTable:
    """What every customer would pay on every offer over the months of a cube.

    Attributes:
        customer_keys: Rows.
        offers: Columns.
        sum_units: Bill over all priced months in the smallest money unit of each tariff, shape (customers, offers).
        is_eligible: Whether the customer may take the offer and it could be priced, same shape.
    """

    customer_keys: NDArray[np.object_]
    offers: tuple[Offer, ...]
    sum_units: IntArray
    is_eligible: NDArray[np.bool_]

    @property
    def sum_amount(self) -> NDArray[np.float64]:
        """Bills in the currency; NaN where not eligible."""
        decimals = np.array([offer.tariff.rounding.decimals for offer in self.offers])
        return np.where(self.is_eligible, self.sum_units / 10.0**decimals, np.nan)

    def to_frame(self) -> pd.DataFrame:
        """Return one row per customer and one column per offer label, NaN where not eligible."""
        index = pd.Index(self.customer_keys, name=CUSTOMER_KEY)
        return pd.DataFrame(self.sum_amount, index=index, columns=[offer.label for offer in self.offers])


def offers_of(tariffs: Sequence[Tariff]) -> tuple[Offer, ...]:
    """Return every tariff once per billing basis that it offers."""
    return tuple(Offer(tariff, basis) for tariff in tariffs for basis in (tariff.billing_bases or (None,)))


def price_tariffs(tariffs: Sequence[Tariff], cube: LoadCube, customers: CustomerTable) -> OfferTable:
    """Price all customers on all offers of tariffs that they may take.

    An offer by contracted demand is priced only for customers with a ``contracted_kw``. Tariffs that need intervals are
    eligible for nobody here.

    Args:
        tariffs: In one currency.
        cube: Loads over the months to compare.
        customers: Facts and options, any order.

    Raises:
        TariffError: The tariffs have several currencies, or need what the loads or ``customers`` do not hold.
        SchemaMismatchError: The loads look like W or Wh (see ``check_scale``).
    """
    currencies = {tariff.currency for tariff in tariffs}
    if len(currencies) > 1:
        raise TariffError(f"tariffs in {' and '.join(sorted(currencies))} cannot be compared: choose one currency")
    aligned = customers.aligned_to(cube.customer_keys)
    check_scale(cube, aligned)
    offers = offers_of(tariffs)
    sum_units = np.zeros((len(cube), len(offers)), np.int64)
    is_eligible = np.zeros((len(cube), len(offers)), bool)
    has_load = cube.present.any(axis=1)
    columns_by_customers: dict[bytes, list[int]] = {}
    for column, offer in enumerate(offers):
        if offer.tariff.requires_intervals:
            continue
        eligible = aligned.is_eligible(offer.tariff) & has_load
        if offer.billing_basis == "contracted_demand":
            eligible &= aligned.contracted_kw > 0
        is_eligible[:, column] = eligible
        if eligible.any():
            columns_by_customers.setdefault(eligible.tobytes(), []).append(column)

    def price_part(rows: NDArray[np.intp], columns: Sequence[int]) -> None:
        part, facts = cube.take(rows), aligned.aligned_to(cube.customer_keys[rows])
        for column in columns:
            offer = offers[column]
            chosen = facts if offer.billing_basis is None else facts.with_billing_basis(offer.billing_basis)
            sum_units[rows, column] = price_cube(offer.tariff, part, chosen).sum_units

    # Offers to the same customers share one part of the cube, and with it the sums per price period. Parts are small
    # enough for the arrays of a bill to stay in the processor's cache, and threads take them in turn.
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        parts = [
            threads.submit(price_part, members[start : start + _CUSTOMERS_AT_ONCE], columns)
            for columns in columns_by_customers.values()
            for members in (np.flatnonzero(is_eligible[:, columns[0]]),)
            for start in range(0, len(members), _CUSTOMERS_AT_ONCE)
        ]
        for part in parts:
            part.result()
    return OfferTable(cube.customer_keys, offers, sum_units, is_eligible)
