"""The dbt models as assets, and the publication of their marts as Parquet.

SQL belongs in ``dbt_project``; this module runs it, reports what happened and publishes.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import redirect_stdout
from io import StringIO
from typing import Any

import dagster as dg
from dagster_dbt import DbtCliInvocation, DbtCliResource, dbt_assets
from dagster_dbt.errors import DagsterDbtCliRuntimeError

from orchestration.column_lineage import CACHE_FILE, Lineage, lineage_of_models
from orchestration.dbt import (
    RESULTS_FILE,
    KilowiseDbtTranslator,
    dbt_project,
    dbt_variables,
    end_process,
    explained_failure,
    table_facts,
)
from orchestration.marts import MARTS, publish_marts
from orchestration.metadata import column_lineage_metadata
from orchestration.settings import PlatformSettings

WAREHOUSE_POOL = "warehouse"


@dbt_assets(
    manifest=dbt_project.manifest_path,
    dagster_dbt_translator=KilowiseDbtTranslator(),
    project=dbt_project,
    name="dbt_models",
    pool=WAREHOUSE_POOL,
    # A warehouse that another program holds open for a moment is the usual reason for a failure here.
    retry_policy=dg.RetryPolicy(max_retries=1, delay=5),
)
def dbt_models(
    context: dg.AssetExecutionContext, dbt: DbtCliResource, settings: dg.ResourceParam[PlatformSettings]
) -> Iterator[Any]:
    """Build and test the models, then publish the marts.

    A test of severity error stops everything that reads the model; the marts of the last good run stay current.
    """
    settings.warehouse_path.parent.mkdir(parents=True, exist_ok=True)
    command = ["build", "--exclude-resource-type", "unit_test", "--vars", json.dumps(dbt_variables(settings))]
    # Its debug lines come to us through the pipe already; eight megabytes a run in its log file serve nobody.
    command += ["--log-level-file", "info"]
    # One folder for all runs, so that dbt parses only what changed since the last one.
    target_path = settings.home / "warehouse" / "dbt_target"
    (target_path / RESULTS_FILE).unlink(missing_ok=True)
    invocation = dbt.cli(command, context=context, target_path=target_path)
    try:
        # DuckDB lets nobody look in while dbt works, so what dbt reports is described and passed on at its end.
        events, failure = _finished_events(invocation)
    finally:
        end_process(invocation)
    facts = table_facts(settings.warehouse_path) if settings.warehouse_path.exists() else {}
    columns = {
        table: [column.name for column in described["dagster/column_schema"].columns]
        for table, described in facts.items()
    }
    lineages = lineage_of_models(
        target_path / "manifest.json", columns, settings.warehouse_path.with_name(CACHE_FILE), context.log.warning
    )
    for event in events:
        yield _described(event, invocation.manifest, facts, lineages)
    if failure is not None:
        raise explained_failure(failure, target_path, settings.home)
    if all(dg.AssetKey(["marts", mart]) in context.selected_asset_keys for mart in MARTS):
        marts = publish_marts(settings.warehouse_path, settings.marts_dir, memory_limit=settings.duckdb_memory_limit)
        context.log.info(f"Marts version {marts.name} is current: {sum(marts.row_counts.values()):,} rows.")


def _finished_events(invocation: DbtCliInvocation) -> tuple[list[Any], DagsterDbtCliRuntimeError | None]:
    """Return all that dbt reported, and the error with which it ended if it did.

    dbt keeps its own log beside its results; its two hundred lines would bury ours in the terminal.
    """
    events = []
    try:
        with redirect_stdout(StringIO()):
            for event in invocation.stream():
                events.append(event)  # noqa: PERF402  (what came before an error must be kept)
    except DagsterDbtCliRuntimeError as error:
        return events, error
    return events, None


def _described(
    event: Any,
    manifest: Mapping[str, Any],
    facts: Mapping[tuple[str, str], Mapping[str, Any]],
    lineages: Mapping[tuple[str, str], Lineage],
) -> Any:
    """Add row count, columns and their lineage to the event of a table."""
    if not isinstance(event, dg.Output | dg.AssetMaterialization):
        return event
    node = manifest["nodes"][event.metadata["unique_id"].text]
    table = (node["schema"], node["name"])
    lineage = column_lineage_metadata(lineages[table]) if table in lineages else {}
    return event.with_metadata({**event.metadata, **facts.get(table, {}), **lineage})
