"""The warehouse of the cluster form: tables on a Spark cluster, reached through its Thrift server.

Spark writes to the folder of all state, which every machine of the cluster sees under the same path. What is published
from it is written by DuckDB in the end: the same Parquet, with the same types, as the embedded form publishes.
"""

import hashlib
import json
import re
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

from orchestration.files import replace_text
from orchestration.forms.cluster import ClusterSettings, local_cluster_dir
from orchestration.forms.errors import ClockError, FormError, RightsError, UnreachableError, VersionError
from orchestration.forms.local_cluster import JAVA_VERSIONS, SESSION_SETTINGS, java_release
from orchestration.forms.warehouse import CompiledProject, Table, TableFacts
from orchestration.manifest import MANIFEST, project_files
from orchestration.predictions import write_typed_predictions
from orchestration.settings import DBT_PROJECT_DIR, PlatformSettings

LAYERS = ("seeds", "staging", "intermediate", "marts")
PASSWORD_VARIABLE = "DBT_ENV_SECRET_KILOWISE_CLUSTER_PASSWORD"  # noqa: S105  (the name of a variable; dbt hides such)
CLOCK_TOLERANCE_SECONDS = 120
# What definitions of features hold as rows; and of what the SQL of a model depends on whether there is a row.
_TABLES_OF_DEFINITIONS: Mapping[Table, str] = {
    ("seeds", "holidays"): "",
    ("intermediate", "int_as_of_months"): "",
    ("intermediate", "int_system_peak_hours"): "",
    ("intermediate", "int_parallel_meter_customers"): "limit 1",
    ("intermediate", "int_interval_priced_tariffs"): "limit 1",
}
_DUCKDB_TYPES = {
    "string": "VARCHAR",
    "tinyint": "TINYINT",
    "smallint": "SMALLINT",
    "int": "INTEGER",
    "bigint": "BIGINT",
    "float": "FLOAT",
    "double": "DOUBLE",
    "boolean": "BOOLEAN",
    "date": "DATE",
    "timestamp": "TIMESTAMP",
    "timestamp_ntz": "TIMESTAMP",
    "binary": "BLOB",
}


@dataclass(frozen=True)
class SparkWarehouse:
    """The tables of a cluster.

    Attributes:
        settings: Settings of the platform.
        cluster: Where the Thrift server is.
    """

    settings: PlatformSettings
    cluster: ClusterSettings

    def check(self) -> None:
        """Refuse a cluster that does not answer, is of another version, sees no shared folder or grants no rights."""
        folder = self.settings.warehouse_path.parent
        folder.mkdir(parents=True, exist_ok=True)
        with self.session() as session:
            check_versions(session)
            check_clock(session)
            check_rights(session)
            check_shared_folder(session, self.settings.home)
        # A run that was killed may have left what Spark wrote for it.
        for leftover in (*folder.glob("exports-*"), *folder.glob("probe-*")):
            shutil.rmtree(leftover, ignore_errors=True)

    def is_built(self) -> bool:
        """Return whether the cluster knows tables of ours: its metastore may be another one than last time."""
        with self.session() as session:
            schemas = {str(row[0]) for row in session.rows("show schemas")}
            return "marts" in schemas and bool(session.rows("show tables in marts"))

    def engine_versions(self) -> Mapping[str, str]:
        """Return the versions of dbt and Spark, and of DuckDB, which writes what is published."""
        with self.session() as session:
            spark = session.version
        return {**{name: version(name) for name in ("dbt-core", "dbt-spark", "duckdb")}, "spark": spark}

    def dbt_arguments(self) -> Sequence[str]:
        """Return the target of ``profiles.yml``."""
        return ("--target", "spark")

    def dbt_variables(self) -> Mapping[str, Any]:
        """Return where the Thrift server is, and the copies of the predictions that Spark can read."""
        return {
            "spark_host": self.cluster.host,
            "spark_port": self.cluster.port,
            "spark_user": self.cluster.user,
            "spark_auth": self.cluster.auth,
            "spark_kerberos_service_name": self.cluster.kerberos_service_name,
            "spark_use_ssl": self.cluster.use_ssl,
            "predictions_path": str(self._predictions_dir),
        }

    def dbt_environment(self) -> Mapping[str, str]:
        """Return the password, under a name whose value dbt strikes out of its logs."""
        password = self.cluster.password_text()
        return {} if password is None else {PASSWORD_VARIABLE: password}

    def take_predictions(self, use_cases: Sequence[str]) -> None:
        """Copy the predictions into files of one schema: Spark refuses files whose columns differ in type."""
        write_typed_predictions(self.settings.predictions_dir, self._predictions_dir, use_cases)

    def remove(self) -> None:
        """Remove the schemas of the layers with all tables, and the folder of what was made beside them."""
        with self.session() as session:
            for layer in LAYERS:
                session.run(f"drop schema if exists {layer} cascade")
        for folder in (self.settings.warehouse_path.parent, self._predictions_dir):
            if folder.exists():
                shutil.rmtree(folder)

    @property
    def _predictions_dir(self) -> Path:
        return local_cluster_dir(self.settings.home) / "predictions"

    def target_path(self) -> Path:
        """Return a folder of its own: what dbt parsed for another target does not hold for this one."""
        return self.settings.warehouse_path.with_name("dbt_target_spark")

    def table_facts(self) -> Mapping[Table, TableFacts]:
        """Return row count and columns of every table and view.

        The rows of all tables are counted by one statement, for which Spark reads the ends of the files only.
        """
        with self.session() as session:
            schemas = {str(row[0]) for row in session.rows("show schemas")}
            tables: dict[Table, bool] = {}
            for schema in sorted(schemas & set(LAYERS)):
                views = {str(row[1]) for row in session.rows(f"show views in {schema}")}
                tables |= {
                    (schema, str(row[1])): str(row[1]) in views for row in session.rows(f"show tables in {schema}")
                }
            counting = [
                f"select '{schema}' as schema_name, '{table}' as table_name, count(*) as counted from {schema}.{table}"
                for (schema, table), is_view in tables.items()
                if not is_view
            ]
            rows = (
                {(row[0], row[1]): int(row[2]) for row in session.rows(" union all ".join(counting))}
                if counting
                else {}
            )
            return {
                table: TableFacts(
                    tuple((name, kind.lower()) for name, kind in session.columns(*table)), rows=rows.get(table)
                )
                for table in tables
            }

    def open(self) -> "SparkMarts":
        """Return the marts of the cluster."""
        exports = self.settings.warehouse_path.with_name(f"exports-{uuid.uuid4().hex}")
        nodes = json.loads((DBT_PROJECT_DIR / MANIFEST).read_bytes())["nodes"]
        return SparkMarts(self._connected(), exports, nodes, self.settings.duckdb_memory_limit)

    def compiled(self) -> CompiledProject:
        """Return the project compiled for DuckDB, anew where its code or what its SQL depends on has changed.

        A release holds the statements of its features and runs them in DuckDB on the raw rows of a request. Here Spark
        has run its own; dbt translates the same models a second time, onto a file with the few tables that they ask.
        """
        import duckdb

        folder = self.settings.warehouse_path.with_name("compiled_for_duckdb")
        folder.mkdir(parents=True, exist_ok=True)
        database = folder / "asked.duckdb"
        database.unlink(missing_ok=True)
        code = [path.read_bytes() for path in project_files()]
        with self.session() as session, closing(duckdb.connect(str(database))) as connection:
            for (schema, table), limit in _TABLES_OF_DEFINITIONS.items():
                if session.has_table(schema, table):
                    _copy_table(session, connection, schema, table, limit)
            asked = [
                connection.execute(f"select count(*) > 0 from {schema}.{table}").fetchall()
                for schema, table in connection.execute(
                    "select schema_name, table_name from duckdb_tables() order by all"
                ).fetchall()
            ]
        variables = {**_variables_for_duckdb(self.settings), "warehouse_path": str(database)}
        made_from = hashlib.sha256(
            b"\0".join([*code, json.dumps([asked, variables], default=str).encode()])
        ).hexdigest()
        note, manifest = folder / "made_from", folder / "target" / "manifest.json"
        if not manifest.exists() or not note.exists() or note.read_text(encoding="utf-8") != made_from:
            note.unlink(missing_ok=True)
            _compile_for_duckdb(variables, manifest.parent)
            replace_text(note, made_from)
        return CompiledProject(manifest, database)

    @contextmanager
    def session(self) -> Iterator["ThriftSession"]:
        """Open a session.

        Raises:
            UnreachableError: The Thrift server does not answer.
            RightsError: It refuses the user.
        """
        session = self._connected()
        try:
            yield session
        finally:
            session.close()

    def _connected(self) -> "ThriftSession":
        return ThriftSession.open(self.cluster)


class ThriftSession:
    """A session on the Thrift server."""

    def __init__(self, connection: Any, address: str) -> None:
        self._connection = connection
        self._address = address

    @classmethod
    def open(cls, cluster: ClusterSettings) -> "ThriftSession":
        """Log in.

        Raises:
            UnreachableError: Nothing answers there, or what answers is no Thrift server.
            RightsError: The user is refused.
        """
        import socket

        from pyhive import hive
        from thrift.transport.TTransport import TTransportException

        try:
            # PyHive itself would wait for as long as the network does.
            with socket.create_connection((cluster.host, cluster.port), timeout=cluster.connect_seconds):
                pass
            connection = hive.connect(
                host=None if cluster.use_ssl else cluster.host,
                port=None if cluster.use_ssl else cluster.port,
                username=None if cluster.use_ssl else cluster.user,
                auth=None if cluster.use_ssl else cluster.auth,
                password=None if cluster.use_ssl else cluster.password_text(),
                kerberos_service_name=cluster.kerberos_service_name if cluster.auth == "KERBEROS" else None,
                thrift_transport=_tls_transport(cluster) if cluster.use_ssl else None,
                # Without the prefix the server would ignore them.
                configuration={f"set:hiveconf:{name}": value for name, value in SESSION_SETTINGS.items()},
            )
        except (OSError, TTransportException) as error:
            refused = "Error validating the login" in str(error) or "authentication" in str(error).lower()
            if refused:
                raise RightsError(
                    f"Spark's Thrift server at {cluster.address} refuses the user {cluster.user}. Check "
                    "KILOWISE_CLUSTER_USER, KILOWISE_CLUSTER_AUTH and the password's file."
                ) from error
            raise UnreachableError(
                f"Spark's Thrift server does not answer at {cluster.address} ({error}). Start it (`make cluster-up` on "
                "one machine), or set KILOWISE_CLUSTER_HOST and KILOWISE_CLUSTER_PORT to where it listens."
            ) from error
        return cls(connection, cluster.address)

    def close(self) -> None:
        """Log out."""
        self._connection.close()

    def run(self, statement: str) -> None:
        """Run a statement that returns nothing.

        Raises:
            SparkStatementError: Spark refuses it or fails.
            UnreachableError: The Thrift server went away.
        """
        self._executed(statement)

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """Return the rows of a query."""
        return [tuple(row) for row in self._executed(statement).fetchall()]

    def columns(self, schema: str, table: str) -> list[tuple[str, str]]:
        """Return name and type of each column, the type as DuckDB writes it."""
        described = self.rows(f"describe {schema}.{table}")
        names: dict[str, str] = {}
        for name, kind, *_ in described:
            # What follows says once more by which columns the files are divided.
            if not name or name.startswith("#"):
                break
            names[name] = duckdb_type(kind)
        return list(names.items())

    def has_table(self, schema: str, table: str) -> bool:
        """Return whether a table or view is there."""
        schemas = {str(row[0]) for row in self.rows("show schemas")}
        return schema in schemas and bool(self.rows(f"show tables in {schema} like '{table}'"))

    @cached_property
    def version(self) -> str:
        """Version of Spark."""
        return str(self.rows("select version()")[0][0]).split()[0]

    def _executed(self, statement: str) -> Any:
        from pyhive.exc import Error
        from thrift.transport.TTransport import TTransportException

        cursor = self._connection.cursor()
        try:
            cursor.execute(statement)
        except Error as error:
            raise SparkStatementError(_sentence_of(error)) from error
        except (OSError, TTransportException) as error:
            raise UnreachableError(
                f"Spark's Thrift server at {self._address} went away during a statement ({error}). Its log says why; "
                "start it again and then the run: months that were not finished are computed again."
            ) from error
        return cursor


class SparkStatementError(FormError):
    """Spark refused or failed a statement."""


@dataclass(frozen=True)
class SparkMarts:
    """The marts of the cluster, as they are published.

    Attributes:
        session: Session on the Thrift server.
        exports_dir: Folder into which Spark writes and from which DuckDB reads; removed at the end.
        nodes: The nodes of dbt's manifest, whose contracts say columns and types of the marts.
        memory_limit: DuckDB's memory limit, such as ``2GB``.
    """

    session: ThriftSession
    exports_dir: Path
    nodes: Mapping[str, Mapping[str, Any]]
    memory_limit: str

    def close(self) -> None:
        """Log out, and remove what Spark has written for us."""
        self.session.close()
        shutil.rmtree(self.exports_dir, ignore_errors=True)

    def content(self, schema: str, table: str) -> tuple[int, str]:
        """Return rows and hash of a table; Spark's version is part of the hash, since its hashes may differ."""
        columns = sorted(self.session.columns(schema, table))
        names = ", ".join(f"`{name}`" for name, _ in columns)
        rows, rows_hash = self.session.rows(
            f"select count(*), cast(sum(cast(xxhash64({names}) as decimal(38, 0))) as string) from {schema}.{table}"
        )[0]
        described = json.dumps([table, "spark", self.session.version, rows, rows_hash, columns])
        return int(rows), hashlib.sha256(described.encode()).hexdigest()

    def export(self, mart: str, order: Sequence[str], path: Path) -> None:
        """Write a mart in an order to one Parquet file: sorted by Spark, with the columns and types of the contract."""
        import duckdb

        columns = self._contract(mart)
        parts = self.exports_dir / mart
        names = ", ".join(f"`{name}`" for name in columns)
        ordering = ", ".join(f"`{name}` nulls last" for name in order)
        self.session.run(
            f"insert overwrite directory '{parts.as_uri()}' using parquet "
            f"select {names} from marts.{mart} order by {ordering}"
        )
        casts = ", ".join(f'cast("{name}" as {kind}) as "{name}"' for name, kind in columns.items())
        # Spark numbers its files in the order of the rows, and a file is read from its start.
        files = sorted(str(part) for part in parts.glob("part-*.parquet"))
        limits = {"memory_limit": self.memory_limit, "preserve_insertion_order": True}
        with closing(duckdb.connect(config=limits)) as connection:
            connection.execute(
                f"copy (select {casts} from read_parquet(?, hive_partitioning = false)) "
                f"to '{path}' (format parquet, compression zstd, compression_level 1)",
                [files],
            )
        shutil.rmtree(parts)

    def months_content(self, model: str) -> str:
        """Return a hash over the notes of the materialization `monthly_batches`."""
        months = self.session.rows(
            "select model_name, model_fingerprint, month_number, fingerprint from intermediate.processed_months "
            f"where model_name = '{model}' order by month_number, fingerprint"
        )
        return hashlib.sha256(json.dumps(months, default=str).encode()).hexdigest()

    def _contract(self, mart: str) -> dict[str, str]:
        node = self.nodes[f"model.kilowise.{mart}"]
        return {name: str(column["data_type"]) for name, column in node["columns"].items()}


def duckdb_type(kind: str) -> str:
    """Return a type of Spark as DuckDB writes it, such as ``DECIMAL(18,2)`` or ``INTEGER[]``.

    Raises:
        FormError: None of our tables has such a type.
    """
    kind = kind.strip().lower()
    if kind in _DUCKDB_TYPES:
        return _DUCKDB_TYPES[kind]
    if kind.startswith("decimal("):
        return kind.upper().replace(" ", "")
    if kind.startswith("array<") and kind.endswith(">"):
        return f"{duckdb_type(kind[6:-1])}[]"
    if kind.startswith("struct<") and kind.endswith(">"):
        fields = [field.split(":", 1) for field in _split_outside_brackets(kind[7:-1])]
        return f"STRUCT({', '.join(f'{name.strip()} {duckdb_type(inner)}' for name, inner in fields)})"
    raise FormError(f"Spark's type {kind} has no counterpart that is read after dbt; cast the column in its model.")


def _split_outside_brackets(text: str) -> list[str]:
    parts, depth = [""], 0
    for letter in text:
        depth += (letter in "<(") - (letter in ">)")
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return parts


def check_versions(session: ThriftSession) -> None:
    """Refuse a Spark of another release than the pyspark of this environment, and a Java that Spark does not run on.

    Raises:
        VersionError: Either does not fit.
    """
    ours = version("pyspark")
    if session.version.split(".")[:2] != ours.split(".")[:2]:
        raise VersionError(
            f"The cluster runs Spark {session.version}, and this environment has pyspark {ours}: their first two "
            "numbers must be equal. Install the one or the other."
        )
    told = session.rows("select java_method('java.lang.System', 'getProperty', 'java.version')")[0][0]
    if java_release(str(told)) not in JAVA_VERSIONS:
        raise VersionError(
            f"The cluster's Thrift server runs on Java {told}; Spark needs Java {' or '.join(map(str, JAVA_VERSIONS))}."
        )


def check_clock(session: ThriftSession) -> None:
    """Refuse a cluster whose clock differs from ours: rows count from the time at which they became known.

    Raises:
        ClockError: They differ by more than two minutes.
    """
    before = datetime.now(UTC).timestamp()
    theirs = int(session.rows("select unix_micros(current_timestamp())")[0][0]) / 1e6
    after = datetime.now(UTC).timestamp()
    skew = max(before - theirs, theirs - after, 0.0)
    if skew > CLOCK_TOLERANCE_SECONDS:
        raise ClockError(
            f"The cluster's clock differs from this machine's by {skew:,.0f} s. Let both follow one time server "
            "(chrony or systemd-timesyncd), then start again."
        )


def check_rights(session: ThriftSession) -> None:
    """Refuse a user who may not make the schemas and tables of the layers.

    Raises:
        RightsError: One of them is refused; the message holds Spark's own words.
    """
    probe = f"marts.kilowise_probe_{uuid.uuid4().hex}"
    try:
        for layer in LAYERS:
            session.run(f"create schema if not exists {layer}")
        session.run(f"create table {probe} using parquet as select 1 as one")
        session.run(f"drop table {probe}")
    except SparkStatementError as error:
        raise RightsError(
            f"The cluster does not let this user make tables: {error} Grant create, write and drop in the schemas "
            f"{', '.join(LAYERS)}."
        ) from error


def check_shared_folder(session: ThriftSession, home: Path) -> None:
    """Refuse a cluster that does not see the folder of all state, or may not write to it.

    Raises:
        RightsError: What it writes there does not arrive here.
    """
    folder = home / "warehouse" / f"probe-{uuid.uuid4().hex}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    remedy = (
        f"Mount the folder of all state (KILOWISE_HOME={home}) under this same path on every machine of the cluster, "
        "writable for the user that Spark runs as."
    )
    try:
        session.run(f"insert overwrite directory '{folder.as_uri()}' using parquet select 1 as one")
        if not list(folder.glob("part-*.parquet")):
            raise RightsError(f"What Spark writes to {folder} does not arrive on this machine. {remedy}")
    except SparkStatementError as error:
        raise RightsError(f"Spark cannot write to {folder}: {error} {remedy}") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _sentence_of(error: Exception) -> str:
    """Return what Spark says of a failure without its hundred lines of Java."""
    response = error.args[0] if error.args else None
    status = getattr(response, "status", None)
    text = str(getattr(status, "errorMessage", None) or response or error)
    found = re.search(r"\[[A-Z_]+(?:\.[A-Z_]+)*\].*?(?=SQLSTATE|\n|$)", text)
    return (found.group(0) if found else text.splitlines()[0]).strip()


def _tls_transport(cluster: ClusterSettings) -> Any:
    from dbt.adapters.spark.connections import build_ssl_transport

    return build_ssl_transport(
        host=cluster.host,
        port=cluster.port,
        username=cluster.user,
        auth=cluster.auth,
        kerberos_service_name=cluster.kerberos_service_name,
        password=cluster.password_text(),
    )


def _copy_table(session: ThriftSession, connection: Any, schema: str, table: str, limit: str) -> None:
    """Copy a small table into DuckDB, its values as text on the way."""
    columns = session.columns(schema, table)
    texts = ", ".join(f"cast(`{name}` as string)" for name, _ in columns)
    rows = session.rows(f"select {texts} from {schema}.{table} {limit}")
    connection.execute(f"create schema if not exists {schema}")
    described = ", ".join(f'"{name}" {kind}' for name, kind in columns)
    connection.execute(f"create table {schema}.{table} ({described})")
    if rows:
        marks = ", ".join(f"cast(? as {kind})" for _, kind in columns)
        connection.executemany(f"insert into {schema}.{table} values ({marks})", rows)


def _variables_for_duckdb(settings: PlatformSettings) -> dict[str, Any]:
    from orchestration.dbt import dbt_variables
    from orchestration.forms.duckdb_warehouse import DuckDBWarehouse

    return dbt_variables(settings, DuckDBWarehouse(settings))


def _compile_for_duckdb(variables: Mapping[str, Any], target_path: Path) -> None:
    command = [str(Path(sys.executable).parent / "dbt"), "--quiet", "compile", "--target", "local"]
    command += ["--profiles-dir", str(DBT_PROJECT_DIR), "--project-dir", str(DBT_PROJECT_DIR)]
    command += ["--target-path", str(target_path), "--log-path", str(target_path), "--vars", json.dumps(variables)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  (dbt, with our own arguments)
    if done.returncode != 0:
        raise FormError(
            "dbt cannot write the models in DuckDB's SQL, which releases hold. Its log says why: "
            f"{target_path / 'dbt.log'}"
        )
