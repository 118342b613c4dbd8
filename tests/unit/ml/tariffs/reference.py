"""A slow and obvious bill: one customer, reading after reading, decimal after decimal, sharing no code with the engine.

Written from the rules in ``docs/tariffs.md`` alone, chapter by chapter in the same order, so that someone who knows
tariffs and a little Python can check the one against the other. Only the tariff document itself (``ml.tariffs.schema``)
is shared with the engine, and of that nothing but its fields.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_UP, Decimal
from fractions import Fraction
from typing import Any

from ml.tariffs.schema import (
    BandEnergyComponent,
    CapacityComponent,
    ContractedDemandComponent,
    DemandComponent,
    EnergyComponent,
    EnergySeriesComponent,
    ExportComponent,
    FixedComponent,
    MinimumComponent,
    PercentageComponent,
    PowerFactorComponent,
    Tariff,
)

ALL = "all"
ONE_DAY = timedelta(days=1)
ZERO, ONE = Decimal(0), Decimal(1)
UNIT = Decimal("0.0001")
"""The finest quantity: 0.0001 kWh, kW, kVA, day or month."""


@dataclass(frozen=True)
class Reading:
    """What the meter counted in one interval. ``local_start.fold`` is 1 in the second of two equal hours."""

    local_start: datetime
    day_type: str
    kwh: Decimal
    series_value: str | Decimal | None = None
    kvarh: Decimal = ZERO
    export_kwh: Decimal = ZERO

    @property
    def day(self) -> date:
        return self.local_start.date()

    @property
    def minute_of_day(self) -> int:
        return self.local_start.hour * 60 + self.local_start.minute


@dataclass(frozen=True)
class Customer:
    contract_capacity_kva: Decimal
    contracted_kw: Decimal
    billing_basis: str


@dataclass(frozen=True)
class Window:
    """The days of one bill, from ``first`` to before ``end``; a calendar month unless it is a billing period."""

    first: date
    end: date
    is_billing_period: bool = False

    @property
    def days(self) -> list[date]:
        return days_between(self.first, self.end)

    def holds(self, day: date) -> bool:
        return self.first <= day < self.end


@dataclass(frozen=True)
class Line:
    """``amount = quantity * factor * price``, rounded or not. No price where every interval has its own."""

    component: str
    quantity: Decimal
    factor: Decimal
    price: Decimal | None
    amount: Decimal


@dataclass(frozen=True)
class Bill:
    window: Window
    lines: tuple[Line, ...]
    amounts: Mapping[str, Decimal]
    total: Decimal


@dataclass
class Memory:
    """What one bill hands on to the next."""

    ladders: dict[str, dict[str, Decimal]]
    """kWh since 1 January by component and then by period, for tiers that count by year."""
    carried_kwh: dict[str, Decimal] = field(default_factory=dict)
    """Surplus of exported energy by period."""
    covered: dict[tuple[str, int], Decimal] = field(default_factory=dict)
    """Amount that counts towards each minimum per year, from the bills that ended in the year."""


# Numbers and rounding


def half_up(value: Fraction | Decimal, unit: Decimal = UNIT) -> Decimal:
    """To the nearest multiple of ``unit``, a tie upwards."""
    return Decimal(math.floor(Fraction(value) / Fraction(unit) + Fraction(1, 2))) * unit


def rounded_money(amount: Decimal, decimals: int) -> Decimal:
    """To the nearest, a tie away from zero (which is what Python calls ROUND_HALF_UP)."""
    return amount.quantize(ONE.scaleb(-decimals), ROUND_HALF_UP)


# Time


def days_between(first: date, end: date) -> list[date]:
    return [first + ONE_DAY * count for count in range((end - first).days)]


def first_of_month(day: date) -> date:
    return day.replace(day=1)


def first_of_next_month(day: date) -> date:
    return first_of_month(first_of_month(day) + 31 * ONE_DAY)


def calendar_months(readings: Sequence[Reading]) -> list[Window]:
    month = first_of_month(min(reading.day for reading in readings))
    last = first_of_month(max(reading.day for reading in readings))
    windows = []
    while month <= last:
        windows.append(Window(month, first_of_next_month(month)))
        month = first_of_next_month(month)
    return windows


def period_of(tariff: Tariff, reading: Reading) -> str:
    """The price period in which a reading starts; a tariff without a calendar has one period."""
    if tariff.calendar is None:
        return ALL
    for schedule in tariff.calendar.schedules:
        if reading.day.month in schedule.months and reading.day_type in schedule.day_types:
            for period, ranges in schedule.periods.items():
                for text in ranges:
                    start, end = (int(clock[:2]) * 60 + int(clock[3:]) for clock in text.split("-"))
                    passes_midnight = start > end
                    after_start, before_end = reading.minute_of_day >= start, reading.minute_of_day < end
                    if (after_start or before_end) if passes_midnight else (after_start and before_end):
                        return period
            assert schedule.otherwise is not None
            return schedule.otherwise
    raise AssertionError("every month and day type has a schedule")


# Price tables and their dates


def table_on(component: Any, day: date) -> Any:
    """The one table of a component that applies to a day."""
    [table] = [
        table
        for table in component.tables
        if day.month in table.months
        and (table.valid_from is None or table.valid_from <= day)
        and (table.valid_to is None or day <= table.valid_to)
    ]
    return table


def stretches(component: Any, window: Window) -> list[tuple[Any, list[date]]]:
    """The window's days in runs with one table."""
    runs: list[tuple[Any, list[date]]] = []
    for day in window.days:
        table = table_on(component, day)
        if runs and runs[-1][0] is table:
            runs[-1][1].append(day)
        else:
            runs.append((table, [day]))
    return runs


def share_of_days(tariff: Tariff, window: Window, quantity: Decimal, days: Sequence[date]) -> Decimal:
    """What some of the window's days, without a gap, are given of a monthly quantity."""
    if window.is_billing_period and tariff.proration == "none":
        return part_of(quantity, days, window.days)
    months = sorted({first_of_month(day) for day in days})
    return sum(
        (
            part_of(
                quantity,
                [day for day in days if first_of_month(day) == month],
                days_between(month, first_of_next_month(month)),
            )
            for month in months
        ),
        ZERO,
    )


def part_of(quantity: Decimal, days: Sequence[date], whole: Sequence[date]) -> Decimal:
    before, until, count = whole.index(days[0]), whole.index(days[-1]) + 1, len(whole)
    return half_up(Fraction(quantity) * until / count) - half_up(Fraction(quantity) * before / count)


# One bill after the other


def reference_bills(
    tariff: Tariff,
    readings: Sequence[Reading],
    customer: Customer,
    interval_minutes: int,
    opening_kwh: Decimal = ZERO,
    windows: Sequence[Window] | None = None,
) -> list[Bill]:
    """Return the bills of one customer.

    Args:
        tariff: The tariff.
        readings: In order of time.
        customer: Facts and choices.
        interval_minutes: Length of the readings' interval.
        opening_kwh: Energy from 1 January until the first window.
        windows: Billing periods one after the other; calendar months by default.

    Returns:
        One bill for every window with a reading.
    """
    every_window = calendar_months(readings) if windows is None else list(windows)
    memory = Memory({component.name: {ALL: opening_kwh} for component in tariff.components})
    bills = []
    for count in range(1, len(every_window) + 1):
        bill = OneBill(tariff, readings, customer, interval_minutes, every_window[:count], memory).priced()
        if bill is not None:
            bills.append(bill)
    return bills


def reference_totals(
    tariff: Tariff, readings: Sequence[Reading], customer: Customer, interval_minutes: int, opening_kwh: Decimal
) -> dict[date, Decimal]:
    """Total of every calendar month that has a reading."""
    bills = reference_bills(tariff, readings, customer, interval_minutes, opening_kwh)
    return {bill.window.first: bill.total for bill in bills}


class OneBill:
    """The computation of one bill; the last of ``windows`` is the one that is billed."""

    def __init__(
        self,
        tariff: Tariff,
        readings: Sequence[Reading],
        customer: Customer,
        interval_minutes: int,
        windows: Sequence[Window],
        memory: Memory,
    ) -> None:
        self.tariff = tariff
        self.customer = customer
        self.interval_minutes = interval_minutes
        self.all_readings = readings
        self.windows = windows
        self.window = windows[-1]
        self.readings = [reading for reading in readings if self.window.holds(reading.day)]
        self.memory = memory
        self.metered_kwh = sum((reading.kwh for reading in self.readings), ZERO)
        self.net_kwh = None if tariff.net_metering is None else self.netted()

    def priced(self) -> Bill | None:
        """The bill; None where nothing was read, but what is handed on to the next bill still moves on."""
        lines: list[Line] = []
        amounts: dict[str, Decimal] = {}
        for component in self.tariff.components:
            if component.billing_basis in {None, self.customer.billing_basis}:
                found = [self.as_billed(line) for line in self.lines_of(component, amounts)]
            else:
                found = []
            lines += found
            amounts[component.name] = sum((line.amount for line in found), ZERO)
        total = rounded_money(sum(amounts.values(), ZERO), self.tariff.rounding.decimals)
        return Bill(self.window, tuple(lines), amounts, total) if self.readings else None

    def as_billed(self, line: Line) -> Line:
        if self.tariff.rounding.scope == "total":
            return line
        amount = rounded_money(line.amount, self.tariff.rounding.decimals)
        return Line(line.component, line.quantity, line.factor, line.price, amount)

    def lines_of(self, component: Any, before: Mapping[str, Decimal]) -> Iterator[Line]:
        match component:
            case EnergyComponent():
                yield from self.energy(component)
            case BandEnergyComponent():
                yield from self.bands(component)
            case EnergySeriesComponent():
                yield from self.series(component)
            case DemandComponent():
                yield from self.demand(component)
            case ContractedDemandComponent():
                yield from self.contracted_demand(component)
            case CapacityComponent():
                yield from self.monthly(component, self.customer.contract_capacity_kva)
            case FixedComponent():
                yield from self.fixed(component)
            case MinimumComponent():
                yield from self.minimum(component, before)
            case PowerFactorComponent():
                yield from self.power_factor(component, before)
            case PercentageComponent():
                yield from self.percentage(component, before)
            case ExportComponent():
                yield from self.export(component)

    def monthly(self, component: Any, quantity: Decimal, factor: Decimal = ONE) -> Iterator[Line]:
        """What is charged per month: each stretch has its share of days."""
        for table, days in stretches(component, self.window):
            share = share_of_days(self.tariff, self.window, quantity, days)
            yield line_of(component, share, table.price, factor)

    # Energy

    def energy(self, component: EnergyComponent) -> Iterator[Line]:
        by_year = component.tiers is not None and component.tiers.basis == "year"
        ladder = self.memory.ladders[component.name] if by_year else {}
        for table, days in stretches(component, self.window):
            energy: dict[tuple[str, int], Decimal] = {}
            new_year = [day for day in days if by_year and (day.month, day.day) == (1, 1)]
            old_year = [day for day in days if not new_year or day < new_year[0]]
            for part in (old_year, [day for day in days if day not in old_year]):
                if new_year and part and part[0] == new_year[0]:
                    ladder.clear()
                intervals = list(self.charged_intervals(table, part)) if part else []
                for key, kwh in self.kwh_by_tier(component, table, intervals, ladder).items():
                    energy[key] = energy.get(key, ZERO) + kwh
            for (period, tier), kwh in energy.items():
                prices = table.prices[period]
                yield line_of(component, kwh, prices[tier] if len(prices) > 1 else prices[0])

    def charged_intervals(self, table: Any, days: Sequence[date]) -> Iterator[tuple[date, str, Decimal]]:
        """Day, period and kWh of all that a table prices, in order of time."""
        if self.net_kwh is not None:
            for period, kwh in self.net_kwh.items():
                yield days[0], ALL if ALL in table.prices else period, kwh
            return
        for reading in self.readings:
            if reading.day in days:
                yield reading.day, ALL if ALL in table.prices else period_of(self.tariff, reading), reading.kwh

    def kwh_by_tier(
        self,
        component: EnergyComponent,
        table: Any,
        intervals: Sequence[tuple[date, str, Decimal]],
        ladder: dict[str, Decimal],
    ) -> dict[tuple[str, int], Decimal]:
        """kWh by period and number of the tier from 0; ``ladder`` holds where the climb starts and is moved up."""
        tiers = component.tiers
        energy: dict[tuple[str, int], Decimal] = {}
        if tiers is not None and tiers.allocation == "prorata":
            limits = self.limits(component, table, ALL)
            start = ladder.get(ALL, ZERO)
            total = sum((kwh for _, _, kwh in intervals), ZERO)
            ladder[ALL] = start + total
            by_tier = climbed(start, total, limits)
            for period in dict.fromkeys(period for _, period, _ in intervals):
                in_period = sum((kwh for _, name, kwh in intervals if name == period), ZERO)
                for tier, kwh in enumerate(split_by_largest_remainder(in_period, by_tier)):
                    energy[period, tier] = kwh
            return energy
        today = None
        for day, period, kwh in intervals:
            if tiers is not None and tiers.basis == "day" and day != today:
                today = day
                ladder.clear()
            limits = self.limits(component, table, period)
            own = period if tiers is not None and tiers.allocation == "ladder_per_period" else ALL
            start = ladder.get(own, ZERO)
            ladder[own] = start + kwh
            for tier, part in enumerate(climbed(start, kwh, limits)):
                energy[period, tier] = energy.get((period, tier), ZERO) + part
        return energy

    def limits(self, component: EnergyComponent, table: Any, period: str) -> list[Decimal]:
        """Upper limits in kWh of all tiers but the last."""
        tiers = component.tiers
        if tiers is None:
            return []
        written: Sequence[Decimal] = ()
        for place in (tiers, table):  # what the table says replaces what the component says
            if place.limits_kwh:
                written = place.limits_kwh
            if place.limits_kwh_by_period is not None:
                written = place.limits_kwh_by_period.get(period, ())
        match tiers.basis:
            case "year" | "day":
                return list(written)
            case "daily_allowance":
                return [limit * len(self.window.days) for limit in written]
            case "month":
                by_month = list(written)
            case "kwh_per_kw":
                largest = max((self.power(reading.kwh) for reading in self.readings), default=ZERO)
                by_month = [half_up(limit * largest) for limit in written]
            case "kwh_per_kva":
                by_month = [half_up(limit * self.customer.contract_capacity_kva) for limit in written]
        return [share_of_days(self.tariff, self.window, limit, self.window.days) for limit in by_month]

    # Bands, index and spot prices

    def bands(self, component: BandEnergyComponent) -> Iterator[Line]:
        for table, days in stretches(component, self.window):
            factors = component.factors if table.factors is None else table.factors
            intervals = list(self.charged_intervals(_Priced(factors), days))
            yield line_of(component, sum((kwh for _, _, kwh in intervals), ZERO), table.fixed)
            for band, factor in factors.items():
                kwh = sum((kwh for _, period, kwh in intervals if period == band), ZERO)
                yield line_of(component, kwh, table.floating, factor)

    def series(self, component: EnergySeriesComponent) -> Iterator[Line]:
        if component.bands is not None:
            for band, price in component.bands.items():
                kwh = sum((reading.kwh for reading in self.readings if reading.series_value == band), ZERO)
                yield line_of(component, kwh, price)
            return
        cover = component.cover_share or ZERO
        if component.cover_price is not None:
            yield line_of(component, self.metered_kwh, component.cover_price, cover)
        spot = ZERO
        for reading in self.readings:
            assert isinstance(reading.series_value, Decimal)
            price = half_up(component.multiplier * reading.series_value, Decimal("0.00000001")) + component.adder
            if component.floor is not None:
                price = max(price, component.floor)
            if component.cap is not None:
                price = min(price, component.cap)
            spot += reading.kwh * price
        yield Line(component.name, self.metered_kwh, 1 - cover, None, spot * (1 - cover))

    # Demand, contracted demand

    def power(self, kwh: Decimal) -> Decimal:
        return half_up(Fraction(kwh) * 60 / self.interval_minutes)

    def largest_kw(self, window: Window, periods: Sequence[str], minutes: int | None) -> Decimal:
        """Largest mean power of a block of so many minutes of the local clock that starts in one of the periods."""
        length = minutes or self.interval_minutes
        blocks: dict[tuple[datetime, int], Decimal] = {}
        first_reading: dict[tuple[datetime, int], Reading] = {}
        for reading in self.all_readings:
            if window.holds(reading.day):
                start = reading.local_start - timedelta(minutes=reading.minute_of_day % length)
                block = (start, reading.local_start.fold)
                blocks[block] = blocks.get(block, ZERO) + reading.kwh
                first_reading[block] = Reading(start, reading.day_type, ZERO)
        return max(
            (
                half_up(Fraction(kwh) * 60 / length)
                for block, kwh in blocks.items()
                if not periods or period_of(self.tariff, first_reading[block]) in periods
            ),
            default=ZERO,
        )

    def demand(self, component: DemandComponent) -> Iterator[Line]:
        billed = self.largest_kw(self.window, component.periods, component.interval_minutes)
        ratchet = component.ratchet
        if ratchet is not None:
            earlier = [
                self.largest_kw(
                    window,
                    component.periods if ratchet.periods is None else ratchet.periods,
                    component.interval_minutes,
                )
                for window in self.windows[:-1][-ratchet.range_months :]
                if window.first.month in ratchet.months
            ]
            highest = max(earlier, default=ZERO)
            billed = max(billed, half_up(ratchet.percent / 100 * highest), ratchet.floor_kw or ZERO)
        factor = self.discount(component)
        for table, days in stretches(component, self.window):
            kw = share_of_days(self.tariff, self.window, billed, days)
            limits = [share_of_days(self.tariff, self.window, limit, days) for limit in table.limits_kw]
            prices = table.prices or (table.price,)
            for part, price in zip(climbed(ZERO, kw, limits), prices, strict=True):
                yield line_of(component, part, price, factor)

    def discount(self, component: DemandComponent | ContractedDemandComponent) -> Decimal:
        if component.discount is None:
            return ONE
        threshold = component.discount.kwh_per_kva * self.customer.contract_capacity_kva
        needed = share_of_days(self.tariff, self.window, threshold.quantize(UNIT, ROUND_CEILING), self.window.days)
        return component.discount.factor if self.metered_kwh >= needed else ONE

    def contracted_demand(self, component: ContractedDemandComponent) -> Iterator[Line]:
        share_of_kva = component.floor_share_of_kva * self.customer.contract_capacity_kva
        contracted = max(self.customer.contracted_kw, share_of_kva.quantize(UNIT, ROUND_CEILING))
        tolerated = (component.tolerance * contracted).quantize(UNIT, ROUND_FLOOR)
        excess = max(ZERO, self.largest_kw(self.window, (), None) - tolerated)
        discount = self.discount(component)
        yield from self.monthly(component, contracted, discount)
        yield from self.monthly(component, excess, discount * component.excess_multiplier)

    # Fixed, minimum

    def fixed(self, component: FixedComponent) -> Iterator[Line]:
        match component.per:
            case "month":
                yield from self.monthly(component, ONE)
            case "mean_day":
                yield from self.monthly(component, Decimal("30.4167"))
            case "day":
                for table, days in stretches(component, self.window):
                    yield line_of(component, Decimal(len(days)), table.price)
            case "year" if component.charged_in_month is None:
                for table, days in stretches(component, self.window):
                    share = share_of_days(self.tariff, self.window, ONE, days)
                    yield line_of(component, share, half_up(Fraction(table.price) / 12, Decimal("0.00000001")))
            case "year":
                for day in self.window.days:
                    if (day.month, day.day) == (component.charged_in_month, 1):
                        yield line_of(component, ONE, table_on(component, day).price)

    def minimum(self, component: MinimumComponent, before: Mapping[str, Decimal]) -> Iterator[Line]:
        covered = sum((before[name] for name in component.covers or before), ZERO)
        if component.per == "year":
            yield from self.yearly_minimum(component, covered)
            return
        minimum, quantity = ZERO, ZERO
        for table, days in stretches(component, self.window):
            share = share_of_days(self.tariff, self.window, ONE, days)
            part = share if component.per == "month" else Decimal(len(days))
            quantity += part
            minimum += part * table.price
        yield Line(component.name, quantity, ONE, None, max(ZERO, minimum - covered))

    def yearly_minimum(self, component: MinimumComponent, covered: Decimal) -> Iterator[Line]:
        last_of_year = [day for day in self.window.days if (day.month, day.day) == (12, 31)]
        # The bill that holds 31 December is the year's last, though it may end in January.
        year = (last_of_year[0] if last_of_year else self.window.end - ONE_DAY).year
        so_far = self.memory.covered.get((component.name, year), ZERO)
        if self.readings:
            so_far += covered
        self.memory.covered[component.name, year] = so_far
        for day in last_of_year:
            price = table_on(component, day).price
            yield Line(component.name, ONE, ONE, None, max(ZERO, price - so_far))

    # Power factor, surcharge and tax

    def power_factor(self, component: PowerFactorComponent, before: Mapping[str, Decimal]) -> Iterator[Line]:
        kvarh = sum((reading.kvarh for reading in self.readings), ZERO)
        factor = rounded_power_factor(self.metered_kwh, kvarh)
        if self.metered_kwh == 0 and kvarh == 0:
            percent = ZERO
        elif component.standard is not None:
            percent = adjustment_percent(component.standard, factor)
        else:
            percent = next(step.percent for step in component.table if step.at_least <= factor)
        base = rounded_money(sum((before[name] for name in component.base), ZERO), 4)
        yield line_of(component, base, percent / 100)

    def percentage(self, component: PercentageComponent, before: Mapping[str, Decimal]) -> Iterator[Line]:
        base = rounded_money(sum((before[name] for name in component.base or before), ZERO), 4)
        for table, days in stretches(component, self.window):
            yield line_of(component, part_of(base, days, self.window.days), table.percent / 100)

    # Export

    def export(self, component: ExportComponent) -> Iterator[Line]:
        for table, days in stretches(component, self.window):
            for period, prices in table.prices.items():
                kwh = sum(
                    (
                        reading.export_kwh
                        for reading in self.readings
                        if reading.day in days and period in {ALL, period_of(self.tariff, reading)}
                    ),
                    ZERO,
                )
                yield line_of(component, -kwh, prices[0])

    def netted(self) -> dict[str, Decimal]:
        """kWh that are charged in every period of the calendar; a surplus goes into the memory."""
        rule = self.tariff.net_metering
        assert rule is not None
        if rule.expires_in_month == self.window.first.month:
            self.memory.carried_kwh = {}
        periods = [ALL] if self.tariff.calendar is None else list(self.tariff.calendar.period_names)
        charged = {}
        for period in periods:
            own = [reading for reading in self.readings if period_of(self.tariff, reading) == period]
            net = sum((reading.kwh - reading.export_kwh for reading in own), ZERO)
            net -= self.memory.carried_kwh.get(period, ZERO)
            charged[period] = max(net, ZERO)
            self.memory.carried_kwh[period] = max(-net, ZERO) if rule.carry_over == "next_month" else ZERO
        return charged


@dataclass(frozen=True)
class _Priced:
    """Stands for a price table where only the names of the priced periods matter."""

    prices: Mapping[str, Decimal]


def line_of(component: Any, quantity: Decimal, price: Decimal, factor: Decimal = ONE) -> Line:
    return Line(component.name, quantity, factor, price, quantity * factor * price)


def climbed(start: Decimal, quantity: Decimal, limits: Sequence[Decimal]) -> list[Decimal]:
    """How much of a climb from ``start`` lies in each tier; what lies exactly on a limit belongs below it."""
    parts = []
    lower = ZERO
    for upper in [*limits, Decimal("Infinity")]:
        parts.append(min(max(start + quantity, lower), upper) - min(max(start, lower), upper))
        lower = upper
    return parts


def split_by_largest_remainder(quantity: Decimal, by_tier: Sequence[Decimal]) -> list[Decimal]:
    """Split a period's kWh like the tiers' kWh, to 0.0001 kWh, so that the parts add up."""
    total = sum(by_tier, ZERO)
    if total == 0:
        return [ZERO for _ in by_tier]
    exact = [Fraction(kwh) * Fraction(quantity) / Fraction(total) for kwh in by_tier]
    parts = [Decimal(math.floor(value / Fraction(UNIT))) * UNIT for value in exact]
    remainders = [value - Fraction(part) for value, part in zip(exact, parts, strict=True)]
    lacking = int((quantity - sum(parts, ZERO)) / UNIT)
    tiers_by_remainder = sorted(range(len(parts)), key=lambda tier: (-remainders[tier], tier))
    for tier in tiers_by_remainder[:lacking]:
        parts[tier] += UNIT
    return parts


def rounded_power_factor(kwh: Decimal, kvarh: Decimal) -> Decimal:
    """kWh / sqrt(kWh^2 + kvarh^2), half up to 0.01: the largest n / 100 with (n - 1/2) / 100 not above it."""
    for hundredths in range(100, 0, -1):
        if (2 * hundredths - 1) ** 2 * (kwh**2 + kvarh**2) <= (200 * kwh) ** 2:
            return Decimal(hundredths) / 100
    return ZERO


def adjustment_percent(standard: Decimal, factor: Decimal) -> Decimal:
    """The table of a standard, walked from the standard one hundredth at a time."""
    rewards_end = {90: 95, 85: 94, 80: 92}[int(standard * 100)]
    at, target = int(standard * 100), int(factor * 100)
    percent = ZERO
    while at < min(target, rewards_end):
        percent -= Decimal("0.10") if at < 90 else Decimal("0.15")
        at += 1
    while at > target:
        at -= 1
        below = int(standard * 100) - at
        percent += Decimal("0.5") if below <= 20 else ONE if below <= 25 else Decimal(2)
    return percent
