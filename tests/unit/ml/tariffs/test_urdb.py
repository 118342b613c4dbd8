"""URDB rates become tariffs field by field: honoured, reported, or refused by name."""

import copy
import json
from collections import Counter
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.errors import TariffError
from ml.tariffs.calendar import DayCalendar
from ml.tariffs.catalogue import load_catalogue
from ml.tariffs.load_cube import LoadCube
from ml.tariffs.pricing import price_cube
from ml.tariffs.schema import (
    DemandComponent,
    EnergyComponent,
    ExportComponent,
    FixedComponent,
    MinimumComponent,
    Tariff,
)
from ml.tariffs.urdb import UrdbImport, UrdbReport, UrdbRules, load_urdb

ALL_DAY = [[0] * 24] * 12
NINE_TO_FIVE = [[int(9 <= hour < 17) for hour in range(24)]] * 12
FLAT_ENERGY = {
    "energyratestructure": [[{"rate": 0.1, "adj": 0.02, "unit": "kWh"}]],
    "energyweekdayschedule": ALL_DAY,
    "energyweekendschedule": ALL_DAY,
}
TWO_PERIODS = {
    "energyratestructure": [[{"rate": 0.1, "unit": "kWh"}], [{"rate": 0.3, "unit": "kWh"}]],
    "energyweekdayschedule": NINE_TO_FIVE,
    "energyweekendschedule": ALL_DAY,
}
FLAT_DEMAND = {"flatdemandstructure": [[{"rate": 5}], [{"rate": 8, "adj": 1.5}]], "flatdemandmonths": [0] * 5 + [1] * 7}


def epoch(year: int, month: int, day: int, hour: int = 0) -> int:
    return int(datetime(year, month, day, hour, tzinfo=UTC).timestamp())


def rate(**fields: object) -> dict[str, Any]:
    base = {"label": "abc", "name": "General Service", "utility": "Utility", "sector": "Commercial"}
    return base | {"startdate": epoch(2018, 1, 1)} | FLAT_ENERGY | fields


def imported(record: dict[str, Any], rules: UrdbRules | None = None) -> UrdbImport:
    [found] = load_urdb(record, rules)
    return found


def loaded(record: dict[str, Any], rules: UrdbRules | None = None) -> Tariff:
    tariff, report = imported(record, rules)
    assert tariff is not None, report.to_text()
    return tariff


def kinds(report: UrdbReport, kind: str) -> list[str]:
    return [finding.field for finding in report.findings if finding.kind == kind]


def january(hour_kwh: dict[tuple[int, int], str]) -> LoadCube:
    """One customer in January 2018 (it starts on a Monday); energy by day and hour."""
    starts = np.datetime64("2018-01-01") + np.arange(31 * 24).astype("timedelta64[h]")
    kwh = np.zeros((1, 31 * 24), np.int64)
    for (day, hour), energy in hour_kwh.items():
        kwh[0, (day - 1) * 24 + hour] = int(Decimal(energy) * 10_000)
    return LoadCube.from_series(["c"], starts, kwh, interval_minutes=60, days=DayCalendar())


def amounts(tariff: Tariff, cube: LoadCube) -> dict[str, str]:
    bills = price_cube(tariff, cube)
    found = {name: Decimal(int(units[0, 0])).scaleb(-2) for name, units in bills.component_units.items()}
    return {name: str(amount) for name, amount in found.items() if amount}


def test_effective_price_is_rate_plus_adjustment() -> None:
    assert amounts(loaded(rate()), january({(1, 0): "100"})) == {"Energy": "12.00"}


def test_one_rate_a_list_an_api_answer_a_text_and_a_file_are_the_same(tmp_path: Path) -> None:
    record = rate()
    path = tmp_path / "rate.json"
    path.write_text(json.dumps({"items": [record]}), encoding="utf-8")

    found = [load_urdb(source) for source in (record, [record], {"items": [record]}, json.dumps(record), path)]

    assert all(other == found[0] for other in found)


def test_the_input_stays_as_it_was_and_a_second_import_is_the_same() -> None:
    record = rate(**TWO_PERIODS, **FLAT_DEMAND, fueladjustmentsmonthly=[0.001] * 12)
    before = copy.deepcopy(record)

    first, second = load_urdb(record), load_urdb(record)

    assert record == before
    assert first == second


def test_weekday_and_weekend_clocks_decide_the_price() -> None:
    # The 1st is a Monday, the 6th a Saturday.
    cube = january({(1, 8): "10", (1, 9): "10", (1, 16): "10", (1, 17): "10", (6, 12): "10"})

    assert amounts(loaded(rate(**TWO_PERIODS)), cube) == {"Energy": "9.00"}  # 30 kWh at 0.1, 20 kWh at 0.3


def test_energy_and_demand_may_follow_clocks_of_their_own() -> None:
    record = rate(
        **TWO_PERIODS,
        demandratestructure=[[{"rate": 0}], [{"rate": 4}], [{"rate": 7, "adj": 0.5}]],
        demandweekdayschedule=[[0] * 6 + [1] * 6 + [2] * 12] * 12,
        demandweekendschedule=ALL_DAY,
    )
    cube = january({(1, 3): "50", (1, 8): "10", (1, 11): "12", (1, 20): "20", (6, 12): "99"})

    found = amounts(loaded(record), cube)

    assert found == {
        "Energy": "21.50",  # (50 + 10 + 20 + 99) kWh at 0.1, 12 kWh at 0.3
        "Demand, demand 2": "48.00",  # 12 kW at 4
        "Demand, demand 3": "150.00",  # 20 kW at 7.5
    }


def test_labels_of_the_database_name_the_periods() -> None:
    tariff = loaded(rate(**TWO_PERIODS, energytoulabels=["Off-Peak", "Peak"]))

    assert tariff.calendar is not None
    assert set(tariff.calendar.period_names) == {"Off-Peak", "Peak"}


@pytest.mark.parametrize(("holidays", "kwh_price"), [("weekend", "0.1"), ("workday", "0.3")])
def test_holidays_take_the_clock_that_the_rule_names(holidays: Any, kwh_price: str) -> None:
    starts = np.datetime64("2018-01-01") + np.arange(24).astype("timedelta64[h]")
    kwh = np.zeros((1, 24), np.int64)
    kwh[0, 12] = 1_000_000
    cube = LoadCube.from_series(["c"], starts, kwh, interval_minutes=60, days=DayCalendar(holidays=[date(2018, 1, 1)]))
    tariff, report = imported(rate(**TWO_PERIODS), UrdbRules(holidays=holidays))

    assert tariff is not None
    assert price_cube(tariff, cube).sum_amount[0] == pytest.approx(float(kwh_price) * 100)
    assert "holidays" in kinds(report, "assumed")


def test_flat_demand_of_each_month_has_the_price_of_its_period() -> None:
    component = loaded(rate(**FLAT_DEMAND)).components[1]

    assert isinstance(component, DemandComponent)
    assert {(table.months, table.price) for table in component.tables} == {
        ((1, 2, 3, 4, 5), Decimal(5)),
        ((6, 7, 8, 9, 10, 11, 12), Decimal("9.5")),
    }


def test_flat_demand_without_months_is_billed_all_year() -> None:
    tariff, report = imported(rate(flatdemandstructure=[[{"rate": 5}]]))

    assert tariff is not None
    assert amounts(tariff, january({(1, 0): "3"}))["Demand"] == "15.00"
    assert "flatdemandmonths" in kinds(report, "assumed")


def test_tiers_of_demand_keep_their_limits() -> None:
    structure = [[{"rate": 4, "max": 20}, {"rate": 9, "max": 45.5}, {"rate": 13}]]
    component = loaded(rate(flatdemandstructure=structure, flatdemandmonths=[0] * 12)).components[1]

    assert isinstance(component, DemandComponent)
    assert component.tables[0].limits_kw == (Decimal(20), Decimal("45.5"))
    assert component.tables[0].prices == (4, 9, 13)


def test_months_may_differ_in_their_tiers() -> None:
    summer = [[int(5 <= month < 9)] * 24 for month in range(12)]
    structure = [
        [{"rate": 0.1, "max": 500, "unit": "kWh"}, {"rate": 0.2, "unit": "kWh"}],
        [{"rate": 0.3, "max": 800, "unit": "kWh"}, {"rate": 0.4, "max": 900, "unit": "kWh"}, {"rate": 0.5}],
    ]
    record = rate(energyratestructure=structure, energyweekdayschedule=summer, energyweekendschedule=summer)
    component = loaded(record).components[0]

    assert isinstance(component, EnergyComponent)
    ladders = {table.months: component.limits_kwh(table, "all") for table in component.tables}
    assert ladders == {(1, 2, 3, 4, 5, 10, 11, 12): (500,), (6, 7, 8, 9): (800, 900)}
    assert component.tiers is not None
    assert (component.tiers.basis, component.tiers.allocation) == ("month", "single_ladder")


def test_periods_with_different_tiers_share_a_ladder_without_changing_each_others_price() -> None:
    structure = [
        [{"rate": 0.1, "max": 500, "unit": "kWh"}, {"rate": 0.2, "unit": "kWh"}],
        [{"rate": 0.3, "max": 800, "unit": "kWh"}, {"rate": 0.4, "unit": "kWh"}],
    ]
    component = loaded(rate(**TWO_PERIODS | {"energyratestructure": structure})).components[0]

    assert isinstance(component, EnergyComponent)
    [table] = component.tables
    assert component.limits_kwh(table, "energy 1") == (500, 800)
    assert table.prices["energy 1"] == (Decimal("0.1"), Decimal("0.2"), Decimal("0.2"))
    assert table.prices["energy 2"] == (Decimal("0.3"), Decimal("0.3"), Decimal("0.4"))
    assert component.tiers is not None
    assert component.tiers.allocation == "prorata"


@pytest.mark.parametrize(
    ("unit", "basis"), [("kWh", "month"), ("kWh daily", "daily_allowance"), ("kWh/kW", "kwh_per_kw")]
)
def test_unit_of_the_tiers_is_their_basis(unit: str, basis: str) -> None:
    structure = [[{"rate": 0.1, "max": 50, "unit": unit}, {"rate": 0.2, "unit": unit}]]
    component = loaded(rate(energyratestructure=structure)).components[0]

    assert isinstance(component, EnergyComponent)
    assert component.tiers is not None
    assert component.tiers.basis == basis


def test_fuel_adjustments_are_added_per_month() -> None:
    tariff = loaded(rate(fueladjustmentsmonthly=[-0.005] + [0.001] * 11))

    assert amounts(tariff, january({(1, 0): "1000"})) == {"Energy": "120.00", "Fuel adjustment": "-5.00"}


@pytest.mark.parametrize(
    ("fields", "amount"),
    [
        ({"fixedchargefirstmeter": 71, "fixedchargeunits": "$/month"}, "71.00"),
        ({"fixedchargefirstmeter": 0.5, "fixedchargeunits": "$/day"}, "15.50"),
        ({"fixedmonthlycharge": 298.92}, "298.92"),
        ({"fixedmonthlycharge": 30, "fixedchargefirstmeter": 30, "fixedchargeunits": "$/month"}, "30.00"),
    ],
)
def test_fixed_charges_of_all_versions(fields: dict[str, Any], amount: str) -> None:
    assert amounts(loaded(rate(**fields)), january({(1, 0): "0"})) == {"Fixed charge": amount}


def test_a_fixed_charge_per_year_is_spread() -> None:
    [_, fixed] = loaded(rate(fixedchargefirstmeter=120, fixedchargeunits="$/year")).components

    assert isinstance(fixed, FixedComponent)
    assert (fixed.per, fixed.charged_in_month) == ("year", None)


@pytest.mark.parametrize(
    ("fields", "minima"),
    [
        ({"mincharge": 20, "minchargeunits": "$/month"}, [("month", 20)]),
        ({"mincharge": 2, "minchargeunits": "$/day"}, [("day", 2)]),
        ({"mincharge": 200, "minchargeunits": "$/year"}, [("year", 200)]),
        ({"minmonthlycharge": 20, "annualmincharge": 300}, [("month", 20), ("year", 300)]),
        ({"minmonthlycharge": 20, "mincharge": 20, "minchargeunits": "$/month"}, [("month", 20)]),
    ],
)
def test_minimum_bills_of_all_versions(fields: dict[str, Any], minima: list[tuple[str, int]]) -> None:
    components = loaded(rate(**fields)).components[1:]

    assert all(isinstance(part, MinimumComponent) and part.covers == () for part in components)
    assert [(part.per, part.tables[0].price) for part in components if isinstance(part, MinimumComponent)] == minima


def test_ratchet_looks_back_over_a_range_or_over_named_months() -> None:
    record = rate(**FLAT_DEMAND, lookbackpercent=80)
    summer = [0, 0, 0, 0, 0, 1, 1, 1, 1, 0, 0, 0]

    by_range, by_months = (
        loaded(record | fields, UrdbRules(missing_history="use_known")).components[1]
        for fields in ({"lookbackrange": 6}, {"lookbackmonths": summer})
    )

    assert isinstance(by_range, DemandComponent)
    assert isinstance(by_months, DemandComponent)
    assert by_range.ratchet is not None
    assert by_months.ratchet is not None
    assert (by_range.ratchet.percent, by_range.ratchet.range_months, len(by_range.ratchet.months)) == (80, 6, 12)
    assert (by_months.ratchet.months, by_months.ratchet.range_months) == ((6, 7, 8, 9), 11)
    assert by_months.ratchet.missing_history == "use_known"


@pytest.mark.parametrize(
    ("rule", "component_rule"),
    [
        ("Net Billing Instantaneous", "net_billing"),
        ("Net Billing Hourly", "net_billing"),
        ("Buy All Sell All", "buy_all_sell_all"),
    ],
)
def test_export_is_paid_at_the_sell_price_of_its_period(rule: str, component_rule: str) -> None:
    structure = [[{"rate": 0.1, "unit": "kWh"}], [{"rate": 0.3, "sell": 0.08, "unit": "kWh"}]]
    record = rate(**TWO_PERIODS | {"energyratestructure": structure}, dgrules=rule)

    component = loaded(record, UrdbRules(export="bill")).components[-1]

    assert isinstance(component, ExportComponent)
    assert component.rule == component_rule
    assert component.tables[0].prices == {"energy 1": (Decimal(0),), "energy 2": (Decimal("0.08"),)}


def test_net_metering_carries_a_surplus_over_and_the_report_says_so() -> None:
    tariff, report = imported(rate(dgrules="Net Metering"), UrdbRules(export="bill"))

    assert tariff is not None
    assert tariff.net_metering is not None
    assert tariff.net_metering.carry_over == "next_month"
    assert "dgrules" in kinds(report, "assumed")


def test_export_that_is_left_out_is_reported() -> None:
    structure = [[{"rate": 0.1, "sell": 0.05, "unit": "kWh"}]]
    tariff, report = imported(rate(energyratestructure=structure, dgrules="Net Billing Hourly"))

    assert tariff is not None
    assert not any(isinstance(part, ExportComponent) for part in tariff.components)
    assert {"dgrules", "energyratestructure.sell"} <= set(kinds(report, "not_honoured"))


def test_tiers_that_sell_at_different_prices_are_refused() -> None:
    structure = [[{"rate": 0.1, "sell": 0.05, "max": 9}, {"rate": 0.2}]]
    record = rate(energyratestructure=structure, dgrules="Net Billing Hourly")
    tariff, report = imported(record, UrdbRules(export="bill"))

    assert tariff is None
    assert [finding.field for finding in report.refusals] == ["energyratestructure[0].sell"]


def test_demand_window_is_the_interval_of_the_demand() -> None:
    component = loaded(rate(**FLAT_DEMAND, demandwindow=15)).components[1]

    assert isinstance(component, DemandComponent)
    assert component.interval_minutes == 15


@pytest.mark.parametrize(
    ("start", "first_day"),
    [
        (1738393200, date(2025, 2, 1)),  # midnight in Denver
        (1401580800.0, date(2014, 6, 1)),  # midnight in Greenwich
        (1727737200, date(2024, 10, 1)),  # midnight in London
        (1556690400, date(2019, 5, 1)),
    ],
)
def test_dates_are_the_days_whose_midnight_is_nearest(start: float, first_day: date) -> None:
    assert loaded(rate(startdate=start)).valid_from == first_day


def test_validity_and_identity() -> None:
    tariff = loaded(rate(enddate=epoch(2020, 3, 15, 7), source="https://example.org/rates.pdf"))

    assert (tariff.tariff_id, tariff.version, tariff.name) == ("urdb_abc", "2018-01-01", "Utility: General Service")
    assert (tariff.valid_from, tariff.valid_to) == (date(2018, 1, 1), date(2020, 3, 15))
    assert (tariff.currency, tariff.source, tariff.is_verified) == ("USD", ("https://example.org/rates.pdf",), False)


def test_a_label_that_is_used_twice_gets_a_number() -> None:
    (first, _), (second, report) = load_urdb([rate(), rate(name="Other")])

    assert first is not None
    assert second is not None
    assert (first.tariff_id, second.tariff_id) == ("urdb_abc", "urdb_abc_2")
    assert "label" in kinds(report, "not_honoured")


@pytest.mark.parametrize(
    ("fields", "levels"),
    [
        ({}, ()),
        ({"voltagemaximum": 600}, ("lt1kV",)),
        ({"voltageminimum": 2000, "voltagemaximum": 50000}, ("1-10(20)kV", "35kV")),
        ({"voltageminimum": 34500}, ("35kV", "110kV", "220kV+")),
        ({"voltageminimum": 0}, ()),
    ],
)
def test_voltage_limits_become_levels(fields: dict[str, Any], levels: tuple[str, ...]) -> None:
    assert loaded(rate(**fields)).eligibility.voltage_levels == levels


def test_demand_limits_become_bounds_of_the_capacity_and_the_report_says_so() -> None:
    tariff, report = imported(rate(peakkwcapacitymin=20, peakkwcapacitymax=500.0))

    assert tariff is not None
    assert str(tariff.eligibility.capacity_kva) == "from 20 and up to 500.0"
    assert tariff.eligibility.customer_classes == ("commercial",)
    assert {"peakkwcapacitymin", "peakkwcapacitymax"} <= set(kinds(report, "assumed"))


@pytest.mark.parametrize(
    ("fields", "refused"),
    [
        ({"coincidentratestructure": [[{"rate": 0.79}]]}, "coincidentratestructure"),
        ({"demandreactivepowercharge": 0.52}, "demandreactivepowercharge"),
        ({"demandratchetpercentage": [0.8] * 12}, "demandratchetpercentage"),
        ({"energyratestructure": [[{"unit": "kWh"}]]}, "energyratestructure[0][0].rate"),
        ({"energyratestructure": [[{"rate": "high"}]]}, "energyratestructure[0][0].rate"),
        ({"energyratestructure": [[{"rate": float("nan")}]]}, "energyratestructure[0][0].rate"),
        ({"energyratestructure": [[{"rate": 0.123456789}]]}, "energyratestructure[0][0].rate"),
        ({"energyratestructure": [[{"rate": 0.1}, {"rate": 0.2}]]}, "energyratestructure[0][0].max"),
        (
            {"energyratestructure": [[{"rate": 0.1, "max": 5}, {"rate": 0.2, "max": 5}, {"rate": 0.3}]]},
            "energyratestructure[0][1].max",
        ),
        (
            {"energyratestructure": [[{"rate": 0.1, "max": 5, "unit": "kWh/hp"}, {"rate": 0.2, "unit": "kWh/hp"}]]},
            "energyratestructure.unit",
        ),
        (
            {"energyratestructure": [[{"rate": 0.1, "max": 5, "unit": "kWh/kW"}, {"rate": 0.2, "unit": "kWh"}]]},
            "energyratestructure.unit",
        ),
        ({"energyratestructure": {"rate": 0.1}}, "energyratestructure"),
        ({"energyweekdayschedule": [[1] * 24] * 12}, "energyweekdayschedule[0][0]"),
        ({"energyweekdayschedule": [[0] * 23] * 12}, "energyweekdayschedule"),
        ({"energyweekendschedule": [[0.5] * 24] * 12}, "energyweekendschedule[0][0]"),
        (TWO_PERIODS | {"energyweekendschedule": None}, "energyweekendschedule"),
        (FLAT_DEMAND | {"flatdemandmonths": [2] * 12}, "flatdemandmonths[0]"),
        (FLAT_DEMAND | {"flatdemandmonths": None}, "flatdemandmonths"),
        (FLAT_DEMAND | {"flatdemandunit": "kVA"}, "flatdemandunit"),
        (FLAT_DEMAND | {"demandwindow": 5}, "demandwindow"),
        (FLAT_DEMAND | {"lookbackpercent": 80}, "lookbackmonths"),
        (FLAT_DEMAND | {"lookbackpercent": 80, "lookbackrange": 3, "lookbackmonths": [1] * 12}, "lookbackmonths"),
        (
            FLAT_DEMAND | {"lookbackpercent": 80, "lookbackrange": 3, "demandratestructure": [[{"rate": 1}]]},
            "lookbackpercent",
        ),
        ({"fixedchargefirstmeter": 5, "fixedchargeunits": "$/week"}, "fixedchargeunits"),
        ({"fixedchargefirstmeter": 5}, "fixedchargeunits"),
        (
            {"fixedchargefirstmeter": 5, "fixedchargeunits": "$/month", "fixedmonthlycharge": 6},
            "fixedmonthlycharge",
        ),
        ({"mincharge": 5, "minchargeunits": "$/month", "minmonthlycharge": 6}, "minmonthlycharge"),
        ({"fueladjustmentsmonthly": [0.1] * 11}, "fueladjustmentsmonthly"),
        ({"enddate": epoch(2017, 1, 1)}, "enddate"),
        ({"startdate": "soon"}, "startdate"),
        ({"startdate": "2020"}, "startdate"),
        ({"enddate": 2031}, "enddate"),
        ({"peakkwcapacitymin": 500, "peakkwcapacitymax": 20}, "peakkwcapacitymin"),
        ({"maxdemand": 500, "peakkwcapacitymax": 20}, "peakkwcapacitymax"),
        ({"energyratestructure": None}, "energyratestructure"),
        ({"label": None, "name": None}, "label"),
    ],
)
def test_what_cannot_be_priced_exactly_is_refused_by_its_name(fields: dict[str, Any], refused: str) -> None:
    tariff, report = imported(rate(**fields))

    assert tariff is None
    assert report.is_refused
    assert any(refused in finding.field for finding in report.refusals), report.to_text()


def test_all_refusals_of_a_rate_are_reported_at_once() -> None:
    _, report = imported(rate(demandreactivepowercharge=0.5, fixedchargefirstmeter=5, startdate="soon"))

    assert {finding.field for finding in report.refusals} == {
        "demandreactivepowercharge",
        "fixedchargeunits",
        "startdate",
    }


def test_a_refused_rate_does_not_stop_the_others() -> None:
    found = load_urdb([rate(label="a", demandreactivepowercharge=1), rate(label="b")])

    assert [tariff is None for tariff, _ in found] == [True, False]


def test_a_charge_may_be_left_out_on_request_and_the_bill_says_so() -> None:
    rules = UrdbRules(leave_out=["demandreactivepowercharge"])
    tariff, report = imported(rate(demandReactPwrCharge=0.52), rules)

    assert tariff is not None
    assert kinds(report, "left_out") == ["demandreactivepowercharge"]
    assert any("demandreactivepowercharge is charged by the utility" in reason for reason in tariff.unverified)
    with pytest.raises(TariffError, match="leave_out: fixedmonthlycharge cannot be left out"):
        load_urdb(rate(), UrdbRules(leave_out=["fixedmonthlycharge"]))


def test_every_field_is_honoured_or_reported() -> None:
    record = rate(
        **TWO_PERIODS,
        **FLAT_DEMAND,
        eiaid=1,
        servicetype="Delivery",
        description="d",
        source="s",
        sourceparent="p",
        uri="u",
        approved=True,
        is_default=False,
        supercedes="x",
        enddate=epoch(2030, 12, 31),
        peakkwcapacitymin=1,
        peakkwcapacitymax=2,
        peakkwcapacityhistory=12,
        peakkwhusagemin=1,
        peakkwhusagemax=2,
        peakkwhusagehistory=12,
        voltageminimum=1,
        voltagemaximum=2,
        voltagecategory="Primary",
        phasewiring="3-Phase",
        demandunits="kW",
        fueladjustmentsmonthly=[0.0] * 12,
        demandratestructure=[[{"rate": 1, "adj": 2}]],
        demandweekdayschedule=ALL_DAY,
        demandweekendschedule=ALL_DAY,
        demandrateunit="kW",
        flatdemandunit="kW",
        coincidentratestructure=[[{"rate": 1}]],
        coincidentrateschedule=ALL_DAY,
        coincidentrateunit="kW",
        demandwindow=30,
        demandreactivepowercharge=1,
        demandratchetpercentage=[0.5] * 12,
        lookbackpercent=0,
        lookbackmonths=[0] * 12,
        lookbackrange=0,
        fixedchargefirstmeter=1,
        fixedchargeeaaddl=1,
        fixedchargeunits="$/day",
        mincharge=1,
        minchargeunits="$/day",
        dgrules="Net Metering",
        fixedmonthlycharge=1,
        annualmincharge=1,
        minmonthlycharge=1,
        energycomments="c",
        sevenofnine=7,
    )
    _, report = imported(record)

    reported = {finding.field.split("[")[0] for finding in report.findings}
    named = set(report.honoured) | {name for field in reported for name in field.split(", ")}
    assert set(record) - named == set()
    assert kinds(report, "unknown") == ["sevenofnine"]
    assert set(report.honoured) & {"dgrules", "phasewiring", "sevenofnine", "fixedchargeeaaddl"} == set()


def test_residues_of_binary_sums_are_no_decimals() -> None:
    tariff = loaded(rate(energyratestructure=[[{"rate": 0.1 + 0.2, "adj": 0.0283685}]]))

    assert isinstance(tariff.components[0], EnergyComponent)
    assert tariff.components[0].tables[0].prices["all"] == (Decimal("0.3283685"),)


def test_what_is_no_rate_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "rates.json"
    path.write_text("not json", encoding="utf-8")

    with pytest.raises(TariffError, match=r"rates\.json: no valid JSON"):
        load_urdb(path)
    with pytest.raises(TariffError, match="item 1: expected the fields of a rate, found int"):
        load_urdb([rate(), 3])  # type: ignore[list-item]  # that is the point


def test_rates_join_a_catalogue_from_their_file(tmp_path: Path) -> None:
    path = tmp_path / "rates.json"
    path.write_text(json.dumps({"items": [rate(label="a"), rate(label="b")]}), encoding="utf-8")

    catalogue = load_catalogue([path], built_in=False)

    assert [tariff.tariff_id for tariff in catalogue.tariffs] == ["urdb_a", "urdb_b"]


def test_a_catalogue_is_not_loaded_without_the_rates_that_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "rates.json"
    path.write_text(json.dumps([rate(label="a", demandreactivepowercharge=1), rate(label="b")]), encoding="utf-8")

    with pytest.raises(
        TariffError, match=r"rates\.json: a \(General Service\): demandreactivepowercharge: a price per"
    ):
        load_catalogue([path])


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 10**12) | st.floats() | st.text(max_size=5) | st.just("$/month"),
    lambda inner: st.lists(inner, max_size=12) | st.dictionaries(st.sampled_from(["rate", "max", "unit"]), inner),
    max_leaves=12,
)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.sampled_from(sorted({*rate(), *FLAT_DEMAND, "fixedmonthlycharge", "enddate"})), JUNK))
def test_junk_is_refused_or_loaded_and_never_breaks(fields: dict[str, Any]) -> None:
    tariff, report = imported(rate() | fields)

    assert (tariff is None) == report.is_refused
    assert report.to_text()


def samples(shared_data: Path) -> list[dict[str, Any]]:
    path = shared_data / "tariffs" / "us_urdb_samples.parquet"
    return [json.loads(text) for text in pl.read_parquet(path)["urdb_json"]]


def test_public_samples_load_or_are_refused_for_a_reason(shared_data: Path) -> None:
    found = load_urdb(samples(shared_data))

    refused = Counter(finding.field.split("[")[0] for _, report in found for finding in report.refusals)
    assert sum(tariff is not None for tariff, _ in found) == 10
    assert refused == {
        "demandreactivepowercharge": 6,
        "coincidentratestructure": 1,
        "energyratestructure": 1,
        "energyweekdayschedule": 1,
    }


def test_public_samples_load_without_the_charges_that_may_be_left_out(shared_data: Path) -> None:
    rules = UrdbRules(leave_out=["demandreactivepowercharge", "coincidentratestructure"])

    found = load_urdb(samples(shared_data), rules)

    names = [report.name for tariff, report in found if tariff is None]
    assert names == ["Net Metering Tariff", "Urban General Service D28"]


def test_a_public_sample_is_billed_as_its_figures_say(shared_data: Path) -> None:
    record = next(r for r in samples(shared_data) if r["name"].startswith("GSLDT-1"))
    is_on_peak = record["demandweekdayschedule"][0]
    on_peak, off_peak = is_on_peak.index(1), is_on_peak.index(0)
    cube = january({(1, on_peak): "600", (2, off_peak): "700"})

    found = amounts(loaded(record | {"startdate": epoch(2018, 1, 1)}), cube)

    assert record["energyweekdayschedule"][0] == is_on_peak
    assert found == {
        "Energy": "76.57",  # 600 kWh at 0.03254 + 0.03905, 700 kWh at 0.01413 + 0.03389
        "Demand, demand 1": "1995.00",  # 700 kW at 0.79 + 2.06
        "Demand, demand 2": "8922.00",  # 600 kW at 12.81 + 2.06
        "Fixed charge": "88.67",
    }
