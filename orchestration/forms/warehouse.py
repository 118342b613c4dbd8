"""Where dbt builds its tables, as the rest of the platform sees it: one DuckDB file, or a Spark cluster.

No Dagster in here: what a step says of a failure is the step's business.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from orchestration.settings import PlatformSettings

Table: TypeAlias = tuple[str, str]
"""Schema and name."""


@dataclass(frozen=True)
class TableFacts:
    """What a warehouse knows of a table or view.

    Attributes:
        columns: Name and type of each column, the type as DuckDB writes it, in lower case.
        rows: Number of rows; ``None`` of a view.
    """

    columns: tuple[tuple[str, str], ...]
    rows: int | None = None


@dataclass(frozen=True)
class CompiledProject:
    """The project as DuckDB's SQL, which a release runs on raw rows of a request whatever engine made the marts.

    Attributes:
        manifest_path: dbt's manifest with the compiled statements.
        database_path: DuckDB file with the tables that the definitions of features hold as rows, or ask something of.
    """

    manifest_path: Path
    database_path: Path


class MartSource(Protocol):
    """Tells the content of tables and writes marts as Parquet."""

    def content(self, schema: str, table: str) -> tuple[int, str]:
        """Return the number of rows of a table, and a hash over its columns and rows in any order."""

    def export(self, mart: str, order: Sequence[str], path: Path) -> None:
        """Write a mart in an order to one Parquet file."""

    def months_content(self, model: str) -> str:
        """Return a hash over what each month of a table was made from, for a table that is made month by month."""

    def close(self) -> None:
        """Let go of the warehouse."""


class Warehouse(Protocol):
    """Where dbt builds."""

    def check(self) -> None:
        """Refuse a warehouse that cannot be used, before dbt starts.

        Raises:
            FormError: It does not answer, is of another version, or refuses what a run does; the message says what
                to change.
        """

    def is_built(self) -> bool:
        """Return whether tables of an earlier run are there."""

    def engine_versions(self) -> Mapping[str, str]:
        """Return the packages and programs that decide what SQL means, with their versions."""

    def dbt_arguments(self) -> Sequence[str]:
        """Return what dbt's command line says of the target; nothing for the default one, which is parsed already."""

    def dbt_variables(self) -> Mapping[str, Any]:
        """Return the variables by which dbt finds the warehouse, and what it reads where that differs."""

    def dbt_environment(self) -> Mapping[str, str]:
        """Return what dbt must know and no command line may show."""

    def take_predictions(self, use_cases: Sequence[str]) -> None:
        """Make the files of predictions readable for the engine, before the stage that reads them."""

    def remove(self) -> None:
        """Remove everything that dbt has built."""

    def target_path(self) -> Path:
        """Return dbt's folder: one for all runs, so that dbt parses only what changed since the last one."""

    def table_facts(self) -> Mapping[Table, TableFacts]:
        """Return what is known of every table and view."""

    def open(self) -> MartSource:
        """Return the marts as they are to be published."""

    def compiled(self) -> CompiledProject:
        """Return the project in DuckDB's SQL after a build."""


def warehouse(settings: PlatformSettings) -> Warehouse:
    """Return the warehouse of the profile."""
    if settings.profile != "cluster":
        from orchestration.forms.duckdb_warehouse import DuckDBWarehouse

        return DuckDBWarehouse(settings)
    from orchestration.forms import require_group
    from orchestration.forms.cluster import cluster_settings
    from orchestration.forms.spark_warehouse import SparkWarehouse

    require_group(settings)
    return SparkWarehouse(settings, cluster_settings())
