"""The data dictionary: every column of every mart in both languages, and what dbt knows of it."""

import json
from pathlib import Path
from typing import Any

import pytest

from monitoring.data_dictionary import LINEAGE, MANIFEST, DataDictionary, data_dictionary, read_data_dictionary
from orchestration.dbt import dbt_project
from orchestration.marts import MARTS, MARTS_AFTER_MODELS

SECTION_COLUMNS = ("as_of_date", "source", "confidence")


@pytest.fixture(scope="module")
def manifest() -> dict[str, Any]:
    return json.loads(dbt_project.manifest_path.read_bytes())


@pytest.fixture(scope="module")
def dictionary(manifest: dict[str, Any]) -> DataDictionary:
    lineage = {
        "model.kilowise.customer_portrait": {
            "columns": {"annual_kwh": [["marts", "customer_portrait_history", "annual_kwh"]]}
        },
        "model.kilowise.customer_portrait_history": {
            "columns": {"annual_kwh": [["intermediate", "int_as_of_load", "annual_kwh"]]}
        },
    }
    return data_dictionary(manifest, lineage)


def test_every_published_mart_is_in_it_the_portrait_first(dictionary: DataDictionary) -> None:
    assert {mart.name for mart in dictionary.marts} == {*MARTS, *MARTS_AFTER_MODELS}
    assert [mart.name for mart in dictionary.marts[:2]] == ["customer_portrait", "customer_portrait_history"]


def _is_chinese(text: str) -> bool:
    return any("\u4e00" <= sign <= "\u9fff" for sign in text)


def test_every_mart_and_column_is_told_in_both_languages(dictionary: DataDictionary) -> None:
    told = [(mart.name, mart.meaning) for mart in dictionary.marts]
    told += [(f"{mart.name}.{entry.name}", entry.meaning) for mart in dictionary.marts for entry in mart.entries]

    assert [name for name, meaning in told if not (meaning.en and _is_chinese(meaning.zh))] == []


def test_every_column_of_the_portrait_has_a_short_chinese_name(dictionary: DataDictionary) -> None:
    portraits = dictionary.marts[:2]

    assert [entry.name for mart in portraits for entry in mart.entries if not _is_chinese(entry.label_zh)] == []


def test_every_section_of_the_portrait_has_date_source_and_confidence(dictionary: DataDictionary) -> None:
    entries = dictionary.marts[0].entries
    names = {entry.name for entry in entries}

    sections = {entry.section for entry in entries}

    assert len(sections) >= 17
    assert [f"{s}_{c}" for s in sections for c in SECTION_COLUMNS if f"{s}_{c}" not in names] == []


def test_unit_source_test_and_owner_are_told(dictionary: DataDictionary) -> None:
    portrait = dictionary.marts[0]
    entries = {entry.name: entry for entry in portrait.entries}

    assert portrait.owner == "customer-service"
    assert "unique: customer_key" in portrait.tests
    assert entries["annual_kwh"].unit == "kWh"
    assert entries["annual_kwh"].sources == ("int_as_of_load.annual_kwh",)
    assert entries["unpaid_amount"].tests == ("≥ 0",)
    assert entries["customer_class"].tests == ("residential | commercial | industrial | agricultural",)
    assert entries["customer_key"].is_required


def test_features_have_the_chinese_text_of_the_feature_matrix(dictionary: DataDictionary) -> None:
    [mart] = [mart for mart in dictionary.marts if mart.name == "customer_credit_features"]

    assert next(entry for entry in mart.entries if entry.name == "tenure_months").meaning.zh == "立户月数"


def test_there_is_none_before_the_first_run(tmp_path: Path, manifest: dict[str, Any]) -> None:
    assert read_data_dictionary(tmp_path) is None

    (tmp_path / MANIFEST).parent.mkdir(parents=True)
    (tmp_path / MANIFEST).write_text(json.dumps(manifest))
    assert read_data_dictionary(tmp_path) == data_dictionary(manifest, {})

    (tmp_path / LINEAGE).write_text("{}")
    assert read_data_dictionary(tmp_path) == data_dictionary(manifest, {})
