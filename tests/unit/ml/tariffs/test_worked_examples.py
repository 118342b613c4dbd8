"""Golden figures: the published Shandong tables, and rules of thumb that follow from them, worked by hand."""

from datetime import date
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from ml.tariffs.calendar import ALL_PERIODS
from ml.tariffs.catalogue import load_catalogue
from ml.tariffs.eligibility import CustomerTable
from ml.tariffs.load_cube import LoadCube
from ml.tariffs.pricing import price_cube
from ml.tariffs.schema import PowerFactorComponent, Tariff, load_tariff
from tests.unit.ml.tariffs.reference import adjustment_percent

JULY, AUGUST = date(2026, 7, 1), date(2026, 8, 1)
FUNDS = Decimal("0.02716875")
FACTORS = {
    "critical_peak": 2,
    "peak": Decimal("1.7"),
    "flat": 1,
    "valley": Decimal("0.3"),
    "deep_valley": Decimal("0.1"),
}

# Per kWh until 2026-07 and from 2026-08 (发改价格〔2026〕1077号), per kW and per kVA.
TRANSMISSION = [
    ("sd_ic_single_lt1", "0.2219", "0.2401", None, None),
    ("sd_ic_single_10", "0.2069", "0.2231", None, None),
    ("sd_ic_single_35", "0.1919", "0.2061", None, None),
    ("sd_ic_two_10", "0.1491", "0.1400", "38.4", "24.0"),
    ("sd_ic_two_35", "0.1341", "0.1230", "35.2", "22.0"),
    ("sd_ic_two_110", "0.1191", "0.1060", "35.2", "22.0"),
    ("sd_ic_two_220", "0.1041", "0.0890", "32.0", "20.0"),
]

# Month of 2026, then what floats with the band and what does not, 110 kV two-part.
FLOATING_AND_FIXED = [
    (1, "0.5385", "0.11026875"),
    (2, "0.5149", "0.11806875"),
    (3, "0.4807", "0.10336875"),
    (4, "0.4948", "0.08626875"),
    (5, "0.4665", "0.11586875"),
    (6, "0.4527", "0.12486875"),
    (7, "0.4847", "0.13426875"),
    (8, "0.4453", "0.12736875"),
]


def cube_of(kwh_by_slot: dict[int, str], month: date, *, peak_kw: str = "0") -> LoadCube:
    """One customer and month; energy by hour of the workdays, and the month's largest power in the first hour."""
    kwh = np.zeros((1, 1, 3, 24), np.int64)
    for slot, energy in kwh_by_slot.items():
        kwh[0, 0, 0, slot] = int(Decimal(energy) * 10_000)
    peak = np.zeros_like(kwh)
    peak[0, 0, 0, 0] = int(Decimal(peak_kw) * 10_000)
    opening = np.zeros(1, np.int64)
    return LoadCube.from_arrays(["c"], [month], kwh=kwh, peak_kw=peak, slot_minutes=60, opening_kwh=opening)


def customer(kva: float, basis: str, contracted_kw: float | None = None) -> CustomerTable:
    facts = {
        "customer_key": ["c"],
        "contract_capacity_kva": [kva],
        "contracted_kw": [contracted_kw],
        "billing_basis": [basis],
    }
    return CustomerTable.from_frame(pd.DataFrame(facts))


def amount(tariff: Tariff, cube: LoadCube, facts: CustomerTable | None = None, component: str | None = None) -> Decimal:
    bills = price_cube(tariff, cube, facts)
    units = bills.total_units if component is None else bills.component_units[component]
    return Decimal(int(units[0, 0])).scaleb(-bills.unit_decimals)


def one_kwh_costs(tariff: Tariff, month: date, band: str) -> Decimal:
    """Amount of 10,000 kWh in one band, per kWh, unrounded: two decimals of money are six of a price."""
    assert tariff.calendar is not None
    code = tariff.calendar.period_names.index(band)
    slot = tariff.calendar.period_codes(month.month, 60)[0].tolist().index(code)
    lines = price_cube(tariff, cube_of({slot: "10000"}, month), customer(1000, "capacity")).lines
    energy = [line for line in lines if line.unit == "kWh" and line.period in {band, ALL_PERIODS}]
    return sum((Decimal(int(line.price[0])).scaleb(-8) for line in energy if line.price is not None), Decimal(0))


@pytest.mark.parametrize(("tariff_id", "before", "after", "per_kw", "per_kva"), TRANSMISSION)
def test_transmission_prices_are_those_of_the_tables(
    tariff_id: str, before: str, after: str, per_kw: str | None, per_kva: str | None
) -> None:
    tariff = load_catalogue().get(tariff_id)
    name = "Transmission and distribution"

    for month, price in ((JULY, before), (AUGUST, after)):
        assert amount(tariff, cube_of({0: "10000"}, month), customer(1, "capacity"), name) == 10_000 * Decimal(price)
        if per_kw is not None and per_kva is not None:
            by_kva = amount(tariff, cube_of({}, month), customer(100, "capacity"), "Capacity charge")
            by_kw = amount(
                tariff, cube_of({}, month, peak_kw="100"), customer(100, "actual_demand"), "Actual demand charge"
            )
            assert (by_kw, by_kva) == (100 * Decimal(per_kw), 100 * Decimal(per_kva))


@pytest.mark.parametrize("tariff_id", [row[0] for row in TRANSMISSION])
def test_government_funds_are_the_same_for_everybody(tariff_id: str) -> None:
    tariff = load_catalogue().get(tariff_id)

    assert amount(tariff, cube_of({0: "80000"}, JULY), customer(1, "capacity"), "Government funds") == 80_000 * FUNDS


@pytest.mark.parametrize(("month", "floating", "fixed"), FLOATING_AND_FIXED)
def test_published_prices_are_a_fixed_part_and_a_floating_part_times_the_factor_of_the_band(
    month: int, floating: str, fixed: str
) -> None:
    tariff = load_catalogue().get("sd_ic_two_110")
    assert tariff.calendar is not None
    bands = {tariff.calendar.period_names[code] for code in tariff.calendar.period_codes(month, 60)[0]}

    for band in bands:
        by_formula = Decimal(fixed) + FACTORS[band] * Decimal(floating)
        # Every component of the published price is rounded to four decimals on its own.
        assert abs(one_kwh_costs(tariff, date(2026, month, 1), band) - by_formula) < Decimal("0.0002")


def test_the_published_peak_of_july_differs_from_the_formula_by_rounded_components() -> None:
    published = one_kwh_costs(load_catalogue().get("sd_ic_two_110"), JULY, "peak")

    assert Decimal("0.13426875") + FACTORS["peak"] * Decimal("0.4847") == Decimal("0.95825875")
    assert published == Decimal("0.95836875")


@pytest.mark.parametrize(
    ("month", "valley_kwh", "saving"),
    [
        (date(2026, 4, 1), "15", "0.00"),  # 0.17 * 15 = 0.03 * 85
        (date(2026, 4, 1), "16", "0.20"),
        (date(2026, 4, 1), "14", "-0.20"),
        (date(2026, 11, 1), "13", "-0.01"),  # 0.20 * 13 - 0.03 * 87
        (date(2026, 11, 1), "14", "0.22"),
    ],
)
def test_the_households_time_of_use_option_pays_from_15_percent_of_valley_energy_or_13_in_winter(
    month: date, valley_kwh: str, saving: str
) -> None:
    cube = cube_of({10: str(100 - int(valley_kwh)), 23: valley_kwh}, month)
    blocks, by_time = (load_catalogue().get(name) for name in ("sd_res_tier", "sd_res_tier_tou"))

    assert amount(blocks, cube) - amount(by_time, cube) == Decimal(saving)


@pytest.mark.parametrize(("kwh", "break_even"), [("1000", "0.625"), ("208000", "0.6944")])
def test_capacity_and_demand_cost_the_same_at_62_5_percent_of_the_capacity_or_69_4_with_the_discount(
    kwh: str, break_even: str
) -> None:
    tariff = load_catalogue().get("sd_ic_two_35")
    by_capacity = amount(tariff, cube_of({}, JULY), customer(800, "capacity"), "Capacity charge")

    def by_demand(kw: Decimal) -> Decimal:
        cube = cube_of({0: kwh}, JULY, peak_kw=str(kw))
        return amount(tariff, cube, customer(800, "actual_demand"), "Actual demand charge")

    at = 800 * Decimal(break_even)
    assert by_demand(at - 1) < by_capacity < by_demand(at + 1)
    assert abs(by_demand(at) - by_capacity) < Decimal(2)


def test_the_best_contract_of_a_month_is_its_peak_divided_by_the_tolerance() -> None:
    tariff = load_catalogue().get("sd_ic_two_35")
    cube = cube_of({}, JULY, peak_kw="630")

    costs = {
        kw: amount(tariff, cube, customer(1250, "contracted_demand", kw), "Contracted demand charge")
        for kw in range(500, 701, 5)
    }

    assert min(costs, key=lambda kw: costs[kw]) == 600
    assert costs[600] == Decimal("21120.00")


# (83)水电财字第215号: percent of the bill by standard and power factor.
POWER_FACTOR_TABLE = {
    "0.90": {
        "1.00": "-0.75", "0.95": "-0.75", "0.94": "-0.60", "0.93": "-0.45", "0.92": "-0.30", "0.91": "-0.15",
        "0.90": "0", "0.89": "0.5", "0.75": "7.5", "0.70": "10", "0.69": "11", "0.65": "15", "0.64": "17", "0.60": "25",
    },
    "0.85": {
        "1.00": "-1.10", "0.94": "-1.10", "0.93": "-0.95", "0.92": "-0.80", "0.91": "-0.65", "0.90": "-0.50",
        "0.89": "-0.40", "0.86": "-0.10", "0.85": "0", "0.84": "0.5", "0.65": "10", "0.64": "11", "0.60": "15",
        "0.59": "17",
    },
    "0.80": {
        "1.00": "-1.30", "0.92": "-1.30", "0.91": "-1.15", "0.90": "-1.00", "0.85": "-0.50", "0.81": "-0.10",
        "0.80": "0", "0.79": "0.5", "0.60": "10", "0.59": "11", "0.55": "15", "0.54": "17", "0.00": "125",
    },
}  # fmt: skip


@pytest.mark.parametrize(
    ("standard", "power_factor", "percent"),
    [
        (standard, factor, percent)
        for standard, table in POWER_FACTOR_TABLE.items()
        for factor, percent in table.items()
    ],
)
def test_power_factor_adjustments_are_those_of_the_table(standard: str, power_factor: str, percent: str) -> None:
    component = PowerFactorComponent(kind="power_factor", name="PF", standard=Decimal(standard), base=("Energy",))

    assert component.percent_of(Decimal(power_factor)) == Decimal(percent)
    assert adjustment_percent(Decimal(standard), Decimal(power_factor)) == Decimal(percent)


@pytest.mark.parametrize(("kwh", "has_discount"), [("10.4433", False), ("10.4434", True)])
def test_the_energy_that_earns_the_discount_is_rounded_up(kwh: str, has_discount: bool) -> None:
    """0.3333 kWh per kVA x 31.3333 kVA = 10.44338889 kWh."""
    discount = {"kwh_per_kva": "0.3333", "factor": "0.5"}
    tariff = load_tariff(
        {
            "tariff_id": "t",
            "version": "1",
            "name": "T",
            "valid_from": "2026-01-01",
            "currency": "CNY",
            "verified": True,
            "components": [{"kind": "demand", "name": "Demand", "discount": discount, "tables": [{"price": "10"}]}],
        }
    )

    charged = amount(tariff, cube_of({0: kwh}, JULY, peak_kw="3"), customer(31.3333, "actual_demand"))

    assert charged == (15 if has_discount else 30)
