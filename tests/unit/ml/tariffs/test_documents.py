"""A tariff written as YAML is the same tariff when it is read, and the JSON Schema says what the model says."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import jsonschema
import polars as pl
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ml.tariffs import catalogue
from ml.tariffs.catalogue import load_catalogue
from ml.tariffs.documents import tariff_json_schema, tariff_json_schema_text, tariff_to_yaml
from ml.tariffs.schema import Tariff, load_tariff
from ml.tariffs.urdb import load_urdb
from tests.unit.ml.tariffs.random_tariffs import ALL_KINDS, INTERVAL_KINDS, random_tariffs
from tests.unit.ml.tariffs.strategies import decimals

ROOT = Path(__file__).parents[4]
NETTED_KINDS = ALL_KINDS - INTERVAL_KINDS
EVERY_KIND: dict[str, Any] = {
    "tariff_id": "every-kind",
    "version": "1",
    "name": "Every kind: \"quoted\", 'single' & #no comment",
    "name_zh": "各类收费",
    "valid_from": "2024-01-01",
    "currency": "CNY",
    "verified": True,
    "eligibility": {"customer_classes": ["industrial"], "capacity_kva": {"gt": "100.5", "le": 315}},
    "calendar": {"schedules": [{"periods": {"peak": ["08:00-20:00"]}, "otherwise": "valley"}]},
    "rounding": {"scope": "total", "decimals": 3},
    "proration": "none",
    "components": [
        {"kind": "energy", "name": "Energy", "tiers": {"basis": "month", "limits_kwh_by_period": {"peak": [10.5]},
         "allocation": "ladder_per_period"}, "tables": [{"prices": {"peak": ["0.12345678", 2], "valley": "-0.1"}}]},
        {"kind": "band_energy", "name": "Bands", "factors": {"peak": 1.7, "valley": "0.30"},
         "tables": [{"valid_to": "2024-06-30", "fixed": 0.1, "floating": 0.5},
                    {"valid_from": "2024-07-01", "fixed": "1234567890123.12345678", "floating": 0.5}]},
        {"kind": "energy_series", "name": "Spot", "series": "spot", "multiplier": 2.2, "cap": 1,
         "values": {"starts_at": "2025-01-01T00:00:00+08:00", "interval_minutes": 30, "values": ["0.10", "-3"]}},
        {"kind": "demand", "name": "Demand", "billing_basis": "actual_demand", "interval_minutes": 15,
         "ratchet": {"percent": 80, "months": [6, 7], "floor_kw": 5}, "discount": {},
         "tables": [{"prices": [0, 12.5], "limits_kw": [20]}]},
        {"kind": "contracted_demand", "name": "Contract", "billing_basis": "contracted_demand",
         "tables": [{"price": 38.4}]},
        {"kind": "capacity", "name": "Capacity", "billing_basis": "capacity", "tables": [{"price": 24}]},
        {"kind": "fixed", "name": "Fixed", "per": "year", "charged_in_month": 4, "tables": [{"price": -12}]},
        {"kind": "minimum", "name": "Minimum", "per": "day", "covers": ["Energy"], "tables": [{"price": 1}]},
        {"kind": "power_factor", "name": "Standard", "standard": "0.90", "base": ["Energy"]},
        {"kind": "power_factor", "name": "Own table", "base": ["Energy", "Bands"],
         "table": [{"at_least": 0.9, "percent": -1}, {"at_least": 0, "percent": 5}]},
        {"kind": "percentage", "name": "Tax", "base": ["Fixed"], "tables": [{"percent": 13}]},
        {"kind": "export", "name": "Sold", "rule": "net_billing", "tables": [{"prices": {"all": 0.3}}]},
    ],
    "notes": ["yes", "1.0", "2024-01-01", "null", "- dash", "a\nb", "\x85", "long words " * 20],
}  # fmt: skip


class _EditorLoader(yaml.SafeLoader):
    """Reads YAML as JSON Schema validators and editors do, for which a date is a text."""


_EditorLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}

VALIDATOR = jsonschema.Draft7Validator(tariff_json_schema())


def problems(text: str) -> list[str]:
    found = VALIDATOR.iter_errors(yaml.load(text, Loader=_EditorLoader))
    return [error.message for error in found]


def test_every_kind_of_component_survives_and_fits_the_schema() -> None:
    tariff = load_tariff(EVERY_KIND)
    text = tariff_to_yaml(tariff)

    assert {component.kind for component in tariff.components} == kinds_of_the_model()
    assert load_tariff(text) == tariff
    assert problems(text) == []


def kinds_of_the_model() -> set[str]:
    component = tariff_json_schema()["$defs"]["Tariff"]["properties"]["components"]["items"]
    return set(component["discriminator"]["mapping"])


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.one_of(random_tariffs(inside_months=True), random_tariffs(kinds=NETTED_KINDS, net_metering=True)))
def test_any_tariff_survives_and_fits_the_schema(tariff: Tariff) -> None:
    text = tariff_to_yaml(tariff)

    assert load_tariff(text) == tariff
    assert problems(text) == []


@settings(max_examples=50, deadline=None)
@given(
    name=st.text(min_size=1, max_size=100),
    price=decimals("-99999999999", "99999999999", 8),
    note=st.text(max_size=200),
)
def test_any_text_and_any_price_survive(name: str, price: Decimal, note: str) -> None:
    component = {"kind": "fixed", "name": name, "per": "month", "tables": [{"price": price}]}
    tariff = load_tariff(EVERY_KIND | {"name": name, "notes": [note], "components": [component]})

    again = load_tariff(tariff_to_yaml(tariff))

    assert again == tariff
    assert again.components[0].tables[0].price == price


def test_a_price_is_a_number_unless_a_float_would_change_it() -> None:
    text = tariff_to_yaml(load_tariff(EVERY_KIND))

    assert "peak: [0.12345678, 2]" in text
    assert "valley: -0.1\n" in text
    assert "fixed: '1234567890123.12345678'" in text


def test_the_built_in_catalogue_survives_and_its_files_fit_the_schema() -> None:
    for tariff in load_catalogue().tariffs:
        assert load_tariff(tariff_to_yaml(tariff)) == tariff
    for path in sorted(Path(catalogue.__file__).parent.glob("*.yaml")):
        assert problems(path.read_text(encoding="utf-8")) == []


def test_rates_of_the_us_database_survive_and_fit_the_schema(shared_data: Path) -> None:
    records = pl.read_parquet(shared_data / "tariffs" / "us_urdb_samples.parquet")["urdb_json"]
    found = [tariff for record in records for tariff, _ in load_urdb(record) if tariff is not None]

    assert found
    for tariff in found:
        text = tariff_to_yaml(tariff)
        assert load_tariff(text) == tariff
        assert problems(text) == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("colour", "red"),
        ("currency", "yuan"),
        ("valid_from", 2024),
        ("components.0.kind", "ratchet"),
        ("components.0.tiers.basis", "week"),
        ("components.0.tables.0.prices.peak", "dear"),
        ("components.0.tables.0.months", [13]),
        ("components.3.tables.0.limits_kw", [0]),
        ("calendar.schedules.0.day_types", ["sunday"]),
    ],
)
def test_the_schema_refuses_what_the_model_refuses(path: str, value: Any) -> None:
    record = yaml.load(tariff_to_yaml(load_tariff(EVERY_KIND)), Loader=_EditorLoader)
    target: Any = record
    *parents, last = [int(key) if key.isdigit() else key for key in path.split(".")]
    for key in parents:
        target = target[key]
    target[last] = value

    assert list(VALIDATOR.iter_errors(record))
    assert list(VALIDATOR.iter_errors({"tariffs": [record]}))


def test_the_file_in_the_docs_is_the_schema_of_the_model() -> None:
    written = (ROOT / "docs" / "tariff.schema.json").read_text(encoding="utf-8")

    assert written == tariff_json_schema_text(), "write it anew: python -m ml.tariffs schema > docs/tariff.schema.json"


def test_every_field_is_described_and_every_example_is_valid() -> None:
    schema = tariff_json_schema()

    jsonschema.Draft7Validator.check_schema(schema)
    for name, definition in schema["$defs"].items():
        assert definition["description"], name
        for field, rule in definition["properties"].items():
            assert rule["description"], f"{name}.{field}"
            for example in rule.get("examples", ()):
                jsonschema.Draft7Validator(rule | {"$defs": schema["$defs"]}).validate(example)
