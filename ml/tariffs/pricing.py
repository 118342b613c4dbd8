"""Bills of many customers at once from the load cube: exact integers from the energy to the cent.

Quantities are integers in 1e-4 units and prices integers in 1e-8; a line is their exact product, rounded to the money
decimals of the tariff per line, or kept exact and rounded once per bill. ``ml.tariffs.bill`` turns the same lines into
a bill that a person can check.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import polars as pl
from numpy.typing import NDArray

from ml.columns import CUSTOMER_KEY
from ml.errors import TariffError
from ml.tariffs.calendar import ALL_PERIODS, DayCalendar, days_in_month, next_month
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
from ml.tariffs.load_cube import LoadCube, to_polars, utc_column
from ml.tariffs.price_series import SeriesSum, series_sums
from ml.tariffs.schema import (
    BillingBasis,
    CapacityComponent,
    Component,
    ContractedDemandComponent,
    DemandComponent,
    EnergyComponent,
    EnergySeriesComponent,
    FixedComponent,
    LoadFactorDiscount,
    MinimumComponent,
    Tariff,
    UnitPrice,
)

_MONTHLY_AMOUNT_COLUMNS = (CUSTOMER_KEY, "month", "tariff_id", "amount")
_ONE_FACTOR = 10**FACTOR_DECIMALS
_MEAN_DAYS = Decimal(365) / Decimal(12)


@dataclass(frozen=True)
class LineArray:
    """One line of the bills of all customers and months.

    Attributes:
        component: The tariff component that charges it.
        period: Price period, or ``all``.
        tier: Number of the tier from 1, where there are tiers.
        unit: Unit of the quantity.
        quantity: In 1e-4 units, shape (customers, months).
        price: In 1e-8 of the currency, shape (months,); None where every interval has its own.
        factor: In 1e-4, shape (customers, months), where a factor applies.
        amount: Money, rounded if the tariff rounds lines.
        applies: Whether the line is on the bill at all, shape (customers, 1) or (customers, months).
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


@dataclass(frozen=True)
class BillArray:
    """Monthly bills of many customers on one tariff.

    Attributes:
        tariff: The tariff.
        customer_keys: First axis.
        months: Second axis.
        is_priced: False where a customer has no reading in a month; amounts are zero there, shape (customers, months).
        total_units: Bill in the smallest money unit, shape (customers, months).
        component_units: The same per component name. With rounding per total, a component is rounded on its own and
            the components may differ from the total by some units.
        lines: Every line, for bills that explain themselves.
    """

    tariff: Tariff
    customer_keys: NDArray[np.object_]
    months: tuple[date, ...]
    is_priced: NDArray[np.bool_]
    total_units: IntArray
    component_units: dict[str, IntArray]
    lines: tuple[LineArray, ...] = field(repr=False)

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


def price_cube(tariff: Tariff, cube: LoadCube, customers: CustomerTable | None = None) -> BillArray:
    """Price every customer and month of the cube on one tariff, whether eligible or not.

    Args:
        tariff: The tariff; all months of the cube must lie in its validity.
        cube: Loads.
        customers: Capacity, contracted demand and billing basis, any order; needed by tariffs that charge for them.
            A customer who names no billing basis is billed on the tariff's first.

    Raises:
        TariffError: The tariff needs what the cube or ``customers`` do not hold.
    """
    if tariff.requires_intervals:
        raise TariffError(f"{tariff.tariff_id}: {tariff.route.reason}; use price_intervals")
    _check_validity(tariff, cube)
    return _Pricer(tariff, cube, customers, {}).bills()


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
) -> BillArray:
    """Price interval readings on one tariff: the route for prices that differ between days of one type.

    A tariff that the cube can price gets the same bills, to the last decimal.

    Args:
        tariff: The tariff.
        readings: See ``LoadCube.from_intervals``.
        interval_minutes: Length of an interval.
        time_zone: IANA name of the tariff's zone.
        days: Day types.
        series: By the name that the tariff gives, a table of ``read_at`` (start, UTC where it carries no zone) and
            ``value`` (a band, or a price per kWh) with a row for every instant read; needed where the tariff does not
            bring the values along.
        customers: See ``price_cube``.
        opening_kwh: Energy of each customer from 1 January until the first month.
    """
    cube = LoadCube.from_intervals(readings, interval_minutes=interval_minutes, time_zone=time_zone, days=days)
    if opening_kwh is not None:
        opening = [to_scaled(opening_kwh[key], QUANTITY_DECIMALS) for key in cube.customer_keys]
        cube = replace(cube, opening_kwh=np.array(opening, np.int64))
    _check_validity(tariff, cube)
    sums = {
        part.name: series_sums(part, readings, time_zone, cube, series or {}, tariff)
        for part in tariff.components
        if isinstance(part, EnergySeriesComponent)
    }
    return _Pricer(tariff, cube, customers, sums).bills()


def monthly_amounts_from_intervals(
    catalogue: Catalogue, readings: pd.DataFrame | pl.DataFrame, *, time_zone: str, days: DayCalendar | None = None
) -> pd.DataFrame:
    """Price readings on all tariffs of a catalogue that need intervals and bring their price series along.

    A month gets an amount where it lies in the validity of the tariff and inside its series; other months have no row.

    Args:
        catalogue: Tariffs; those that the load cube can price are passed over.
        readings: ``customer_key``, ``read_at`` (UTC where it carries no zone), ``interval_minutes`` and ``kwh``.
        time_zone: IANA name of the tariffs' zone.
        days: Day types; needed by tariffs with a calendar.

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
            bills = price_intervals(
                tariff,
                part,
                interval_minutes=int(interval_minutes),
                time_zone=time_zone,
                days=days or DayCalendar(),
            )
            parts.append(bills.to_frame()[list(_MONTHLY_AMOUNT_COLUMNS)])
    if not parts:
        return pd.DataFrame(columns=list(_MONTHLY_AMOUNT_COLUMNS))
    return pd.concat(parts, ignore_index=True)


def _is_covered(tariff: Tariff, month: date, time_zone: str) -> bool:
    """Return whether the tariff is valid in a local month, and its series hold values for all of it."""
    zone = ZoneInfo(time_zone)
    start, end = (datetime(day.year, day.month, 1, tzinfo=zone) for day in (month, next_month(month)))
    return tariff.is_valid_on(month) and all(
        part.values is not None and part.values.starts_at <= start and end <= part.values.ends_at
        for part in tariff.components
        if isinstance(part, EnergySeriesComponent)
    )


_PRICED = (
    EnergyComponent,
    EnergySeriesComponent,
    DemandComponent,
    ContractedDemandComponent,
    CapacityComponent,
    FixedComponent,
    MinimumComponent,
)


def _refuse_what_is_not_priced(tariff: Tariff) -> None:
    if tariff.net_metering is not None:
        raise TariffError(f"{tariff.tariff_id}: net_metering: is not priced yet")
    for index, component in enumerate(tariff.components):
        where = f"{tariff.tariff_id}: components[{index}]"
        if not isinstance(component, _PRICED):
            raise TariffError(f"{where}.kind: `{component.kind}` is not priced yet")
        if isinstance(component, EnergyComponent) and component.tiers is not None:
            tiers = component.tiers
            is_priced = tiers.basis in {"month", "year"} and tiers.allocation in {"single_ladder", "ladder_per_period"}
            has_own_limits = any(table.limits_kwh or table.limits_kwh_by_period for table in component.tables)
            if not is_priced or has_own_limits or tiers.limits_kwh_by_period:
                raise TariffError(f"{where}.tiers: this basis, allocation or limits are not priced yet")
        if isinstance(component, DemandComponent) and (
            component.ratchet or component.interval_minutes or any(table.prices for table in component.tables)
        ):
            raise TariffError(f"{where}: ratchet, interval_minutes and tiers of demand are not priced yet")
        if isinstance(component, EnergySeriesComponent):
            if component.cover_share is not None:
                raise TariffError(f"{where}.cover_share: is not priced yet")
        elif any(day.day != 1 for table in component.tables for day in table.changes):
            raise TariffError(f"{where}.tables: a price that changes inside a month is not priced yet")
        if isinstance(component, FixedComponent) and component.per == "year":
            raise TariffError(f"{where}.per: `year` is not priced yet")
        if isinstance(component, MinimumComponent) and component.per != "month":
            raise TariffError(f"{where}.per: `{component.per}` is not priced yet")


def _check_validity(tariff: Tariff, cube: LoadCube) -> None:
    _refuse_what_is_not_priced(tariff)
    for month in cube.months:
        if not tariff.is_valid_on(month):
            raise TariffError(
                f"{tariff.tariff_id} version {tariff.version}: valid from {tariff.valid_from} "
                f"to {tariff.valid_to or 'further notice'}, so it cannot price {month:%Y-%m}"
            )


class _Pricer:
    """The computation of one ``BillArray``."""

    def __init__(
        self,
        tariff: Tariff,
        cube: LoadCube,
        customers: CustomerTable | None,
        sums_of_series: Mapping[str, Sequence[SeriesSum]],
    ) -> None:
        self.sums_of_series = sums_of_series
        self.tariff = tariff
        self.cube = cube
        self.customers = None if customers is None else customers.aligned_to(cube.customer_keys)
        self.decimals = tariff.rounding.decimals
        self.shape = (len(cube), len(cube.months))

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
            months=self.cube.months,
            is_priced=self.cube.present,
            total_units=total.rounded().units,
            component_units={name: amount.rounded().units for name, amount in by_component.items()},
            lines=tuple(lines),
        )

    def _lines(self, component: Component, path: str, before: dict[str, Money]) -> Iterator[LineArray]:
        match component:
            case EnergyComponent():
                yield from self._energy_lines(component)
            case DemandComponent():
                yield self._demand_line(component, path)
            case ContractedDemandComponent():
                yield from self._contracted_demand_lines(component, path)
            case CapacityComponent():
                capacity = np.broadcast_to(self._capacity_kva(component, path)[:, None], self.shape)
                yield self._product_line(component, "kVA", capacity, self._prices(component.tables))
            case FixedComponent():
                yield self._fixed_line(component)
            case MinimumComponent():
                yield self._minimum_line(component, before)
            case EnergySeriesComponent():
                for part in self.sums_of_series[component.name]:
                    yield self._line(component, "kWh", part.energy, part.price, part.amount, period=part.period)

    def _energy_lines(self, component: EnergyComponent) -> Iterator[LineArray]:
        tables = [next(table for table in component.tables if table.applies_to(month)) for month in self.cube.months]
        tier_count = 1 if component.tiers is None else len(component.tiers.limits_kwh) + 1
        for period in dict.fromkeys(period for table in tables for period in table.prices):
            prices = np.zeros((len(tables), tier_count), np.int64)
            has_price = np.zeros(len(tables), bool)
            for index, table in enumerate(tables):
                if period in table.prices:
                    values = [to_scaled(price, PRICE_DECIMALS) for price in table.prices[period]]
                    prices[index] = values if len(values) == tier_count else values[0]
                    has_price[index] = True
            energy = self._period_kwh(period) * has_price
            if component.tiers is None:
                yield self._product_line(component, "kWh", energy, prices[:, 0], period=period, in_month=has_price)
                continue
            for tier, quantity in enumerate(self._tier_quantities(component, energy, period)):
                yield self._product_line(
                    component, "kWh", quantity, prices[:, tier], period=period, tier=tier + 1, in_month=has_price
                )

    def _period_kwh(self, period: str) -> IntArray:
        if period == ALL_PERIODS:
            return self.cube.month_kwh()
        calendar = self._period_codes()
        names = self._period_names()
        return self.cube.period_kwh(calendar, len(names))[:, :, names.index(period)]

    def _period_names(self) -> tuple[str, ...]:
        if self.tariff.calendar is None:
            raise TariffError(f"{self.tariff.tariff_id}: calendar: missing, but a component names periods")
        return self.tariff.calendar.period_names

    def _period_codes(self) -> NDArray[np.int8]:
        if self.tariff.calendar is None:
            raise TariffError(f"{self.tariff.tariff_id}: calendar: missing, but a component names periods")
        calendar, slot_minutes = self.tariff.calendar, self.cube.slot_minutes
        by_month = {month: calendar.period_codes(month, slot_minutes) for month in {m.month for m in self.cube.months}}
        return np.stack([by_month[month.month] for month in self.cube.months])

    def _tier_quantities(self, component: EnergyComponent, energy: IntArray, period: str) -> Iterator[IntArray]:
        """Yield the energy of each tier, lowest first."""
        tiers = component.tiers
        if tiers is None:
            yield energy
            return
        before = np.zeros_like(energy) if tiers.basis == "month" else self._year_to_date(energy, component, period)
        after = before + energy
        lower = 0
        for limit in (*(to_scaled(limit, QUANTITY_DECIMALS) for limit in tiers.limits_kwh), np.iinfo(np.int64).max):
            yield np.clip(after, lower, limit) - np.clip(before, lower, limit)
            lower = limit

    def _year_to_date(self, energy: IntArray, component: EnergyComponent, period: str) -> IntArray:
        """Return the energy from 1 January until each month starts."""
        months = self.cube.months
        before = np.zeros_like(energy)
        if months[0].month != 1:
            if self.cube.opening_kwh is None or period != ALL_PERIODS:
                raise TariffError(
                    f"{self.tariff.tariff_id}: {component.name}: tiers count from 1 January, and the load starts in "
                    f"{months[0]:%Y-%m} with no energy known from the year's start; give opening_kwh, or estimate it "
                    "by LoadCube.with_opening_from_window()"
                )
            before[:, 0] = self.cube.opening_kwh
        for index in range(1, len(months)):
            if months[index].month != 1:
                before[:, index] = before[:, index - 1] + energy[:, index - 1]
        return before

    def _demand_line(self, component: DemandComponent, path: str) -> LineArray:
        if not component.periods:
            demand = self.cube.month_peak_kw()
            period = ALL_PERIODS
        else:
            names = self._period_names()
            codes = self._period_codes()
            demand = self.cube.period_peak_kw(np.isin(codes, [names.index(name) for name in component.periods]))
            period = "+".join(component.periods)
        factor = self._discount_factor(component, component.discount, path)
        return self._product_line(component, "kW", demand, self._demand_prices(component), period=period, factor=factor)

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
        excess = np.maximum(self.cube.month_peak_kw() - free[:, None], 0)
        prices = self._prices(component.tables)
        discount = self._discount_factor(component, component.discount, path)
        multiplier = to_scaled(component.excess_multiplier, FACTOR_DECIMALS)
        excess_factor = np.full(self.shape, multiplier, np.int64)
        if discount is not None:
            excess_factor = excess_factor * discount // _ONE_FACTOR
        billed_months = np.broadcast_to(billed[:, None], self.shape)
        yield self._product_line(component, "kW", billed_months, prices, factor=discount)
        yield self._product_line(component, "kW", excess, prices, period="excess", factor=excess_factor)

    def _discount_factor(self, component: Component, discount: LoadFactorDiscount | None, path: str) -> IntArray | None:
        if discount is None:
            return None
        capacity = self._capacity_kva(component, path)[:, None]
        threshold = to_scaled(discount.kwh_per_kva, QUANTITY_DECIMALS)
        # kWh / kVA >= threshold, without dividing.
        needed = -(-capacity * threshold // 10**QUANTITY_DECIMALS)
        reached = (self.cube.month_kwh() >= needed) & (capacity > 0)
        return np.where(reached, to_scaled(discount.factor, FACTOR_DECIMALS), _ONE_FACTOR)

    def _fixed_line(self, component: FixedComponent) -> LineArray:
        match component.per:
            case "month":
                quantities = [Decimal(1)] * self.shape[1]
                unit = "month"
            case "day":
                quantities = [Decimal(days_in_month(month)) for month in self.cube.months]
                unit = "day"
            case "mean_day":
                quantities = [round(_MEAN_DAYS, QUANTITY_DECIMALS)] * self.shape[1]
                unit = "day"
        row = np.array([to_scaled(quantity, QUANTITY_DECIMALS) for quantity in quantities], np.int64)
        return self._product_line(component, unit, np.broadcast_to(row, self.shape), self._prices(component.tables))

    def _minimum_line(self, component: MinimumComponent, before: dict[str, Money]) -> LineArray:
        covered = Money.zero(self.shape, self.decimals)
        for name in component.covers or before:
            covered = covered + before[name]
        prices = self._prices(component.tables)
        one = np.full(self.shape, 10**QUANTITY_DECIMALS, np.int64)
        minimum = multiply(one, prices, self.decimals)
        shortfall = (minimum + -covered).positive_part()
        return self._line(component, "month", one, prices, shortfall)

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
        in_month: NDArray[np.bool_] | None = None,
    ) -> LineArray:
        amount = multiply(quantity, price, self.decimals, factor=factor)
        return self._line(
            component, unit, quantity, price, amount, period=period, tier=tier, factor=factor, in_month=in_month
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
        in_month: NDArray[np.bool_] | None = None,
    ) -> LineArray:
        applies = self._applies(component)
        if in_month is not None:
            applies = applies & in_month
        if self.tariff.rounding.scope == "line":
            amount = amount.rounded()
        amount = amount.where(applies & self.cube.present)
        return LineArray(component, period, tier, unit, quantity, price, factor, amount, applies)

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

    def _prices(self, tables: Sequence[UnitPrice]) -> IntArray:
        prices = [next(table.price for table in tables if table.applies_to(month)) for month in self.cube.months]
        return np.array([to_scaled(price, PRICE_DECIMALS) for price in prices], np.int64)

    def _demand_prices(self, component: DemandComponent) -> IntArray:
        tables = [next(table for table in component.tables if table.applies_to(month)) for month in self.cube.months]
        return np.array([to_scaled(table.tier_prices[0], PRICE_DECIMALS) for table in tables], np.int64)

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
    """
    currencies = {tariff.currency for tariff in tariffs}
    if len(currencies) > 1:
        raise TariffError(f"tariffs in {' and '.join(sorted(currencies))} cannot be compared: choose one currency")
    aligned = customers.aligned_to(cube.customer_keys)
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
    # Offers to the same customers share one part of the cube, and with it the sums per price period.
    for columns in columns_by_customers.values():
        eligible = is_eligible[:, columns[0]]
        part = cube if eligible.all() else cube.take(eligible)
        for column in columns:
            offer = offers[column]
            chosen = aligned if offer.billing_basis is None else aligned.with_billing_basis(offer.billing_basis)
            sum_units[eligible, column] = price_cube(offer.tariff, part, chosen).sum_units
    return OfferTable(cube.customer_keys, offers, sum_units, is_eligible)
