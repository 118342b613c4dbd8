"""The dbt models as assets, in two stages, and the publication of their marts as Parquet.

The first stage makes what models learn from; the second follows the scoring and makes the marts that tell of
predictions. SQL belongs in ``dbt_project``; this module runs it, reports what happened and publishes.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, redirect_stdout
from graphlib import TopologicalSorter
from io import StringIO
from typing import Any

import dagster as dg
from dagster_dbt import DbtCliInvocation, DbtCliResource, dbt_assets
from dagster_dbt.errors import DagsterDbtCliRuntimeError

from orchestration.column_lineage import CACHE_FILE, Lineage, kept_lineages, lineage_of_models
from orchestration.dbt import (
    AFTER_MODELS,
    RESULTS_FILE,
    KilowiseDbtTranslator,
    added_environment,
    dbt_project,
    dbt_variables,
    end_process,
    explained_failure,
    table_metadata,
)
from orchestration.dbt_stages import (
    AFTER_MODELS_STAGE,
    FIRST_STAGE,
    CheckOutcome,
    Stage,
    first_stage_fingerprint,
    forget_stage,
    note_stage,
    notes_in_force,
    second_stage_fingerprint,
)
from orchestration.feature_definitions import write_feature_definitions
from orchestration.forms.errors import FormError, UnreachableError
from orchestration.forms.warehouse import warehouse
from orchestration.marts import MartsVersion, current_marts, publish_marts
from orchestration.metadata import column_lineage_metadata
from orchestration.portraits import publish_portraits
from orchestration.predictions import UnreadablePredictionsError, check_batch_files, write_source_contracts
from orchestration.settings import PlatformSettings
from orchestration.use_cases import USE_CASES

WAREHOUSE_POOL = "warehouse"

# What dagster-dbt calls the number of rows that failed a test.
_FAILED_ROWS = "dagster_dbt/failed_row_count"

# A warehouse that another program holds open for a moment is the usual reason for a failure here.
_RETRY = dg.RetryPolicy(max_retries=1, delay=5)


@dbt_assets(
    manifest=dbt_project.manifest_path,
    dagster_dbt_translator=KilowiseDbtTranslator(),
    project=dbt_project,
    exclude=f"tag:{AFTER_MODELS}",
    name="dbt_models",
    pool=WAREHOUSE_POOL,
    retry_policy=_RETRY,
)
def dbt_models(
    context: dg.AssetExecutionContext, dbt: DbtCliResource, settings: dg.ResourceParam[PlatformSettings]
) -> Iterator[Any]:
    """Build and test the models, then publish the marts, and how features are made of raw rows.

    Unchanged inputs start no dbt. A test of severity error stops everything that reads the model; the marts of the last
    good run stay current.
    """

    def publish_definitions(marts: MartsVersion) -> None:
        write_feature_definitions(settings, warehouse(settings).compiled(), USE_CASES, marts.name)

    # Here, as it loads an engine that Dagster does not need to know the assets.
    from orchestration.ingestion.compaction import finish_compaction

    _check_warehouse(settings)
    finish_compaction(settings.landing_dir)
    yield from _stage(context, dbt, settings, FIRST_STAGE, first_stage_fingerprint(settings), publish_definitions)


@dbt_assets(
    manifest=dbt_project.manifest_path,
    dagster_dbt_translator=KilowiseDbtTranslator(),
    project=dbt_project,
    select=f"tag:{AFTER_MODELS}",
    name="dbt_models_after_scoring",
    pool=WAREHOUSE_POOL,
    retry_policy=_RETRY,
)
def dbt_models_after_scoring(
    context: dg.AssetExecutionContext, dbt: DbtCliResource, settings: dg.ResourceParam[PlatformSettings]
) -> Iterator[Any]:
    """Build and test the models that read predictions, then publish their marts, and the portraits for the API.

    Unchanged inputs start no dbt.
    """
    current_marts(settings.marts_dir)
    _check_warehouse(settings)
    try:
        check_batch_files(settings.predictions_dir)
    except UnreadablePredictionsError as error:
        raise dg.Failure(str(error), allow_retries=False) from None
    fingerprint = second_stage_fingerprint(settings, json.loads(dbt_project.manifest_path.read_bytes()))
    yield from _stage(
        context, dbt, settings, AFTER_MODELS_STAGE, fingerprint, lambda marts: publish_portraits(marts, settings)
    )


def _stage(
    context: dg.AssetExecutionContext,
    dbt: DbtCliResource,
    settings: PlatformSettings,
    stage: Stage,
    fingerprint: str,
    publish_beside: Callable[[MartsVersion], object],
) -> Iterator[Any]:
    """Build, test and publish one stage, or report that it stays as it is."""
    is_whole = all(dg.AssetKey(["marts", mart]) in context.selected_asset_keys for mart in stage.marts)
    notes = notes_in_force(stage, settings, fingerprint)
    if is_whole and notes is not None and _all_ran(context, notes.tests):
        context.log.info("Nothing that these models are made from has changed; they stay as they are.")
        publish_beside(current_marts(stage.marts_dir(settings)))
        yield from _unchanged(context, settings, notes.tests)
        return
    forget_stage(stage, settings)
    names = [use_case.name for use_case in USE_CASES]
    write_source_contracts(settings.predictions_dir, names)
    if stage is AFTER_MODELS_STAGE:
        warehouse(settings).take_predictions(names)
    tests = []
    for event in _built(context, dbt, settings):
        if isinstance(event, dg.AssetCheckResult):
            tests.append(_outcome(event))
        yield event
    if is_whole:
        with closing(warehouse(settings).open()) as source:
            marts = publish_marts(source, stage.marts_dir(settings), marts=stage.marts)
        publish_beside(marts)
        note_stage(stage, settings, fingerprint, tests)
        context.log.info(f"Marts version {marts.name} is current: {sum(marts.row_counts.values()):,} rows.")


def _unchanged(
    context: dg.AssetExecutionContext,
    settings: PlatformSettings,
    tests: Sequence[CheckOutcome],
) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
    """Report tables that stay as they are and what their tests found, so that what follows them goes on."""
    manifest = json.loads(dbt_project.manifest_path.read_bytes())
    facts = table_metadata(warehouse(settings).table_facts())
    lineages = kept_lineages(manifest, settings.warehouse_path.with_name(CACHE_FILE))
    parents = {
        key: context.assets_def.asset_deps[key] & context.selected_asset_keys for key in context.selected_asset_keys
    }
    kept = {"status": "unchanged, kept"}
    asked = [test for test in tests if _check_key(test) in context.selected_asset_check_keys]
    # Dagster demands parents before children.
    for key in TopologicalSorter(parents).static_order():
        yield dg.MaterializeResult(
            asset_key=key,
            metadata={**kept, **_table_metadata(tuple(key.path), facts, lineages)},
            check_results=[_check_result(test, kept) for test in asked if test.asset == tuple(key.path)],
        )
    for test in asked:
        if dg.AssetKey(test.asset) not in context.selected_asset_keys:
            yield _check_result(test, kept)


def _all_ran(context: dg.AssetExecutionContext, tests: Sequence[CheckOutcome]) -> bool:
    """Return whether every test that this run is asked for has an outcome."""
    return context.selected_asset_check_keys <= {_check_key(test) for test in tests}


def _check_key(test: CheckOutcome) -> dg.AssetCheckKey:
    return dg.AssetCheckKey(dg.AssetKey(test.asset), test.name)


def _outcome(result: dg.AssetCheckResult) -> CheckOutcome:
    """Return what dagster-dbt reports of a test in the form that is kept."""
    failed_rows = result.metadata.get(_FAILED_ROWS)
    return CheckOutcome(
        asset=tuple(result.asset_key.path) if result.asset_key else (),
        name=str(result.check_name),
        is_passed=result.passed,
        is_warning=result.severity == dg.AssetCheckSeverity.WARN,
        failed_rows_count=None if failed_rows is None else int(str(failed_rows.value)),
    )


def _check_result(test: CheckOutcome, metadata: Mapping[str, Any]) -> dg.AssetCheckResult:
    """Return the report of a test that is not run again because nothing that it reads has changed."""
    failed_rows = {} if test.failed_rows_count is None else {_FAILED_ROWS: test.failed_rows_count}
    return dg.AssetCheckResult(
        asset_key=dg.AssetKey(test.asset),
        check_name=test.name,
        passed=test.is_passed,
        severity=dg.AssetCheckSeverity.WARN if test.is_warning else dg.AssetCheckSeverity.ERROR,
        metadata={**metadata, **failed_rows},
    )


def _built(context: dg.AssetExecutionContext, dbt: DbtCliResource, settings: PlatformSettings) -> Iterator[Any]:
    """Run dbt for the selected assets and report what it did.

    Raises:
        dg.Failure: Models or tests broke; the message names them.
    """
    place = warehouse(settings)
    command = ["build", "--exclude-resource-type", "unit_test", "--vars", json.dumps(dbt_variables(settings, place))]
    command += place.dbt_arguments()
    # Its debug lines come to us through the pipe already; eight megabytes a run in its log file serve nobody.
    command += ["--log-level-file", "info"]
    target_path = place.target_path()
    (target_path / RESULTS_FILE).unlink(missing_ok=True)
    with added_environment(place.dbt_environment()):
        invocation = dbt.cli(command, context=context, target_path=target_path)
    try:
        # DuckDB lets nobody look in while dbt works, so what dbt reports is described and passed on at its end.
        events, failure = _finished_events(invocation)
    finally:
        end_process(invocation)
    tables = place.table_facts()
    facts = table_metadata(tables)
    columns = {table: [name for name, _ in known.columns] for table, known in tables.items()}
    lineages = lineage_of_models(
        place.compiled().manifest_path, columns, settings.warehouse_path.with_name(CACHE_FILE), context.log.warning
    )
    for event in events:
        yield _described(event, invocation.manifest, facts, lineages)
    if failure is not None:
        raise explained_failure(failure, target_path, settings.home)


def _check_warehouse(settings: PlatformSettings) -> None:
    """Refuse a warehouse that cannot be used, with the sentence that helps; only one that is away may come back."""
    try:
        warehouse(settings).check()
    except FormError as error:
        raise dg.Failure(str(error), allow_retries=isinstance(error, UnreachableError)) from None


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
    described = _table_metadata((node["schema"], node["name"]), facts, lineages)
    return event.with_metadata({**event.metadata, **described})


def _table_metadata(
    table: tuple[str, ...],
    facts: Mapping[tuple[str, str], Mapping[str, Any]],
    lineages: Mapping[tuple[str, str], Lineage],
) -> Mapping[str, Any]:
    schema, name = table
    lineage = column_lineage_metadata(lineages[schema, name]) if (schema, name) in lineages else {}
    return {**facts.get((schema, name), {}), **lineage}
