"""The SQL of the features is taken from what dbt ran, once for each version of it."""

import json
from pathlib import Path
from typing import Any

import duckdb
import pytest

from orchestration.feature_definitions import (
    DEFINITIONS_FILE,
    feature_definitions,
    read_feature_definitions,
    write_feature_definitions,
)
from orchestration.forms.warehouse import CompiledProject
from orchestration.settings import PlatformSettings
from orchestration.use_cases import USE_CASES

(CREDIT_RISK,) = [use_case for use_case in USE_CASES if use_case.name == "credit_risk"]


def node(name: str, schema: str, code: str | None, *parents: str, **config: Any) -> dict[str, Any]:
    return {
        "name": name,
        "schema": schema,
        "resource_type": "model",
        "relation_name": f'"kilowise"."{schema}"."{name}"',
        "compiled_code": code,
        "config": {"materialized": "table", **config},
        "depends_on": {"nodes": list(parents)},
    }


def manifest_of(*, code: str | None = "select 1 as late_bills_12m_count") -> dict[str, Any]:
    return {
        "sources": {"source.bills": {"name": "bills", "relation_name": "read_parquet('/landing/*/bills')"}},
        "nodes": {
            "stg": node(
                "stg_billing__bills", "staging", "select * from read_parquet('/landing/*/bills')", "source.bills",
                materialized="view",
            ),
            "months": node("int_as_of_months", "intermediate", None, "stg"),
            "load": node(
                "int_monthly_load_versions", "intermediate",
                'select * from "kilowise"."staging"."stg_billing__bills" where month_number in (__batch_months__)',
                "stg", materialized="monthly_batches", months_from="int_reading_months",
            ),
            "mart": node("customer_credit_features", "marts", code, "months", "load"),
        },
    }  # fmt: skip


@pytest.fixture
def settings(tmp_path: Path) -> PlatformSettings:
    settings = PlatformSettings(home=tmp_path, time_zone="Europe/Berlin", _env_file=None)  # type: ignore[call-arg]  # pydantic-settings
    settings.warehouse_path.parent.mkdir(parents=True)
    settings.marts_dir.mkdir()
    with duckdb.connect(str(settings.warehouse_path)) as connection:
        connection.execute(
            "create schema intermediate; create table intermediate.int_as_of_months (as_of_month date); "
            "create table intermediate.int_parallel_meter_customers as select 'c' as customer_key"
        )
    return settings


def compiled(settings: PlatformSettings, **manifest: str | None) -> CompiledProject:
    path = settings.home / "manifest.json"
    path.write_text(json.dumps(manifest_of(**manifest)))
    return CompiledProject(path, settings.warehouse_path)


def test_statements_read_tables_instead_of_files_and_all_months_at_once(settings: PlatformSettings) -> None:
    with duckdb.connect(str(settings.warehouse_path), read_only=True) as connection:
        definitions = feature_definitions(CREDIT_RISK, manifest_of(), connection, settings)

    assert [(step.name, step.kind) for step in definitions.steps] == [
        ("stg_billing__bills", "view"),
        ("int_monthly_load_versions", "table"),
        ("customer_credit_features", "table"),
    ]
    assert definitions.steps[0].sql == 'select * from "landing"."bills"'
    assert definitions.steps[1].sql == (
        'select * from "staging"."stg_billing__bills" '
        'where month_number in (select month_number from "intermediate"."int_reading_months")'
    )
    assert (definitions.time_zone, definitions.adds_up_parallel_meters) == ("Europe/Berlin", True)
    assert [column.name for column in definitions.as_of_months] == ["as_of_month"]


def test_what_is_written_is_read_and_kept_while_nothing_changes(settings: PlatformSettings) -> None:
    assert read_feature_definitions(settings.marts_dir, "credit_risk") is None

    write_feature_definitions(settings, compiled(settings), [CREDIT_RISK], "marts-1")
    path = settings.marts_dir / DEFINITIONS_FILE
    written = path.stat().st_mtime_ns
    write_feature_definitions(settings, compiled(settings), [CREDIT_RISK], "marts-1")

    assert path.stat().st_mtime_ns == written
    read = read_feature_definitions(settings.marts_dir, "credit_risk")
    assert read is not None
    assert read.feature_table == "customer_credit_features"

    write_feature_definitions(settings, compiled(settings, code="select 2"), [CREDIT_RISK], "marts-1")
    changed = read_feature_definitions(settings.marts_dir, "credit_risk")
    assert changed is not None
    assert changed.steps[-1].sql == "select 2"


def test_a_build_of_some_models_leaves_what_a_whole_one_wrote(settings: PlatformSettings) -> None:
    write_feature_definitions(settings, compiled(settings), [CREDIT_RISK], "marts-1")

    write_feature_definitions(settings, compiled(settings, code=None), [CREDIT_RISK], "marts-2")

    kept = json.loads((settings.marts_dir / DEFINITIONS_FILE).read_text())
    assert kept["definitions"]["credit_risk"]["steps"][-1]["sql"] == "select 1 as late_bills_12m_count"
