"""The portrait's sections are those of the mart, in its words."""

import json
import os
from pathlib import Path
from typing import Any

import yaml

from ml.columns import by_name
from ml.credit_risk.schema import FEATURES
from serving.portrait_schema import PORTRAIT_FILE, CustomerPortrait, mart_columns, portrait_parts, portrait_sections

MANIFEST = Path(__file__).resolve().parents[3] / "dbt_project" / "target" / "manifest.json"

TYPES = {"varchar": "text", "double": "number", "integer": "integer", "boolean": "boolean", "date": "date"}
NOT_SHOWN = ("customer_key", "as_of_month", "currency")
ABOUT = ("_as_of_date", "_source", "_confidence")


def section_of_mart(name: str, columns: list[dict[str, Any]]) -> dict[str, Any]:
    about = {f"{name}{suffix}" for suffix in ABOUT}
    (dated,) = [column for column in columns if column["name"] == f"{name}_as_of_date"]
    title, has_title, _ = dated["description"].partition(":")
    return {
        "name": name,
        "title": title if has_title else name.capitalize(),
        "title_zh": dated["meta"]["label_zh"].removesuffix("日期").removesuffix("截止"),
        "columns": [
            {
                "name": column["name"],
                "type": TYPES.get(column["data_type"], "number"),
                "unit": column["meta"].get("unit", ""),
                "description": column["description"],
                "description_zh": column["meta"]["description_zh"],
            }
            for column in columns
            if column["name"] not in about
        ],
    }


def sections_of_mart() -> list[dict[str, Any]]:
    manifest = json.loads(MANIFEST.read_text(encoding="utf-8"))
    by_section: dict[str, list[dict[str, Any]]] = {}
    for column in manifest["nodes"]["model.kilowise.customer_portrait"]["columns"].values():
        if column["name"] not in NOT_SHOWN:
            by_section.setdefault(column["meta"]["section"], []).append(column)
    return [section_of_mart(name, columns) for name, columns in by_section.items()]


def test_the_sections_are_those_of_the_mart() -> None:
    expected = {"sections": sections_of_mart()}
    if os.environ.get("KILOWISE_UPDATE_SNAPSHOTS"):
        text = yaml.safe_dump(expected, allow_unicode=True, sort_keys=False, width=120)
        header = "# What a customer's portrait says, taken from the mart customer_portrait; see portrait_schema.py.\n"
        PORTRAIT_FILE.write_text(header + text, encoding="utf-8")

    assert yaml.safe_load(PORTRAIT_FILE.read_text(encoding="utf-8")) == expected


def test_a_key_sees_what_its_scopes_allow() -> None:
    row = dict.fromkeys(mart_columns())

    parts = portrait_parts(row, frozenset({"tariff_matching"}))

    assert "advice" in parts["sections"]
    assert not {"rating", "payment", "segmentation", "leaving"} & set(parts["sections"])
    assert {"section": "rating", "scope": "credit_risk"} in parts["withheld"]
    assert len(parts["sections"]) + len(parts["withheld"]) == len(portrait_sections())


def test_a_code_is_told_in_both_languages_and_the_answer_fits_its_model() -> None:
    row = {
        **dict.fromkeys(mart_columns()),
        **{f"{section.name}_confidence": "none" for section in portrait_sections()},
        "currency": "CNY",
        "rating_reason_1_code": "late_bills_12m_count",
    }

    parts = portrait_parts(row, frozenset({"segmentation", "tariff_matching", "credit_risk"}))

    rating = parts["sections"]["rating"]
    assert rating["rating_reason_1_text"] == by_name(FEATURES)["late_bills_12m_count"].description
    assert rating["rating_reason_1_text_zh"]
    CustomerPortrait.model_validate({**parts, "request_id": "r", "customer_id": "C1", "portrait_version": "v"})
