"""The dbt models as assets, and the publication of their marts as Parquet.

SQL belongs in ``dbt_project``; this module runs it, reports what happened and publishes.
"""

import json
from collections.abc import Iterator
from typing import Any

import dagster as dg
from dagster_dbt import DbtCliResource, dbt_assets

from orchestration.dbt import KilowiseDbtTranslator, end_invocation, dbt_project, dbt_variables
from orchestration.marts import MARTS, publish_marts
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
    invocation = dbt.cli(command, context=context, raise_on_error=True)
    try:
        # Column lineage would cost more than all models together: sqlglot walks each wide query once per column.
        yield from invocation.stream().fetch_column_metadata(with_column_lineage=False).fetch_row_counts()
    finally:
        end_invocation(invocation)
    if all(dg.AssetKey(["marts", mart]) in context.selected_asset_keys for mart in MARTS):
        marts = publish_marts(settings.warehouse_path, settings.marts_dir, memory_limit=settings.duckdb_memory_limit)
        context.log.info(f"Marts version {marts.name} is current: {sum(marts.row_counts.values()):,} rows.")
