"""What a tariff cannot say precisely is refused with the path of the field."""

import copy
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from ml.errors import TariffError
from ml.tariffs.schema import Bounds, Tariff, load_tariff
from tests.unit.ml.tariffs.strategies import tariffs

RECORD: dict[str, Any] = {
    "tariff_id": "t",
    "version": "1",
    "name": "T",
    "valid_from": "2024-01-01",
    "currency": "CNY",
    "verified": True,
    "calendar": {"schedules": [{"periods": {"peak": ["08:00-20:00"]}, "otherwise": "valley"}]},
    "components": [
        {"kind": "energy", "name": "Blocks", "tiers": {"basis": "year", "limits_kwh": [2520, 4800]},
         "tables": [{"prices": {"all": [0.5469, 0.5969, 0.8469]}}]},
        {"kind": "energy", "name": "Adder", "tables": [{"prices": {"peak": 0.03, "valley": -0.17}}]},
        {"kind": "demand", "name": "Demand", "periods": ["peak"], "tables": [{"price": 35.2}]},
        {"kind": "minimum", "name": "Minimum", "covers": ["Blocks"], "tables": [{"price": 5}]},
    ],
}  # fmt: skip


def changed(path: str, value: Any) -> dict[str, Any]:
    record = copy.deepcopy(RECORD)
    target: Any = record
    *parents, last = [int(key) if key.isdigit() else key for key in path.split(".")]
    for key in parents:
        target = target[key]
    target[last] = value
    return record


def test_decimals_are_those_that_were_written() -> None:
    tariff = load_tariff(json.dumps(RECORD))

    assert tariff.components[0].tables[0].prices["all"] == (Decimal("0.5469"), Decimal("0.5969"), Decimal("0.8469"))
    assert tariff.is_verified
    assert not tariff.requires_intervals


@settings(max_examples=25, deadline=None)
@given(tariffs())
def test_json_round_trip_keeps_a_tariff(tariff: Tariff) -> None:
    assert load_tariff(tariff.to_json()) == tariff


def test_yaml_text_file_and_mapping_mean_the_same(tmp_path: Path) -> None:
    text = "\n".join(f"{key}: {json.dumps(value)}" for key, value in RECORD.items())
    (tmp_path / "t.yaml").write_text(text, encoding="utf-8")

    assert load_tariff(text) == load_tariff(tmp_path / "t.yaml") == load_tariff(RECORD)


SERIES = {"starts_at": "2025-01-01T00:00:00Z", "interval_minutes": 30, "values": [0.12, -0.03]}
TABLES = "components.0.tables"


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("colour", "red", "t: colour: unknown field"),
        ("components.0.unit", "kWh", "components[0].unit: unknown field"),
        ("components.0.kind", "ratchet", "components[0].kind: `ratchet` is not one of band_energy"),
        ("components.0.tiers.basis", "week", "components[0].tiers.basis: must be 'month', 'year', 'day'"),
        ("components.0.tiers.limits_kwh", [4800, 2520],
         "components[0].tiers.limits_kwh[1]: must be larger than 4800, found 2520"),
        (f"{TABLES}.0.prices.all", [0.5, 0.6], "components[0].tables[0].prices.all: 2 prices for 3 tiers"),
        (f"{TABLES}.0.prices.all", "0.123456789", "components[0].tables[0].prices.all[0]: must have no more"),
        (f"{TABLES}.0.prices.all", "NaN", "components[0].tables[0].prices.all[0]: must be a finite number"),
        (f"{TABLES}.0.prices", {"peak": 1, "valley": 1}, "components[0].tables[0].prices: one ladder for"),
        (f"{TABLES}.0.prices", {"all": 1, "peak": 1}, "components[0].tables[0].prices: `all` stands for every period"),
        ("components.1.tables.0.prices", {"peak": 1}, "components[1].tables[0].prices: no price for period `valley`"),
        ("components.1.tables.0.prices", {"peak": 1, "valley": 1, "flat": 1},
         "components[1].tables[0].prices: `flat` is not a period of the calendar (peak, valley)"),
        (f"{TABLES}.0.valid_from", "2024-02-01", "components[0].tables: no price for 2024-01"),
        (f"{TABLES}.0.valid_from", "2024-01-15", "components[0].tables: no price for 2024-01"),
        (f"{TABLES}.0.valid_to", "2024-02-28", "components[0].tables: no price for 2024-02-29"),
        ("components.2.tables", [{"price": 1}, {"price": 2, "months": [6]}],
         "components[2].tables[1]: prices 2024-06, as tables[0] does"),
        ("components.2.tables", [{"price": 1, "months": [1]}], "components[2].tables: no price for 2024-02"),
        ("components.2.periods", ["night"], "components[2].periods: `night` is not a period"),
        ("components.2.name", "Adder", "components[2].name: `Adder` is used twice"),
        ("components.3.covers", ["Demands"], "components[3].covers: no component named `Demands` stands before it"),
        (f"{TABLES}.0.limits_kwh", [500, 400],
         "components[0].tables[0].limits_kwh[1]: must be larger than 500, found 400"),
        (f"{TABLES}.0.limits_kwh", [500], "components[0].tables[0].prices.all: 3 prices for 2 tiers"),
        ("components.1.tables.0.limits_kwh", [5], "components[1].tables[0].limits_kwh: the component has no tiers"),
        ("components.0.tiers", {"basis": "month"}, "components[0].tiers.limits_kwh: give either limits_kwh or"),
        ("components.0.tiers.limits_kwh_by_period", {"peak": [1]}, "components[0].tiers.limits_kwh: give either"),
        ("components.0.tiers", {"basis": "month", "limits_kwh_by_period": {"peak": [3, 2]}},
         "components[0].tiers.limits_kwh_by_period.peak[1]: must be larger than 3, found 2"),
        ("components.0.tiers", {"basis": "month", "limits_kwh_by_period": {"all": [3, 4]}},
         "components[0].tiers.limits_kwh_by_period: needs `allocation: ladder_per_period`"),
        ("components.0.tiers", {"basis": "day", "limits_kwh": [3, 4], "allocation": "prorata"},
         "components[0].tiers.allocation: `prorata` splits the kWh of a month"),
        ("components.2.ratchet", {"percent": 101}, "components[2].ratchet.percent: must be less than or equal"),
        ("components.2.ratchet", {"percent": 50, "periods": ["night"]},
         "components[2].ratchet.periods: `night` is not"),
        ("components.2.interval_minutes", 20, "components[2].interval_minutes: must be 15, 30 or 60, found 20"),
        ("components.2.tables", [{"prices": [1, 2]}], "components[2].tables[0].limits_kw: 2 prices need 1 limits"),
        ("components.2.tables", [{"price": 1, "prices": [1]}], "components[2].tables[0].price: give either price"),
        ("components.2.kind", "coincident_demand", "components[2].kind: `coincident_demand` is not priced: demand at"),
        ("components.3", {"kind": "fixed", "name": "F", "per": "day", "charged_in_month": 2, "tables": [{"price": 1}]},
         "components[3].charged_in_month: applies to a price per year, not per day"),
        ("components.3", {"kind": "power_factor", "name": "PF", "base": ["Blocks"]},
         "components[3].standard: give either standard or table"),
        ("components.3", {"kind": "power_factor", "name": "PF", "base": ["Blocks"], "standard": 0.95},
         "components[3].standard: 0.95 is not one of 0.90, 0.85, 0.80"),
        ("components.3", {"kind": "power_factor", "name": "PF", "base": ["Blocks"],
                          "table": [{"at_least": 0.9, "percent": 0}]},
         "components[3].table[0].at_least: the last step must start at 0"),
        ("components.3", {"kind": "percentage", "name": "Tax", "base": ["Funds"], "tables": [{"percent": 5}]},
         "components[3].base: no component named `Funds` stands before it"),
        ("components.3", {"kind": "export", "name": "E", "rule": "net_billing",
                          "tables": [{"prices": {"all": [1, 2]}}]},
         "components[3].tables[0].prices.all: 2 prices; exported energy has no tiers"),
        ("components.3", {"kind": "band_energy", "name": "B", "factors": {"peak": 2},
                          "tables": [{"fixed": 1, "floating": 1}]},
         "components[3].factors: no price for period `valley`"),
        ("components.3", {"kind": "energy_series", "name": "S", "series": "s", "cover_share": 0.5},
         "components[3].cover_share: a cover needs both"),
        ("net_metering", {"carry_over": "forfeit", "expires_in_month": 4}, "net_metering.expires_in_month: nothing is"),
        ("proration", "by_hours", "proration: must be 'by_days' or 'none'"),
        ("components", [], "components: must have at least 1 item"),
        ("currency", "yuan", "currency: must match pattern"),
        ("verified", False, "unverified: say what is not verified"),
        ("unverified", ["x"], "unverified: a verified tariff has nothing unverified"),
        ("valid_to", "2023-12-31", "valid_to: 2023-12-31 is before valid_from 2024-01-01"),
        ("calendar.schedules.0.otherwise", None, "calendar.schedules[0].periods: no period at 00:00"),
        ("eligibility", {"capacity_kva": {}}, "eligibility.capacity_kva: give at least one"),
        ("eligibility", {"customer_classes": ["domestic"]}, "eligibility.customer_classes[0]: must be"),
    ],
)  # fmt: skip
def test_refusals_name_the_field(path: str, value: Any, message: str) -> None:
    with pytest.raises(TariffError) as caught:
        load_tariff(changed(path, value))

    assert message in str(caught.value)


def test_every_problem_is_reported_at_once() -> None:
    record = changed("currency", "yuan")
    record["components"][0]["tiers"]["basis"] = "week"

    with pytest.raises(TariffError) as caught:
        load_tariff(record)

    assert len(str(caught.value).splitlines()) == 2


def test_a_gap_of_days_inside_a_month_is_named() -> None:
    tables = [{"price": 1, "valid_to": "2024-05-09"}, {"price": 2, "valid_from": "2024-05-11"}]

    with pytest.raises(TariffError, match=r"components\[2\].tables: no price for 2024-05-10"):
        load_tariff(changed("components.2.tables", tables))


def test_exported_energy_is_netted_or_sold_but_not_both() -> None:
    sold = {"kind": "export", "name": "E", "rule": "net_billing", "tables": [{"prices": {"all": 1}}]}
    record = RECORD | {"net_metering": {"carry_over": "forfeit"}, "components": [*RECORD["components"], sold]}

    with pytest.raises(TariffError, match=r"components\[4\].kind: exported energy is either netted"):
        load_tariff(record)


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        ("components.2.interval_minutes", 30, "components[2] (Demand): demand is measured over 30 minutes"),
        ("components.0.tiers.basis", "day", "components[0] (Blocks): tiers count every day"),
        ("components.2.tables", [{"price": 1, "valid_to": "2024-05-09"}, {"price": 2, "valid_from": "2024-05-10"}],
         "components[2] (Demand): a price changes on 2024-05-10, inside a month"),
    ],
)  # fmt: skip
def test_the_route_is_chosen_with_its_reason(path: str, value: Any, reason: str) -> None:
    route = load_tariff(changed(path, value)).route

    assert route.kind == "intervals"
    assert route.reason.startswith(reason)
    assert load_tariff(RECORD).route.kind == "cube"


def test_a_copy_with_other_components_has_a_route_of_its_own() -> None:
    tariff = load_tariff(RECORD)
    changing = load_tariff(changed("components.0.tiers.basis", "day"))

    assert tariff.route.kind == "cube"
    assert tariff.model_copy(update={"components": changing.components}).route.kind == "intervals"


def test_a_factor_that_would_lose_decimals_is_refused() -> None:
    component = {"kind": "contracted_demand", "name": "C", "excess_multiplier": "1.3333", "tables": [{"price": 1}],
                 "discount": {"factor": "0.3333"}}  # fmt: skip

    with pytest.raises(TariffError, match=r"components\[0\].discount.factor: times excess_multiplier it is 0.44438889"):
        load_tariff(changed("components", [component]))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"bands": {"High": 1}, "cap": 2},
            "components[0].bands: multiplier, adder, cap and floor apply to a series of prices",
        ),
        ({"cap": 1, "floor": 2}, "components[0].cap: 1 is below the floor 2"),
        ({"bands": {"High": 1}, "values": SERIES | {"values": ["High", "Low"]}}, "`Low` is not one of the bands High"),
        ({"values": SERIES | {"values": ["High"]}}, "components[0].values.values: `High` is not a price"),
        (
            {"values": SERIES | {"starts_at": "2025-01-01T00:00:00"}},
            "components[0].values.starts_at: must have",
        ),
    ],
)
def test_contradicting_price_formulas_are_refused(fields: dict[str, Any], message: str) -> None:
    component = {"kind": "energy_series", "name": "Spot", "series": "spot"} | fields

    with pytest.raises(TariffError) as caught:
        load_tariff(changed("components", [component]))

    assert message in str(caught.value)


@pytest.mark.parametrize("text", ["{not json", "a: [1", "- a\n- b", "just words"])
def test_what_is_no_tariff_document_is_refused(text: str) -> None:
    with pytest.raises(TariffError):
        load_tariff(text)


def test_a_file_that_is_not_text_is_named(tmp_path: Path) -> None:
    path = tmp_path / "binary.yaml"
    path.write_bytes(b"\xff\xfe\x00\x01")

    with pytest.raises(TariffError, match=r"binary\.yaml: cannot be read as UTF-8 text"):
        load_tariff(path)
    with pytest.raises(TariffError, match=r"absent\.yaml: cannot be read"):
        load_tariff(tmp_path / "absent.yaml")


def test_bounds_include_what_they_say() -> None:
    between = Bounds(gt=Decimal(100), le=Decimal(315))

    assert [between.contains(value) for value in (100, 100.1, 315, 315.1)] == [False, True, True, False]
    assert str(between) == "above 100 and up to 315"


def test_empty_bounds_are_refused() -> None:
    with pytest.raises(ValueError, match="no number is above 5 and below 3"):
        Bounds(gt=Decimal(5), lt=Decimal(3))
