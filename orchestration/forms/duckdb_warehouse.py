"""The embedded warehouse: one DuckDB file, which only a step that holds the pool `warehouse` may open."""

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestration.forms.warehouse import CompiledProject, Table, TableFacts
from orchestration.settings import PlatformSettings

if TYPE_CHECKING:
    import duckdb

DBT_TARGET_DIR = "dbt_target"


@dataclass(frozen=True)
class DuckDBWarehouse:
    """The DuckDB file of a home."""

    settings: PlatformSettings

    def check(self) -> None:
        """Make the folder of the file; dbt makes the file."""
        self.settings.warehouse_path.parent.mkdir(parents=True, exist_ok=True)

    def is_built(self) -> bool:
        """Return whether the file is there."""
        return self.settings.warehouse_path.exists()

    def engine_versions(self) -> Mapping[str, str]:
        """Return the versions of dbt and DuckDB."""
        return {name: version(name) for name in ("dbt-core", "dbt-duckdb", "duckdb")}

    def dbt_arguments(self) -> Sequence[str]:
        """Return nothing: this is the default target."""
        return ()

    def dbt_variables(self) -> Mapping[str, Any]:
        """Return the file and the memory that DuckDB may take."""
        return {
            "warehouse_path": str(self.settings.warehouse_path),
            "duckdb_memory_limit": self.settings.duckdb_memory_limit,
        }

    def dbt_environment(self) -> Mapping[str, str]:
        """Return nothing: a file knows no password."""
        return {}

    def take_predictions(self, use_cases: Sequence[str]) -> None:
        """Do nothing: DuckDB joins files whose columns have several types or none."""

    def remove(self) -> None:
        """Remove the folder of the file and of what was made beside it."""
        if self.settings.warehouse_path.parent.exists():
            shutil.rmtree(self.settings.warehouse_path.parent)

    def target_path(self) -> Path:
        """Return dbt's folder beside the file."""
        return self.settings.warehouse_path.with_name(DBT_TARGET_DIR)

    def table_facts(self) -> Mapping[Table, TableFacts]:
        """Return row count and columns of every table and view.

        Two queries to the catalogue: dagster-dbt's own fetchers ask once per model and leave a connection open.
        """
        import duckdb

        if not self.is_built():
            return {}
        with duckdb.connect(str(self.settings.warehouse_path), read_only=True) as connection:
            counts = connection.execute(
                "select schema_name, table_name, estimated_size from duckdb_tables() where not internal"
            ).fetchall()
            columns = connection.execute(
                "select schema_name, table_name, list({'name': column_name, 'type': data_type} order by column_index) "
                "from duckdb_columns() where not internal group by all"
            ).fetchall()
        rows = {(schema, table): count for schema, table, count in counts}
        return {
            (schema, table): TableFacts(
                columns=tuple((column["name"], column["type"].lower()) for column in described),
                rows=rows.get((schema, table)),
            )
            for schema, table, described in columns
        }

    def open(self) -> "DuckDBMarts":
        """Return the marts of the file, opened read-only."""
        return DuckDBMarts.of_file(self.settings.warehouse_path, self.settings.duckdb_memory_limit)

    def compiled(self) -> CompiledProject:
        """Return what dbt has just run."""
        return CompiledProject(self.target_path() / "manifest.json", self.settings.warehouse_path)


@dataclass(frozen=True)
class DuckDBMarts:
    """The marts of an open DuckDB file."""

    connection: "duckdb.DuckDBPyConnection"

    @classmethod
    def of_file(cls, path: Path, memory_limit: str) -> "DuckDBMarts":
        """Open a file read-only; the caller must hold the pool `warehouse`."""
        import duckdb

        return cls(duckdb.connect(str(path), read_only=True, config={"memory_limit": memory_limit}))

    def close(self) -> None:
        """Let go of the file."""
        self.connection.close()

    def content(self, schema: str, table: str) -> tuple[int, str]:
        """Return rows and hash of a table.

        The engine's version is part of the hash, since its hashes may differ in the next one.
        """
        rows, rows_hash, engine = self.connection.execute(
            f"select count(*), sum(cast(hash(content) as hugeint)), version() from {schema}.{table} content"
        ).fetchall()[0]
        columns = self.connection.execute(f"describe {schema}.{table}").fetchall()
        described = json.dumps([table, engine, rows, rows_hash, [column[:2] for column in columns]])
        return rows, hashlib.sha256(described.encode()).hexdigest()

    def export(self, mart: str, order: Sequence[str], path: Path) -> None:
        """Write a mart in an order to one Parquet file."""
        self.connection.execute(
            f"copy (select * from marts.{mart} order by {', '.join(order)}) "
            f"to '{path}' (format parquet, compression zstd, compression_level 1)"
        )

    def months_content(self, model: str) -> str:
        """Return a hash over what each month of a table was made from."""
        months = self.connection.execute(
            "from intermediate.processed_months where model_name = ? order by all", [model]
        ).fetchall()
        return hashlib.sha256(json.dumps(months, default=str).encode()).hexdigest()
