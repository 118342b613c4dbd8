"""Random tariffs and random loads for property tests."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
from hypothesis import strategies as st

from ml.tariffs.calendar import DayCalendar
from ml.tariffs.schema import Tariff, load_tariff
from tests.unit.ml.tariffs.reference import Reading

PERIODS = ("peak", "flat", "valley")
DAY_TYPES = ("workday", "weekend", "holiday")
DAYS = DayCalendar(holidays=[date(2025, 1, 1), date(2025, 1, 29)], working_days=[date(2025, 1, 26)])


def decimals(low: str, high: str, places: int) -> st.SearchStrategy[Decimal]:
    return st.decimals(Decimal(low), Decimal(high), places=places, allow_nan=False, allow_infinity=False)


@st.composite
def schedules(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Clocks on the half hour: two seasons, and own clocks for days off in one of them."""
    split = draw(st.integers(1, 11))
    groups = [
        (list(range(1, split + 1)), list(DAY_TYPES)),
        (list(range(split + 1, 13)), ["workday"]),
        (list(range(split + 1, 13)), ["weekend", "holiday"]),
    ]
    found = []
    for months, day_types in groups:
        edges = sorted(draw(st.sets(st.integers(1, 47), min_size=2, max_size=4)))
        periods: dict[str, list[str]] = {}
        for index, (start, end) in enumerate(pairwise(edges)):
            periods.setdefault(PERIODS[index % 2], []).append(f"{_clock(start)}-{_clock(end)}")
        found.append({"months": months, "day_types": day_types, "periods": periods, "otherwise": "valley"})
    found[0]["periods"] = {"flat": ["22:30-06:00"], "peak": ["07:00-11:30"]}
    return found


@st.composite
def energy_components(draw: st.DrawFn, name: str) -> dict[str, Any]:
    price = decimals("-0.5", "2", 8)
    kind = draw(st.sampled_from(["flat", "periods", "ladder", "ladder_per_period"]))
    tiers = None
    if kind.startswith("ladder"):
        limits = sorted(draw(st.sets(decimals("1", "80", 4), min_size=1, max_size=3)))
        tiers = {
            "basis": draw(st.sampled_from(["month", "year"])) if kind == "ladder" else "month",
            "limits_kwh": limits,
            "allocation": "single_ladder" if kind == "ladder" else "ladder_per_period",
        }
    count = 1 if tiers is None else len(tiers["limits_kwh"]) + 1
    names = PERIODS if kind in {"periods", "ladder_per_period"} else ("all",)
    tables = [
        {"months": months, "prices": {period: [draw(price) for _ in range(count)] for period in names}}
        for months in ([1, 2, 3, 4, 5, 6], [7, 8, 9, 10, 11, 12])
    ]
    component = {"kind": "energy", "name": name, "tables": tables}
    return component if tiers is None else component | {"tiers": tiers}


@st.composite
def tariffs(draw: st.DrawFn) -> Tariff:
    unit = decimals("0", "60", 4)
    discount = {"kwh_per_kva": draw(decimals("0.1", "3", 2)), "factor": "0.9"}
    dated = [{"valid_to": "2025-01-31", "price": draw(unit)}, {"valid_from": "2025-02-01", "price": draw(unit)}]
    components = [draw(energy_components(f"energy {index}")) for index in range(draw(st.integers(1, 3)))]
    others = [
        {"kind": "capacity", "name": "capacity", "billing_basis": "capacity", "tables": [{"price": draw(unit)}]},
        {
            "kind": "contracted_demand",
            "name": "contracted",
            "billing_basis": "contracted_demand",
            "discount": discount,
            "tables": [{"price": draw(unit)}],
        },
        {"kind": "demand", "name": "actual", "billing_basis": "actual_demand", "discount": discount, "tables": dated},
        {"kind": "demand", "name": "peak demand", "periods": ["peak"], "tables": [{"price": draw(unit)}]},
        {
            "kind": "fixed",
            "name": "standing",
            "per": draw(st.sampled_from(["month", "day", "mean_day"])),
            "tables": dated,
        },
        {"kind": "minimum", "name": "minimum", "tables": [{"price": draw(decimals("0", "3000", 2))}]},
    ]
    bases, rest = others[:3], others[3:]
    if draw(st.booleans()):
        components += bases
    components += [component for component in rest if draw(st.booleans())]
    return load_tariff(
        {
            "tariff_id": "random",
            "version": "1",
            "name": "Random",
            "valid_from": "2024-01-01",
            "currency": "CNY",
            "verified": True,
            "calendar": {"schedules": draw(schedules())},
            "components": components,
            "rounding": {"scope": draw(st.sampled_from(["line", "total"])), "decimals": draw(st.integers(0, 3))},
        }
    )


@st.composite
def loads(draw: st.DrawFn, time_zone: str, interval_minutes: int) -> list[tuple[datetime, Decimal]]:
    """Readings at random instants of three months around a new year, as (UTC start, kWh)."""
    first = datetime(2024, 11, 30, 12, tzinfo=UTC)
    steps = draw(st.sets(st.integers(0, 92 * 1440 // interval_minutes), min_size=3, max_size=40))
    starts = [first + timedelta(minutes=interval_minutes * step) for step in sorted(steps)]
    instants = [start for start in starts if start.astimezone(ZoneInfo(time_zone)).month in {12, 1, 2}]
    if not instants:
        instants = [datetime(2025, 1, 15, 4, tzinfo=UTC)]
    return [(instant, draw(decimals("0", "30", 4))) for instant in instants]


def as_frame(load: list[tuple[datetime, Decimal]], customer_key: str = "c") -> pl.DataFrame:
    return pl.DataFrame(
        {
            "customer_key": [customer_key] * len(load),
            "read_at": [instant for instant, _ in load],
            "kwh": [kwh for _, kwh in load],
        },
        schema={"customer_key": pl.String, "read_at": pl.Datetime("us", "UTC"), "kwh": pl.Decimal(14, 4)},
    )


def as_readings(load: list[tuple[datetime, Decimal]], time_zone: str) -> list[Reading]:
    local = [(instant.astimezone(ZoneInfo(time_zone)).replace(tzinfo=None), kwh) for instant, kwh in load]
    return [Reading(start, DAYS.day_type(start.date()), kwh) for start, kwh in local]


def _clock(half_hour: int) -> str:
    return f"{half_hour // 2:02d}:{half_hour % 2 * 30:02d}"
