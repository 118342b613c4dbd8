"""What is asked of a cluster before dbt starts, and how its marts become the Parquet that everybody reads."""

import time
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from orchestration.forms.cluster import ClusterSettings
from orchestration.forms.duckdb_warehouse import DuckDBMarts
from orchestration.forms.errors import ClockError, FormError, RightsError, UnreachableError, VersionError
from orchestration.forms.spark_warehouse import (
    SparkMarts,
    SparkStatementError,
    ThriftSession,
    check_clock,
    check_rights,
    check_shared_folder,
    check_versions,
    duckdb_type,
)


class Answers(ThriftSession):
    """A session that answers from a table, and refuses statements that begin with given words."""

    def __init__(self, answers: Mapping[str, Any] = {}, refused: str = "", writes: pa.Table | None = None) -> None:
        super().__init__(None, "spark.example.org:10000")
        self.answers, self.refused, self.writes = answers, refused, writes
        self.statements: list[str] = []

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        return next(([(value,)] for words, value in self.answers.items() if words in statement), [])

    def run(self, statement: str) -> None:
        self.statements.append(statement)
        if self.refused and statement.startswith(self.refused):
            raise SparkStatementError("[PERMISSION_DENIED] The user has no right to do that.")
        if statement.startswith("insert overwrite directory") and self.writes is not None:
            folder = Path(unquote(urlsplit(statement.split("'")[1]).path))
            folder.mkdir(parents=True)
            half = len(self.writes) // 2
            pq.write_table(self.writes.slice(0, half), folder / "part-00000-a.snappy.parquet")
            pq.write_table(self.writes.slice(half), folder / "part-00001-a.snappy.parquet")

    def close(self) -> None:
        pass


def installed_pyspark() -> str:
    try:
        return version("pyspark")
    except PackageNotFoundError:
        pytest.skip("pyspark is not installed; `make env-cluster` adds it")


def test_same_minor_release_of_spark_and_a_fitting_java_are_taken() -> None:
    ours = ".".join([*installed_pyspark().split(".")[:2], "99"])

    check_versions(Answers({"version()": f"{ours} 98bc0212c9", "java.version": "17.0.15"}))


@pytest.mark.parametrize(
    ("spark", "java", "sentence"),
    [
        ("3.5.1 fd86f85e181", "17.0.15", "The cluster runs Spark 3.5.1, and this environment has pyspark"),
        (None, "11.0.22", "runs on Java 11.0.22; Spark needs Java 17 or 21"),
    ],
)
def test_other_releases_are_refused_with_both_numbers(spark: str | None, java: str, sentence: str) -> None:
    ours = installed_pyspark()
    session = Answers({"version()": spark or ours, "java.version": java})

    with pytest.raises(VersionError, match=sentence):
        check_versions(session)


def test_a_clock_that_differs_is_refused_with_the_difference() -> None:
    check_clock(Answers({"current_timestamp": int(time.time() * 1e6)}))

    with pytest.raises(ClockError, match=r"differs from this machine's by 3,[56]\d\d s"):
        check_clock(Answers({"current_timestamp": int((time.time() - 3600) * 1e6)}))


@pytest.mark.parametrize("refused", ["create schema", "create table", "drop table"])
def test_a_user_without_rights_is_refused_with_what_spark_says(refused: str) -> None:
    with pytest.raises(RightsError, match=r"PERMISSION_DENIED.*Grant create, write and drop in the schemas seeds"):
        check_rights(Answers(refused=refused))


def test_a_folder_that_the_cluster_does_not_share_is_refused_with_its_path(tmp_path: Path) -> None:
    with pytest.raises(RightsError, match=rf"does not arrive on this machine.*KILOWISE_HOME={tmp_path}"):
        check_shared_folder(Answers(), tmp_path)
    with pytest.raises(RightsError, match="Spark cannot write to"):
        check_shared_folder(Answers(refused="insert overwrite"), tmp_path)

    check_shared_folder(Answers(writes=pa.table({"one": [1, 2]})), tmp_path)

    assert list((tmp_path / "warehouse").iterdir()) == []


def test_nothing_at_the_address_is_refused_with_the_settings_that_name_it() -> None:
    pytest.importorskip("pyhive", reason="`make env-cluster` adds what the cluster form needs")

    with pytest.raises(UnreachableError, match=r"does not answer at 127\.0\.0\.1:1024 .*KILOWISE_CLUSTER_PORT"):
        ThriftSession.open(ClusterSettings(port=1024, connect_seconds=1, _env_file=None))


@pytest.mark.parametrize(
    ("spark", "ours"),
    [
        ("string", "VARCHAR"),
        ("decimal(18, 2)", "DECIMAL(18,2)"),
        ("array<array<smallint>>", "SMALLINT[][]"),
        ("timestamp_ntz", "TIMESTAMP"),
        ("struct<a:int,b:decimal(9,2),c:array<string>>", "STRUCT(a INTEGER, b DECIMAL(9,2), c VARCHAR[])"),
    ],
)
def test_types_are_told_as_duckdb_tells_them(spark: str, ours: str) -> None:
    assert duckdb_type(spark) == ours


def test_a_type_that_nobody_reads_is_refused() -> None:
    with pytest.raises(FormError, match="map<string,int> has no counterpart"):
        duckdb_type("map<string,int>")


def test_an_exported_mart_is_the_file_that_duckdb_writes(tmp_path: Path) -> None:
    """Whoever reads it sees no difference: the same columns, types, compression, rows and order."""
    columns = {
        "customer_key": "varchar", "month": "date", "kwh": "decimal(18,4)", "days": "smallint", "share": "double",
        "known_at": "timestamp", "slots": "integer[]",
    }  # fmt: skip
    rows = [
        ("a", date(2024, 9, 1), Decimal("1.5000"), 30, 0.1, datetime(2024, 10, 1, 3), [1, 2]),
        ("b", date(2024, 9, 1), None, 31, None, datetime(2024, 10, 1), []),
        ("c", date(2024, 10, 1), Decimal("-2.2500"), None, 1e-9, None, None),
        (None, date(2024, 10, 1), Decimal("7.0000"), 1, 2.0, datetime(2024, 11, 1), [3]),
    ]
    embedded = duckdb.connect()
    described = ", ".join(f"{name} {kind}" for name, kind in columns.items())
    embedded.execute(f"create schema marts; create table marts.load ({described})")
    embedded.executemany(f"insert into marts.load values ({', '.join('?' * len(columns))})", rows[::-1])
    DuckDBMarts(embedded).export("load", ("customer_key",), tmp_path / "embedded.parquet")
    # As Spark writes it: sorted, in several files, with its own widths of whole numbers.
    spark = embedded.sql("select * from marts.load order by customer_key").to_arrow_table()
    spark = spark.set_column(3, "days", spark["days"].cast(pa.int32()))
    node = {"columns": {name: {"data_type": kind} for name, kind in columns.items()}}
    session = Answers(writes=spark)
    marts = SparkMarts(session, tmp_path / "exports", {"model.kilowise.load": node}, "200MB")

    marts.export("load", ("customer_key",), tmp_path / "cluster.parquet")

    ours, theirs = (pq.ParquetFile(tmp_path / f"{form}.parquet") for form in ("embedded", "cluster"))
    # Whether a column may be empty, which DuckDB says of those that it knows the values of, is read by nobody.
    assert [(f.name, f.type) for f in theirs.schema_arrow] == [(f.name, f.type) for f in ours.schema_arrow]
    assert theirs.metadata.row_group(0).column(0).compression == ours.metadata.row_group(0).column(0).compression
    assert theirs.read().to_pylist() == ours.read().to_pylist()
    assert session.statements[0].endswith("from marts.load order by `customer_key` nulls last")
    marts.close()
    assert not (tmp_path / "exports").exists()
