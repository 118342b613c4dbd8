"""Takes the SQL of the feature marts out of what dbt has just run, so that a release can make features of raw rows.

dbt leaves the compiled statements in its manifest; nothing is compiled a second time. Every statement stays as dbt ran
it, except that it reads landed rows from tables instead of files, and all months at once instead of batch by batch.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml.feature_definitions import AS_OF_MONTHS, FeatureDefinitions, Relation, RelationColumn
from orchestration.files import replace_text
from orchestration.forms.warehouse import CompiledProject
from orchestration.ingestion.contract import landing_tables
from orchestration.manifest import source_pattern
from orchestration.settings import PlatformSettings

if TYPE_CHECKING:
    import duckdb

    from orchestration.use_cases import UseCase

DEFINITIONS_FILE = "feature_definitions.json"

# What one customer's rows cannot tell: the supplier's calendar, and when all customers together draw most.
_TAKEN_AS_ROWS = frozenset({"holidays", "int_system_peak_hours"})


def write_feature_definitions(
    settings: PlatformSettings, compiled: CompiledProject, use_cases: "Sequence[UseCase]", marts_version: str
) -> None:
    """Keep the definitions of all use cases beside the published marts.

    A build of some models compiles only those; then what a whole build has left stays. So do definitions that were
    made of the same statements and marts.

    Args:
        settings: Settings of the platform.
        compiled: dbt's manifest after a build, with DuckDB's code of what was built, and the tables that it asks.
        use_cases: The use cases.
        marts_version: Version of the marts that this build has published.
    """
    import duckdb

    manifest = json.loads(compiled.manifest_path.read_bytes())
    chains = [_chain(manifest, [use_case.feature_mart, *use_case.raw_tables]) for use_case in use_cases]
    if not all(_is_compiled(node) for chain in chains for node in chain):
        return
    made_from = _fingerprint(chains, marts_version)
    path = settings.marts_dir / DEFINITIONS_FILE
    if path.exists() and json.loads(path.read_text(encoding="utf-8")).get("made_from") == made_from:
        return
    limit = {"memory_limit": settings.duckdb_memory_limit}
    with duckdb.connect(str(compiled.database_path), read_only=True, config=limit) as connection:
        definitions = {
            use_case.name: feature_definitions(use_case, manifest, connection, settings).model_dump(mode="json")
            for use_case in use_cases
        }
    replace_text(path, json.dumps({"made_from": made_from, "definitions": definitions}, sort_keys=True))


def read_feature_definitions(marts_dir: Path, use_case: str) -> FeatureDefinitions | None:
    """Return how the features of the published marts were made; ``None`` while no build has left it there."""
    path = marts_dir / DEFINITIONS_FILE
    if not path.exists():
        return None
    kept = json.loads(path.read_text(encoding="utf-8")).get("definitions", {}).get(use_case)
    return None if kept is None else FeatureDefinitions.model_validate(kept)


def feature_definitions(
    use_case: "UseCase",
    manifest: Mapping[str, Any],
    connection: "duckdb.DuckDBPyConnection",
    settings: PlatformSettings,
) -> FeatureDefinitions:
    """Return how one use case's features are made.

    Args:
        use_case: The use case.
        manifest: dbt's manifest with compiled code.
        connection: The warehouse.
        settings: Settings with which dbt ran.
    """
    nodes = _chain(manifest, [use_case.feature_mart, *use_case.raw_tables])
    landed = landing_tables()
    return FeatureDefinitions(
        use_case=use_case.name,
        time_zone=settings.time_zone,
        as_of_lag_days=settings.as_of_lag_days,
        adds_up_parallel_meters=_has_rows(connection, "intermediate.int_parallel_meter_customers"),
        landing={
            source["name"]: tuple(RelationColumn(name=c.name, type=c.duckdb_type) for c in landed[source["name"]])
            for node in nodes
            for source in _sources(manifest, node)
        },
        as_of_months=_columns(connection, "intermediate", AS_OF_MONTHS),
        steps=tuple(
            _rows(connection, node) if node["name"] in _TAKEN_AS_ROWS else _statement(manifest, node) for node in nodes
        ),
        feature_table=use_case.feature_mart,
        customer_tables=use_case.raw_tables,
    )


def _chain(manifest: Mapping[str, Any], marts: Sequence[str]) -> list[Mapping[str, Any]]:
    """Return the models that lead to some marts, parents first; what is given or taken as rows ends the search."""
    nodes: Mapping[str, Mapping[str, Any]] = manifest["nodes"]
    by_name = {node["name"]: name for name, node in nodes.items() if node["resource_type"] == "model"}
    found: dict[str, Mapping[str, Any]] = {}

    def visit(unique_id: str) -> None:
        node = nodes.get(unique_id)
        if node is None or unique_id in found or node["name"] == AS_OF_MONTHS:
            return
        if node["name"] not in _TAKEN_AS_ROWS:
            for parent in node["depends_on"]["nodes"]:
                visit(parent)
        found[unique_id] = node

    for mart in marts:
        visit(by_name[mart])
    return list(found.values())


def _is_compiled(node: Mapping[str, Any]) -> bool:
    return node["name"] in _TAKEN_AS_ROWS or bool(node.get("compiled_code"))


def _fingerprint(chains: Sequence[Sequence[Mapping[str, Any]]], marts_version: str) -> str:
    codes = [node.get("compiled_code", "") for chain in chains for node in chain]
    return hashlib.sha256("\0".join([marts_version, *codes]).encode()).hexdigest()


def _statement(manifest: Mapping[str, Any], node: Mapping[str, Any]) -> Relation:
    sql: str = node["compiled_code"]
    for source in _sources(manifest, node):
        sql = source_pattern(source).sub(f'"landing"."{source["name"]}"', sql)
    for parent in node["depends_on"]["nodes"]:
        if parent in manifest["nodes"]:
            relation = manifest["nodes"][parent]
            sql = sql.replace(relation["relation_name"], f'"{relation["schema"]}"."{relation["name"]}"')
    months_from = node["config"].get("months_from")
    if months_from:
        # The placeholders of the materialization `monthly_batches`: all months are one batch.
        months = f'"intermediate"."{months_from}"'
        sql = sql.replace("__batch_months__", f"select month_number from {months}")
        sql = sql.replace("__batch_read_months__", f"select read_month from {months}")
    kind = "view" if node["config"]["materialized"] == "view" else "table"
    return Relation(schema_name=node["schema"], name=node["name"], kind=kind, sql=sql)


def _rows(connection: "duckdb.DuckDBPyConnection", node: Mapping[str, Any]) -> Relation:
    columns = _columns(connection, node["schema"], node["name"])
    # Dates as text: the engine that takes them in casts them back.
    values = ", ".join(
        f'cast("{column.name}" as varchar)' if column.type == "DATE" else f'"{column.name}"' for column in columns
    )
    rows = connection.execute(f"select {values} from {node['schema']}.{node['name']} order by all").fetchall()
    return Relation(schema_name=node["schema"], name=node["name"], kind="rows", columns=columns, rows=tuple(rows))


def _sources(manifest: Mapping[str, Any], node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    if node["name"] in _TAKEN_AS_ROWS:
        return
    for parent in node["depends_on"]["nodes"]:
        if parent in manifest["sources"]:
            yield manifest["sources"][parent]


def _columns(connection: "duckdb.DuckDBPyConnection", schema: str, table: str) -> tuple[RelationColumn, ...]:
    described = connection.execute(f"describe {schema}.{table}").fetchall()
    return tuple(RelationColumn(name=column[0], type=column[1]) for column in described)


def _has_rows(connection: "duckdb.DuckDBPyConnection", table: str) -> bool:
    return bool(connection.execute(f"select exists(from {table})").fetchall()[0][0])
