"""Which columns of its parents each column of a dbt model is computed from, read from the SQL that dbt compiled.

A column's sources are those that its value is computed from; conditions of joins and filters are not among them.
Knows SQL and dbt's manifest, but not Dagster: ``orchestration.metadata`` turns the result into what the UI shows.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from ml.errors import KilowiseError
from orchestration.files import replace_text
from orchestration.manifest import source_pattern

if TYPE_CHECKING:
    from sqlglot.lineage import Node

CACHE_FILE = "column_lineage.json"
# Raise it when the same SQL is to be read differently: what is cached is then read again.
_METHOD = 1
_DIALECT = "duckdb"

Table: TypeAlias = tuple[str, str]
"""Schema and name, as in the asset key; the schema of a dbt source is ``landing``."""


class SourceColumn(NamedTuple):
    """A column of a parent."""

    schema: str
    table: str
    column: str


Lineage: TypeAlias = Mapping[str, Sequence[SourceColumn]]
"""The sources of each column of a table, in the order of its columns; a constant or a count of rows has none."""


class UnreadableSqlError(KilowiseError):
    """The lineage of a model cannot be told from its SQL; the message says why."""


def lineage_of_models(
    manifest_path: Path, tables: Mapping[Table, Sequence[str]], cache_path: Path, warn: Callable[[str], None]
) -> dict[Table, Lineage]:
    """Return the column lineage of the models that dbt compiled in its last run.

    Args:
        manifest_path: The manifest that dbt wrote at the end of that run.
        tables: The columns of every table and view of the warehouse.
        cache_path: File in which lineage is kept for as long as a model's SQL and its parents' columns stay the same.
        warn: Takes one sentence per model whose SQL cannot be read; it has no lineage then.
    """
    if not manifest_path.exists():
        return {}
    manifest = json.loads(manifest_path.read_bytes())
    cached = json.loads(cache_path.read_bytes()) if cache_path.exists() else {}
    kept = {model: entry for model, entry in cached.items() if model in manifest["nodes"]}
    lineages: dict[Table, Lineage] = {}
    for model, node in manifest["nodes"].items():
        table = (node["schema"], node["name"])
        if node["resource_type"] != "model" or not node.get("compiled_code") or table not in tables:
            continue
        sql, parents = _select_and_parents(node, manifest, tables)
        fingerprint = _fingerprint(sql, tables[table], parents)
        if kept.get(model, {}).get("fingerprint") != fingerprint:
            try:
                kept[model] = {"fingerprint": fingerprint, "columns": lineage_of_select(sql, tables[table], parents)}
            except UnreadableSqlError as error:
                kept.pop(model, None)
                warn(f"No column lineage for {'.'.join(table)}: {error}")
                continue
        lineages[table] = _lineage(kept[model])
    if kept != cached:
        replace_text(cache_path, json.dumps(kept))
    return lineages


def kept_lineages(manifest: Mapping[str, Any], cache_path: Path) -> dict[Table, Lineage]:
    """Return the column lineage of the models as it was read when they were last compiled.

    Args:
        manifest: A manifest of the project.
        cache_path: The file that `lineage_of_models` keeps.
    """
    cached = json.loads(cache_path.read_bytes()) if cache_path.exists() else {}
    nodes = manifest["nodes"]
    return {
        (nodes[model]["schema"], nodes[model]["name"]): _lineage(entry)
        for model, entry in cached.items()
        if model in nodes
    }


def _lineage(entry: Mapping[str, Any]) -> Lineage:
    return {column: tuple(SourceColumn(*source) for source in sources) for column, sources in entry["columns"].items()}


def lineage_of_select(sql: str, columns: Sequence[str], parents: Mapping[Table, Sequence[str]]) -> Lineage:
    """Return the lineage of a select.

    Args:
        sql: A select, in which a parent stands as ``"schema"."table"``.
        columns: The columns of its result.
        parents: The columns of each parent.

    Raises:
        UnreadableSqlError: The SQL cannot be parsed, a column cannot be traced to the parents, or the SQL has a form
            that sqlglot attributes to wrong columns.
    """
    # Needed only when a model has changed.
    import sqlglot
    from sqlglot.errors import SqlglotError
    from sqlglot.lineage import lineage

    schema: dict[str, dict[str, dict[str, str]]] = {}
    for (parent_schema, parent_table), parent_columns in parents.items():
        schema.setdefault(parent_schema, {})[parent_table] = dict.fromkeys(parent_columns, "unknown")
    try:
        expression = sqlglot.parse_one(sql, dialect=_DIALECT)
        _refuse_misread_forms(expression)
        # All columns at once: asking for one after the other qualifies the whole select for each.
        nodes = lineage(None, expression, schema, dialect=_DIALECT, trim_selects=False, copy=False)
    # sqlglot raises ValueError for a column that it loses in a union, RecursionError for very deep expressions.
    except (SqlglotError, ValueError, RecursionError) as error:
        raise UnreadableSqlError(str(error).splitlines()[0]) from error
    sources = [SourceColumn(*parent, column) for parent, names in parents.items() for column in names]
    # sqlglot writes names in lower case, as DuckDB compares them.
    spelled = {tuple(part.lower() for part in source): source for source in sources}
    unexplained = [column for column in columns if column.lower() not in nodes]
    if unexplained:
        raise UnreadableSqlError(f"its select does not name {', '.join(unexplained)}.")
    return {column: _sources(nodes[column.lower()], spelled) for column in columns}


def _refuse_misread_forms(expression: Any) -> None:
    from sqlglot import exp

    if any(operation.args.get("by_name") for operation in expression.find_all(exp.SetOperation)):
        raise UnreadableSqlError("in a union by name, columns would be matched by position; write them in one order.")
    if any(lateral.find(exp.Query) for lateral in expression.find_all(exp.Lateral)):
        raise UnreadableSqlError("columns of a lateral subquery would be lost; write it as a join.")


def _sources(node: "Node", spelled: Mapping[tuple[str, ...], SourceColumn]) -> list[SourceColumn]:
    """Return the columns of parents at the ends of what a column of the result is computed from."""
    import sqlglot
    from sqlglot import exp

    sources = set()
    for step in node.walk():
        if isinstance(step.expression, exp.Placeholder):
            raise UnreadableSqlError(f"none of its parents is known to have a column {step.name}.")
        # A table that is no name is a function, such as range().
        if isinstance(step.expression, exp.Table) and isinstance(step.expression.this, exp.Identifier):
            column = sqlglot.parse_one(step.name, dialect=_DIALECT).name
            leaf = (step.expression.db, step.expression.name, column)
            if leaf not in spelled:
                raise UnreadableSqlError(f"{'.'.join(leaf)} is no column of its parents.")
            sources.add(spelled[leaf])
    return sorted(sources)


def _select_and_parents(
    node: Mapping[str, Any], manifest: Mapping[str, Any], tables: Mapping[Table, Sequence[str]]
) -> tuple[str, dict[Table, Sequence[str]]]:
    """Return a model's SQL with every parent as ``"schema"."table"``, the files of a source too, and the parents."""
    sql = node["compiled_code"]
    parents: dict[Table, Sequence[str]] = {}
    for unique_id in node["depends_on"]["nodes"]:
        source = manifest["sources"].get(unique_id)
        parent = source or manifest["nodes"][unique_id]
        table = (parent["schema"], parent["name"])
        if source is None and table not in tables:
            continue
        parents[table] = list(source["columns"]) if source else tables[table]
        name = f'"{table[0]}"."{table[1]}"'
        sql = source_pattern(source).sub(name, sql) if source else sql.replace(parent["relation_name"], name)
    return sql, parents


def _fingerprint(sql: str, columns: Sequence[str], parents: Mapping[Table, Sequence[str]]) -> str:
    read = [_METHOD, version("sqlglot"), sql, columns, sorted(parents.items())]
    return hashlib.sha256(json.dumps(read).encode()).hexdigest()
