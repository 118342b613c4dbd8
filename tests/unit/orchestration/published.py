"""Marts published from a DuckDB file."""

from contextlib import closing
from pathlib import Path

from orchestration.forms.duckdb_warehouse import DuckDBMarts
from orchestration.marts import MARTS, MartsVersion, Sorting, publish_marts


def publish_file(warehouse_path: Path, marts_dir: Path, marts: Sorting = MARTS) -> MartsVersion:
    with closing(DuckDBMarts.of_file(warehouse_path, "200MB")) as source:
        return publish_marts(source, marts_dir, marts=marts)
