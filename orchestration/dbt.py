"""How dbt appears in the asset graph: project, translation of names and groups, and the variables that settings give.

Keep SQL in ``dbt_project``; keep running and reporting in ``assets/transformation.py``.
"""

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import Any

import dagster as dg
from dagster_dbt import (
    DagsterDbtTranslator,
    DagsterDbtTranslatorSettings,
    DbtCliInvocation,
    DbtCliResource,
    DbtProject,
)
from dagster_dbt.errors import DagsterDbtCliRuntimeError
from packaging.version import Version

from orchestration.files import disk_full_sentence, is_disk_full
from orchestration.forms.warehouse import Table, TableFacts, Warehouse, warehouse
from orchestration.ingestion.retention import read_retention
from orchestration.settings import DBT_PROJECT_DIR, PlatformSettings

OWNER = "team:data-platform"
# Tag of the models that read predictions: they are built after the models were trained and the customers scored.
AFTER_MODELS = "after_models"
RESULTS_FILE = "run_results.json"

dbt_project = DbtProject(project_dir=DBT_PROJECT_DIR, profiles_dir=DBT_PROJECT_DIR)

_GROUP_BY_LAYER = {"staging": "staging", "intermediate": "intermediate", "marts": "marts", "seeds": "staging"}


class KilowiseDbtTranslator(DagsterDbtTranslator):
    """Gives each dbt model the key ``[layer, name]``, the group of its layer, the owner of its YAML and its kinds."""

    def __init__(self) -> None:
        super().__init__(settings=DagsterDbtTranslatorSettings(enable_source_tests_as_checks=True))

    def get_asset_spec(self, manifest: Mapping[str, Any], unique_id: str, project: DbtProject | None) -> dg.AssetSpec:
        """Return the spec of a model, seed or source.

        A model's layer is the schema that it is built in, so asset key and table name are equal.
        """
        spec = super().get_asset_spec(manifest, unique_id, project)
        properties = _resource_properties(manifest, unique_id)
        if properties["resource_type"] == "source":
            return spec.replace_attributes(key=dg.AssetKey([properties["source_name"], properties["name"]]))
        layer = properties["schema"]
        return spec.replace_attributes(
            key=dg.AssetKey([layer, properties["name"]]),
            group_name=_GROUP_BY_LAYER.get(layer, layer),
            owners=[properties["config"]["meta"].get("owner", OWNER)],
            kinds={"dbt", "duckdb", "table" if properties["config"]["materialized"] != "view" else "view"},
        )

    def get_asset_check_spec(
        self, asset_spec: dg.AssetSpec, manifest: Mapping[str, Any], unique_id: str, project: DbtProject | None
    ) -> dg.AssetCheckSpec | None:
        """Return the spec of a test, with a sentence that says what it demands."""
        spec = super().get_asset_check_spec(asset_spec, manifest, unique_id, project)
        if spec is None:
            return None
        return spec._replace(description=sentence_of_dbt_test(_resource_properties(manifest, unique_id)))


def sentence_of_dbt_test(properties: Mapping[str, Any]) -> str | None:
    """Return what a dbt test demands: its description, or a sentence made of its arguments.

    A singular test keeps its description in ``meta``: dbt loses one from a YAML file when it parses parts only.
    """
    own = properties.get("description") or properties.get("meta", {}).get("description")
    if own:
        return str(own)
    test = properties.get("test_metadata")
    if test is None:
        return None
    arguments = test["kwargs"]
    column = arguments.get("column_name")
    match test["name"]:
        case "unique":
            return f"No two rows have the same {column}."
        case "unique_combination":
            return f"No two rows have the same {', '.join(arguments['columns'])}."
        case "not_null":
            return f"{column} has a value in every row."
        case "accepted_values":
            return f"{column} is one of {', '.join(map(str, arguments['values']))}."
        case "accepted_range":
            bounds = {"at least": arguments.get("minimum"), "at most": arguments.get("maximum")}
            limits = [f"{words} {bound}" for words, bound in bounds.items() if bound is not None]
            return f"{column} is {' and '.join(limits)}."
        case "relationships":
            return f"Each {column} is a {arguments['field']} of {_model_name(arguments['to'])}."
        case "holds":
            return f"In every row: {arguments['condition']}."
        case "reconciles":
            other = f"{arguments['other_expression']} of {_model_name(arguments['other'])}"
            groups = ", ".join(arguments.get("group_by", {}))
            return f"{arguments['expression']} equals {other}{' for each ' + groups if groups else ''}."
        case "row_count_matches":
            return f"The table has as many rows as {_model_name(arguments['other'])}."
    return None


def _model_name(reference: str) -> str:
    """Return the model of a reference as it stands in the arguments of a test: ``ref('bills')``."""
    return reference.removeprefix("ref('").removesuffix("')")


def _resource_properties(manifest: Mapping[str, Any], unique_id: str) -> Mapping[str, Any]:
    for section in ("nodes", "sources"):
        if unique_id in manifest[section]:
            return manifest[section][unique_id]
    raise KeyError(unique_id)


def dbt_variables(settings: PlatformSettings, place: Warehouse | None = None) -> dict[str, Any]:
    """Return the variables with which dbt runs; they are the only way settings reach SQL.

    Args:
        settings: Settings of the platform.
        place: Where dbt builds; by default the warehouse of the profile.
    """
    return {
        "landing_path": str(settings.landing_dir),
        "predictions_path": str(settings.predictions_dir),
        "time_zone": settings.time_zone,
        "jurisdiction": settings.jurisdiction,
        "slot_minutes": settings.slot_minutes,
        "as_of_lag_days": settings.as_of_lag_days,
        "default_days": settings.default_days,
        "default_horizon_months": settings.default_horizon_months,
        "currency": settings.currency,
        "removed_readings_count": read_retention(settings.landing_dir).rows_count,
        # Last: an engine may read copies.
        **(place or warehouse(settings)).dbt_variables(),
    }


class SeparateDbtResource(DbtCliResource):
    """dbt in a process of its own only.

    dagster-dbt also loads the project and an adapter into this process, for fetchers that we do not use: four seconds
    for every run, and a DuckDB connection that stays open. It starts dbt once more to ask for its version: two seconds.
    """

    @cached_property
    def _cli_version(self) -> Version:
        return Version(metadata.version("dbt-core"))

    def _initialize_dbt_core_adapter(self, args: Sequence[str]) -> None:
        """Return no adapter."""


def build_dbt_resource() -> DbtCliResource:
    """Return the resource that runs dbt; which warehouse and landing it works on travels in the variables."""
    # The dbt of this environment, started from the project as it was parsed.
    return SeparateDbtResource(
        project_dir=dbt_project,
        profiles_dir=str(DBT_PROJECT_DIR),
        dbt_executable=sys.executable,
        global_config_flags=["-P", str(Path(__file__).with_name("parsed_dbt.py"))],
    )


@contextmanager
def added_environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Give variables to the processes that are started meanwhile: no command line shows them."""
    kept = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in kept.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def end_process(invocation: DbtCliInvocation) -> None:
    """End a dbt process that outlived an error of ours, so that it lets go of the warehouse."""
    if invocation.process.poll() is None:
        invocation.process.terminate()
        invocation.process.wait(timeout=30)


def table_metadata(facts: Mapping[Table, TableFacts]) -> dict[Table, dict[str, Any]]:
    """Return row count and columns of tables as the metadata that the UI shows."""
    described: dict[Table, dict[str, Any]] = {}
    for table, known in facts.items():
        columns = [dg.TableColumn(name, kind) for name, kind in known.columns]
        described[table] = {"dagster/column_schema": dg.TableSchema(columns)}
        if known.rows is not None:
            described[table]["dagster/row_count"] = known.rows
    return described


def explained_failure(failure: DagsterDbtCliRuntimeError, target_path: Path, home: Path) -> Exception:
    """Return a failure that names the models and tests that broke.

    Without results dbt did not get to work, which may pass by itself: only then is the step tried again.
    """
    results = target_path / RESULTS_FILE
    if not results.exists():
        return failure
    broken = [
        f"{result['unique_id'].split('.')[2]}: {(result['message'] or result['status']).splitlines()[-1].strip()}"
        for result in json.loads(results.read_bytes())["results"]
        if result["status"] in ("error", "fail")
    ]
    if not broken:
        return failure
    remedy = [disk_full_sentence(home)] if any(is_disk_full(line) for line in broken) else []
    return dg.Failure("\n".join([*broken, *remedy, f"dbt's log: {target_path / 'dbt.log'}"]), allow_retries=False)
