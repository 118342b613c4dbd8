"""Random valid tariffs of every kind of component, and random loads, for property tests against the reference."""

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from ml.tariffs.schema import EnergySeriesComponent, Tariff, load_tariff
from tests.unit.ml.tariffs.reference import Customer, Reading
from tests.unit.ml.tariffs.strategies import DAYS, decimals, schedules

PERIODS = ("peak", "flat", "valley")
MID_MONTH = date(2025, 1, 14)
"""A price change inside a month of the random loads."""
BANDS = ("low", "high")
INTERVAL_KINDS = frozenset({"energy_series", "export"})
ALL_KINDS = INTERVAL_KINDS | {
    "band_energy",
    "contracted_demand",
    "demand",
    "fixed",
    "minimum",
    "percentage",
    "power_factor",
}

Record = dict[str, Any]

SMALL_PRICE = decimals("-0.5", "2", 8)
UNIT_PRICE = decimals("0", "60", 4)
SMALL_LIMITS = st.sets(decimals("0.1", "4", 4), min_size=1, max_size=3).map(sorted)
LIMITS = st.sets(decimals("1", "60", 4), min_size=1, max_size=3).map(sorted)


@st.composite
def dated(draw: st.DrawFn, *, inside_months: bool) -> list[Record]:
    """Validities that cover every day once: one, two by month number, or two by date."""
    kind = draw(st.sampled_from(["always", "months", "date"]))
    if kind == "always":
        return [{}]
    if kind == "months":
        split = draw(st.integers(1, 11))
        return [{"months": list(range(1, split + 1))}, {"months": list(range(split + 1, 13))}]
    change = draw(st.sampled_from([date(2025, 1, 1), date(2025, 2, 1), *([MID_MONTH] if inside_months else [])]))
    return [{"valid_to": str(change - timedelta(days=1))}, {"valid_from": str(change)}]


@st.composite
def unit_tables(
    draw: st.DrawFn, prices: st.SearchStrategy[Decimal] = UNIT_PRICE, *, inside_months: bool
) -> list[Record]:
    return [table | {"price": draw(prices)} for table in draw(dated(inside_months=inside_months))]


@st.composite
def energy(draw: st.DrawFn, name: str, *, cube_only: bool, inside_months: bool, net: bool, january: bool) -> Record:
    """A price per kWh: flat, by period, or in tiers of every basis and allocation."""
    kind = draw(st.sampled_from(["flat", "periods", "single_ladder", "prorata", "chronological", "ladder_per_period"]))
    if kind == "chronological" and (cube_only or net):
        kind = "prorata"
    record: Record = {"kind": "energy", "name": name}
    by_period = kind in {"periods", "prorata", "chronological", "ladder_per_period"}
    tables = draw(dated(inside_months=inside_months))
    limits: list[Decimal] = []
    if kind not in {"flat", "periods"}:
        bases = ["month", "year", "day", "daily_allowance", "kwh_per_kw", "kwh_per_kva"]
        if cube_only or net or kind == "prorata":
            bases.remove("day")
        if kind == "ladder_per_period" and not january:
            bases.remove("year")
        basis = draw(st.sampled_from(bases))
        limits = draw(SMALL_LIMITS if basis in {"daily_allowance", "kwh_per_kw", "kwh_per_kva"} else LIMITS)
        tiers: Record = {"basis": basis, "allocation": kind}
        own = kind == "ladder_per_period" and draw(st.booleans())
        if own:
            tiers["limits_kwh_by_period"] = {
                period: [limit + index for limit in limits] for index, period in enumerate(PERIODS)
            }
        else:
            tiers["limits_kwh"] = limits
            if len(tables) > 1 and draw(st.booleans()):
                tables[-1]["limits_kwh"] = [limit * 2 for limit in limits]
        record["tiers"] = tiers
    count = len(limits) + 1
    for table in tables:
        table["prices"] = {
            period: [draw(SMALL_PRICE) for _ in range(count)] for period in (PERIODS if by_period else ("all",))
        }
    return record | {"tables": tables}


@st.composite
def band_energy(draw: st.DrawFn, name: str, *, inside_months: bool) -> Record:
    factors = {period: draw(decimals("0", "2", 2)) for period in PERIODS}
    tables = [
        table | {"fixed": draw(SMALL_PRICE), "floating": draw(decimals("-0.2", "1", 4))}
        for table in draw(dated(inside_months=inside_months))
    ]
    if draw(st.booleans()):
        tables[-1]["factors"] = {period: factor + 1 for period, factor in factors.items()}
    return {"kind": "band_energy", "name": name, "factors": factors, "tables": tables}


@st.composite
def energy_series(draw: st.DrawFn, name: str) -> Record:
    record: Record = {"kind": "energy_series", "name": name, "series": "spot"}
    if draw(st.integers(0, 3)) == 0:
        return record | {"bands": {band: draw(SMALL_PRICE) for band in BANDS}}
    if draw(st.booleans()):
        record |= {"multiplier": draw(decimals("0", "3", 4)), "adder": draw(SMALL_PRICE)}
    if draw(st.booleans()):
        record |= {"cap": "0.9", "floor": "-0.2"}
    if draw(st.booleans()):
        record |= {"cover_share": draw(decimals("0.0001", "1", 4)), "cover_price": draw(SMALL_PRICE)}
    return record


@st.composite
def demand(draw: st.DrawFn, name: str, *, cube_only: bool, inside_months: bool, memory: bool) -> Record:
    record: Record = {"kind": "demand", "name": name}
    if draw(st.booleans()):
        record["periods"] = draw(st.lists(st.sampled_from(PERIODS), min_size=1, max_size=2, unique=True))
    if not cube_only and draw(st.booleans()):
        record["interval_minutes"] = draw(st.sampled_from([30, 60]))
    if draw(st.booleans()):
        record["discount"] = {"kwh_per_kva": draw(decimals("0.1", "3", 2)), "factor": draw(decimals("0.5", "1", 2))}
    if memory and draw(st.booleans()):
        ratchet: Record = {
            "percent": draw(decimals("1", "100", 2)),
            "range_months": draw(st.integers(1, 3)),
            "missing_history": "use_known",
        }
        if draw(st.booleans()):
            ratchet["months"] = [1, 12]
        if draw(st.booleans()):
            ratchet["floor_kw"] = draw(decimals("0.1", "30", 4))
        if draw(st.booleans()):
            ratchet["periods"] = [draw(st.sampled_from(PERIODS))]
        record["ratchet"] = ratchet
    tables = draw(unit_tables(inside_months=inside_months))
    if draw(st.booleans()):
        limits = draw(LIMITS)
        tables[-1].pop("price")
        tables[-1] |= {"prices": [draw(UNIT_PRICE) for _ in range(len(limits) + 1)], "limits_kw": limits}
    return record | {"tables": tables}


@st.composite
def contracted_demand(draw: st.DrawFn, name: str, *, inside_months: bool) -> Record:
    return {
        "kind": "contracted_demand",
        "name": name,
        "billing_basis": "contracted_demand",
        "floor_share_of_kva": draw(decimals("0", "1", 2)),
        "tolerance": draw(decimals("1", "1.2", 2)),
        "excess_multiplier": draw(decimals("1", "3", 1)),
        "discount": {"kwh_per_kva": draw(decimals("0.1", "3", 2)), "factor": "0.9"},
        "tables": draw(unit_tables(inside_months=inside_months)),
    }


@st.composite
def fixed(draw: st.DrawFn, name: str, *, inside_months: bool) -> Record:
    per = draw(st.sampled_from(["month", "day", "mean_day", "year"]))
    record = {
        "kind": "fixed",
        "name": name,
        "per": per,
        "tables": draw(unit_tables(decimals("-5", "60", 4), inside_months=inside_months)),
    }
    if per == "year" and draw(st.booleans()):
        record["charged_in_month"] = draw(st.sampled_from([1, 2, 12, 6]))
    return record


@st.composite
def minimum(draw: st.DrawFn, name: str, before: list[str], *, inside_months: bool, memory: bool) -> Record:
    return {
        "kind": "minimum",
        "name": name,
        "per": draw(st.sampled_from(["month", "day", "year"] if memory else ["month", "day"])),
        "covers": draw(st.lists(st.sampled_from(before), max_size=2, unique=True)),
        "tables": draw(unit_tables(decimals("0", "900", 2), inside_months=inside_months)),
    }


@st.composite
def power_factor(draw: st.DrawFn, name: str, before: list[str]) -> Record:
    record: Record = {
        "kind": "power_factor",
        "name": name,
        "base": draw(st.lists(st.sampled_from(before), min_size=1, max_size=2, unique=True)),
    }
    if draw(st.booleans()):
        return record | {"standard": draw(st.sampled_from(["0.90", "0.85", "0.80"]))}
    steps = [{"at_least": "0.95", "percent": draw(decimals("-5", "5", 6))}, {"at_least": 0, "percent": "1.5"}]
    return record | {"table": steps}


@st.composite
def percentage(draw: st.DrawFn, name: str, before: list[str], *, inside_months: bool) -> Record:
    return {
        "kind": "percentage",
        "name": name,
        "base": draw(st.lists(st.sampled_from(before), max_size=2, unique=True)),
        "tables": [
            table | {"percent": draw(decimals("-10", "30", 4))} for table in draw(dated(inside_months=inside_months))
        ],
    }


@st.composite
def export(draw: st.DrawFn, name: str, *, inside_months: bool) -> Record:
    tables = [
        table | {"prices": {period: draw(SMALL_PRICE) for period in PERIODS}}
        for table in draw(dated(inside_months=inside_months))
    ]
    return {
        "kind": "export",
        "name": name,
        "rule": draw(st.sampled_from(["net_billing", "buy_all_sell_all"])),
        "tables": tables,
    }


@dataclass(frozen=True)
class Case:
    """A tariff, a customer and a load that together can be priced."""

    tariff: Tariff
    readings: tuple[Reading, ...]
    customer: Customer
    opening_kwh: Decimal | None
    time_zone: str = "Asia/Shanghai"
    interval_minutes: int = 30


@st.composite
def random_tariffs(
    draw: st.DrawFn,
    *,
    kinds: frozenset[str] = ALL_KINDS,
    cube_only: bool = False,
    net_metering: bool = False,
    inside_months: bool = False,
    starts_in_january: bool = False,
    memory: bool = True,
) -> Tariff:
    """A tariff of up to eight components.

    Args:
        draw: Given by hypothesis.
        kinds: Kinds of components besides ``energy``.
        cube_only: Leave out what needs intervals.
        net_metering: Whether exported energy is netted; no energy_series and no export then.
        inside_months: Whether prices may change inside a month.
        starts_in_january: Whether the load will start in January, so that periods may have own ladders by year.
        memory: Whether a bill may depend on earlier ones other than by the energy since January.
    """
    if cube_only or net_metering:
        kinds = kinds - INTERVAL_KINDS
    dates = {"inside_months": inside_months}
    components = [
        draw(energy(f"energy {index}", cube_only=cube_only, net=net_metering, january=starts_in_january, **dates))
        for index in range(draw(st.integers(1, 2)))
    ]
    optional = {
        "band_energy": lambda: [draw(band_energy("bands", **dates))],
        "energy_series": lambda: [draw(energy_series("spot"))],
        "contracted_demand": lambda: [
            {
                "kind": "capacity",
                "name": "capacity",
                "billing_basis": "capacity",
                "tables": draw(unit_tables(**dates)),
            },
            draw(contracted_demand("contracted", **dates)),
            draw(demand("actual", cube_only=cube_only, memory=memory, **dates)) | {"billing_basis": "actual_demand"},
        ],
        "demand": lambda: [draw(demand("demand", cube_only=cube_only, memory=memory, **dates))],
        "fixed": lambda: [draw(fixed("standing", **dates))],
        "export": lambda: [draw(export("export", **dates))],
    }
    for kind, drawn in optional.items():
        if kind in kinds and draw(st.booleans()):
            components += drawn()
    on_others = {
        "minimum": lambda before: draw(minimum("minimum", before, memory=memory, **dates)),
        "power_factor": lambda before: draw(power_factor("power factor", before)),
        "percentage": lambda before: draw(percentage("tax", before, **dates)),
    }
    for kind in draw(st.permutations(sorted(on_others))):
        if kind in kinds and draw(st.booleans()):
            components.append(on_others[kind]([component["name"] for component in components]))
    record: Record = {
        "tariff_id": "random",
        "version": "1",
        "name": "Random",
        "valid_from": "2024-12-01",
        "currency": "CNY",
        "verified": True,
        "calendar": {"schedules": draw(schedules())},
        "components": components,
        "proration": draw(st.sampled_from(["by_days", "none"])),
        "rounding": {"scope": draw(st.sampled_from(["line", "total"])), "decimals": draw(st.integers(0, 3))},
    }
    if net_metering:
        carry_over = draw(st.sampled_from(["next_month", "next_month", "forfeit"]))
        record["net_metering"] = {"carry_over": carry_over}
        if carry_over == "next_month" and draw(st.booleans()):
            record["net_metering"]["expires_in_month"] = draw(st.sampled_from([1, 2]))
    return load_tariff(record)


@st.composite
def random_loads(
    draw: st.DrawFn, first: date, end: date, *, time_zone: str = "Asia/Shanghai", interval_minutes: int = 30
) -> tuple[Reading, ...]:
    """Readings at random instants from one local day to before another, in order of time."""
    zone = ZoneInfo(time_zone)
    start, stop = (datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC) for day in (first, end))
    count = (stop - start) // timedelta(minutes=interval_minutes)
    has_kvarh = draw(st.booleans())
    readings = []
    for step in sorted(draw(st.sets(st.integers(0, count - 1), min_size=2, max_size=20))):
        local = (start + timedelta(minutes=interval_minutes * step)).astimezone(zone).replace(tzinfo=None)
        readings.append(
            Reading(
                local_start=local,
                day_type=DAYS.day_type(local.date()),
                kwh=draw(decimals("0", "30", 4)),
                series_value=draw(decimals("-0.5", "1", 5)),
                kvarh=draw(decimals("0", "20", 4)) if has_kvarh else Decimal(0),
                export_kwh=draw(decimals("0", "60", 4)),
            )
        )
    return tuple(readings)


@st.composite
def cases(
    draw: st.DrawFn,
    *,
    kinds: frozenset[str] = ALL_KINDS,
    cube_only: bool = False,
    net_metering: bool = False,
    inside_months: bool = False,
    memory: bool = True,
) -> Case:
    """A tariff, a customer and readings of up to three months around a new year."""
    january = draw(st.booleans())
    tariff = draw(
        random_tariffs(
            kinds=kinds,
            cube_only=cube_only,
            net_metering=net_metering,
            inside_months=inside_months,
            starts_in_january=january and memory,
            memory=memory,
        )
    )
    minutes = draw(st.sampled_from([15, 30]))
    first = date(2025, 1, 1) if january else date(2024, 12, 1)
    load = draw(random_loads(first, date(2025, 3, 1), interval_minutes=minutes))
    first_month = 1 if january else 12
    if load[0].local_start.month != first_month:
        at = datetime(2025, 1, 1, 9) if january else datetime(2024, 12, 2, 9)
        load = (Reading(at, DAYS.day_type(at.date()), Decimal("1.5"), Decimal("0.25"), Decimal(1), Decimal(2)), *load)
    customer = Customer(
        contract_capacity_kva=draw(decimals("5", "40", 4)),
        contracted_kw=draw(decimals("1", "30", 4)),
        billing_basis=draw(st.sampled_from(["capacity", "contracted_demand", "actual_demand"])),
    )
    if any(isinstance(part, EnergySeriesComponent) and part.bands is not None for part in tariff.components):
        load = tuple(replace(reading, series_value=BANDS[reading.kwh > 1]) for reading in load)
    opening_kwh = None if january else draw(decimals("0", "100", 4))
    return Case(tariff, load, customer, opening_kwh, interval_minutes=minutes)
