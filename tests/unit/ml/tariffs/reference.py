"""A slow and obvious bill: reading after reading, decimal after decimal, sharing no code with the engine."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal

from ml.tariffs.schema import (
    CapacityComponent,
    ContractedDemandComponent,
    DemandComponent,
    EnergyComponent,
    EnergySeriesComponent,
    FixedComponent,
    MinimumComponent,
    Tariff,
)


@dataclass(frozen=True)
class Reading:
    local_start: datetime
    day_type: str
    kwh: Decimal
    series_value: str | Decimal | None = None


@dataclass(frozen=True)
class Customer:
    contract_capacity_kva: Decimal
    contracted_kw: Decimal
    billing_basis: str


def reference_totals(
    tariff: Tariff, readings: Sequence[Reading], customer: Customer, interval_minutes: int, opening_kwh: Decimal
) -> dict[date, Decimal]:
    """Bill of every month that has a reading."""
    ladders: dict[tuple[str, str], Decimal] = {}
    months = sorted({reading.local_start.date().replace(day=1) for reading in readings})
    for component in tariff.components:
        if isinstance(component, EnergyComponent) and component.tiers and component.tiers.basis == "year":
            ladders[component.name, "all"] = opening_kwh
    totals = {}
    for position, month in enumerate(months):
        if position and month.year != months[position - 1].year:
            ladders = {}
        own = sorted((r for r in readings if r.local_start.date().replace(day=1) == month), key=lambda r: r.local_start)
        totals[month] = _month_total(tariff, month, own, customer, interval_minutes, ladders)
    return totals


def _month_total(
    tariff: Tariff,
    month: date,
    readings: Sequence[Reading],
    customer: Customer,
    interval_minutes: int,
    ladders: dict[tuple[str, str], Decimal],
) -> Decimal:
    cent = Decimal(1).scaleb(-tariff.rounding.decimals)

    def rounded(amount: Decimal) -> Decimal:
        return amount.quantize(cent, ROUND_HALF_UP) if tariff.rounding.scope == "line" else amount

    power = {id(r): (r.kwh * 60 / interval_minutes).quantize(Decimal("0.0001"), ROUND_HALF_UP) for r in readings}
    month_kwh = sum((r.kwh for r in readings), Decimal(0))
    month_kw = max(power.values())
    amounts: dict[str, Decimal] = {}
    for component in tariff.components:
        if component.billing_basis not in {None, customer.billing_basis}:
            amounts[component.name] = Decimal(0)
            continue
        match component:
            case EnergyComponent():
                amount = sum((rounded(a) for a in _energy(tariff, component, month, readings, ladders)), Decimal(0))
            case EnergySeriesComponent(bands=None):
                amount = rounded(sum((r.kwh * _index_price(component, r.series_value) for r in readings), Decimal(0)))
            case EnergySeriesComponent(bands=bands):
                amount = sum(
                    (
                        rounded(price * sum((r.kwh for r in readings if r.series_value == band), Decimal(0)))
                        for band, price in bands.items()
                    ),
                    Decimal(0),
                )
            case DemandComponent():
                inside = [r for r in readings if not component.periods or _period(tariff, r) in component.periods]
                kw = max((power[id(r)] for r in inside), default=Decimal(0))
                amount = rounded(kw * _price(component, month) * _discount(component, month_kwh, customer))
            case ContractedDemandComponent():
                price = _price(component, month) * _discount(component, month_kwh, customer)
                base = max(customer.contracted_kw, component.floor_share_of_kva * customer.contract_capacity_kva)
                excess = max(Decimal(0), month_kw - component.tolerance * base)
                amount = rounded(base * price) + rounded(excess * price * component.excess_multiplier)
            case CapacityComponent():
                amount = rounded(customer.contract_capacity_kva * _price(component, month))
            case FixedComponent(per=per):
                days = {"month": Decimal(1), "mean_day": Decimal("30.4167")}.get(per, Decimal(_days(month)))
                amount = rounded(days * _price(component, month))
            case MinimumComponent():
                covered = sum((amounts[name] for name in component.covers or list(amounts)), Decimal(0))
                amount = max(Decimal(0), rounded(_price(component, month)) - covered)
        amounts[component.name] = amount
    return sum(amounts.values(), Decimal(0)).quantize(cent, ROUND_HALF_UP)


def _energy(
    tariff: Tariff,
    component: EnergyComponent,
    month: date,
    readings: Sequence[Reading],
    ladders: dict[tuple[str, str], Decimal],
) -> list[Decimal]:
    """Amounts by period and tier, by walking up the ladder reading by reading."""
    [table] = [table for table in component.tables if table.applies_to(month)]
    limits = [] if component.tiers is None else [*component.tiers.limits_kwh]
    position = dict(ladders) if component.tiers is not None and component.tiers.basis == "year" else {}
    energy: dict[tuple[str, int], Decimal] = {}
    for reading in readings:
        period = "all" if "all" in table.prices else _period(tariff, reading)
        left = reading.kwh
        while left > 0:
            height = position.get((component.name, period), Decimal(0))
            tier = sum(height >= limit for limit in limits)
            step = left if tier == len(limits) else min(left, limits[tier] - height)
            energy[period, tier] = energy.get((period, tier), Decimal(0)) + step
            position[component.name, period] = height + step
            left -= step
    if component.tiers is not None and component.tiers.basis == "year":
        ladders.update({key: value for key, value in position.items() if key[0] == component.name})
    return [
        kwh * (table.prices[period][tier] if len(table.prices[period]) > 1 else table.prices[period][0])
        for (period, tier), kwh in energy.items()
    ]


def _period(tariff: Tariff, reading: Reading) -> str:
    minute = reading.local_start.hour * 60 + reading.local_start.minute
    for schedule in tariff.calendar.schedules:
        if reading.local_start.month in schedule.months and reading.day_type in schedule.day_types:
            for period, ranges in schedule.periods.items():
                for text in ranges:
                    start, end = ((int(clock[:2]) * 60 + int(clock[3:])) for clock in text.split("-"))
                    if start <= minute < end or (start > end and (minute >= start or minute < end)):
                        return period
            return schedule.otherwise
    raise AssertionError("every month and day type has a schedule")


def _price(component: Mapping | object, month: date) -> Decimal:
    [table] = [table for table in component.tables if table.applies_to(month)]
    return table.price


def _discount(component: DemandComponent | ContractedDemandComponent, kwh: Decimal, customer: Customer) -> Decimal:
    if component.discount is None or kwh / customer.contract_capacity_kva < component.discount.kwh_per_kva:
        return Decimal(1)
    return component.discount.factor


def _index_price(component: EnergySeriesComponent, value: Decimal) -> Decimal:
    price = (value * component.multiplier).quantize(Decimal("1e-8"), ROUND_HALF_UP) + component.adder
    if component.floor is not None:
        price = max(price, component.floor)
    return price if component.cap is None else min(price, component.cap)


def _days(month: date) -> int:
    return (date(month.year + month.month // 12, month.month % 12 + 1, 1) - month).days
