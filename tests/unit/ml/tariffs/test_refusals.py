"""A refusal says file, tariff, path, what was found and what was expected, for every problem at once."""

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from ml.errors import TariffError
from ml.tariffs.catalogue import load_catalogue
from ml.tariffs.schema import load_tariff
from ml.tariffs.urdb import load_urdb

RECORD: dict[str, Any] = {
    "tariff_id": "t",
    "version": "1",
    "name": "T",
    "valid_from": "2024-01-01",
    "currency": "CNY",
    "verified": True,
    "components": [
        {"kind": "fixed", "name": "Standing", "per": "month", "tables": [{"price": 1}]},
        {"kind": "energy", "name": "Blocks", "tiers": {"basis": "month", "limits_kwh": [200, 400]},
         "tables": [{"prices": {"all": [0.5, 0.6, 0.8]}}]},
    ],
}  # fmt: skip


def refusal(change: Any) -> str:
    record = copy.deepcopy(RECORD)
    change(record)
    with pytest.raises(TariffError) as caught:
        load_tariff(record)
    return str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.update(validfrom="2024-01-01"), "t: validfrom: unknown field; did you mean `valid_from`?"),
        (lambda t: t["components"][1].update(tier={}), "t: components[1].tier: unknown field; did you mean `tiers`?"),
        (lambda t: t["components"][1]["tiers"].update(limit_kwh=[1]),
         "t: components[1].tiers.limit_kwh: unknown field; did you mean `limits_kwh`?"),
        (lambda t: t["components"][1]["tables"][0].update(price=1),
         "t: components[1].tables[0].price: unknown field; did you mean `prices`?"),
        (lambda t: t.update(eligibility={"capacity_kva": {"gte": 1}}), "t: eligibility.capacity_kva.gte: unknown"),
        (lambda t: t["components"][0].update(colour="red"),
         "t: components[0].colour: unknown field; known here are name, name_zh, billing_basis, kind, per"),
        (lambda t: t.pop("currency"), "t: currency: missing"),
        (lambda t: t.pop("tariff_id"), "tariff: tariff_id: missing"),
        (lambda t: t["components"][0].pop("kind"), "t: components[0].kind: missing; choose one of band_energy"),
        (lambda t: t["components"][0].update(kind="standing"), "t: components[0].kind: `standing` is not one of"),
        (lambda t: t["components"][1]["tiers"].update(limits_kwh=[200, 400, 300]),
         "t: components[1].tiers.limits_kwh[2]: must be larger than 400, found 300"),
        (lambda t: t["components"][1]["tiers"].update(limits_kwh=[-1, 400]),
         "t: components[1].tiers.limits_kwh[0]: must be greater than 0, found -1"),
        (lambda t: t["components"][0].update(per="week"),
         "t: components[0].per: must be 'month', 'day', 'mean_day' or 'year', found `week`"),
        (lambda t: t.update(valid_to="soon" * 40), "t: valid_to: must be a valid date or datetime"),
    ],
)  # fmt: skip
def test_the_path_what_was_found_and_what_was_expected(change: Any, message: str) -> None:
    assert message in refusal(change)


def test_rules_between_fields_are_checked_in_every_component() -> None:
    def change(tariff: dict[str, Any]) -> None:
        tariff["components"][0]["tables"] = [{"price": 1, "months": [1]}]
        tariff["components"][1]["tables"][0]["prices"] = {"all": [0.5, 0.6]}

    assert refusal(change).splitlines() == [
        "t: components[0].tables: no price for 2024-02",
        "t: components[1].tables[0].prices.all: 2 prices for 3 tiers",
    ]


def test_a_long_value_is_shown_in_part() -> None:
    message = refusal(lambda tariff: tariff.update(currency="yuan" * 100))

    assert message.endswith("…")
    assert len(message) < 150


def test_all_problems_of_all_tariffs_of_a_file_name_file_and_tariff(tmp_path: Path) -> None:
    first = RECORD | {"tariff_id": "a", "currency": "yuan", "colour": 1}
    second = RECORD | {"tariff_id": "b", "valid_from": "never"}
    third = {name: value for name, value in RECORD.items() if name != "tariff_id"}
    path = tmp_path / "ours.yaml"
    path.write_text(yaml.safe_dump({"tariffs": [first, RECORD, second, third]}), encoding="utf-8")

    with pytest.raises(TariffError) as caught:
        load_catalogue([path])

    assert [line.split(": ")[:3] for line in str(caught.value).splitlines()] == [
        ["ours.yaml", "a", "currency"],
        ["ours.yaml", "a", "colour"],
        ["ours.yaml", "b", "valid_from"],
        ["ours.yaml", "item 3", "tariff"],
    ]


def test_a_file_with_one_tariff_is_named_too(tmp_path: Path) -> None:
    path = tmp_path / "one.yaml"
    path.write_text(yaml.safe_dump(RECORD | {"currency": "yuan"}), encoding="utf-8")

    with pytest.raises(TariffError, match=r"^one\.yaml: t: currency: must match pattern"):
        load_tariff(path)
    path.write_text("- 1\n- 2\n", encoding="utf-8")
    with pytest.raises(TariffError, match=r"^one\.yaml: expected a mapping of fields, found list"):
        load_tariff(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("currency: CNY\nname: T\ncurrency: EUR\n", r"^tariff: line 3: `currency` stands twice; keep one of them$"),
        ("name: T\nrounding: {scope: line, scope: total}\n", r"^tariff: line 2: `scope` stands twice"),
        ('{"currency": "CNY", "currency": "EUR"}', r"^tariff: `currency` stands twice; keep one of them$"),
        ("", "^tariff: expected a mapping of fields, found nothing$"),
        ("sd_res_tier", "^tariff: expected a mapping of fields, found `sd_res_tier`$"),
    ],
)
def test_a_text_of_which_a_parser_would_keep_a_part_only_is_refused(text: str, message: str) -> None:
    with pytest.raises(TariffError, match=message):
        load_tariff(text)


def test_a_field_of_a_rate_that_stands_twice_is_refused() -> None:
    with pytest.raises(TariffError, match="`label` stands twice"):
        load_urdb('[{"label": "a", "label": "b"}]')
