"""A Spark cluster on this machine alone, for trying the cluster form and for its tests.

A standalone master, two workers of one core, and a Thrift server, all from the pyspark package and all on loopback.
Tables, metastore and logs lie in one folder; the processes are noted there and ended by that note only.
"""

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from orchestration.files import replace_text
from orchestration.forms.cluster import ClusterSettings, local_cluster_dir, local_secret_path
from orchestration.forms.errors import FormError, GroupMissingError, UnreachableError, VersionError

JAVA_VERSIONS = (17, 21)
"""Releases of Java with which Spark 4 is tested."""
WORKERS = 2
# On one real core: the Thrift server holds half of them, a training beside it the rest.
_SLOTS_OF_WORKER = 2
SESSION_SETTINGS: Mapping[str, str] = {
    # What overflows or cannot be cast is an error, not a missing value.
    "spark.sql.ansi.enabled": "true",
    # Every instant is UTC, and a timestamp has no zone, as in DuckDB.
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.timestampType": "TIMESTAMP_NTZ",
    # Overwriting replaces the months that the rows hold, not the table.
    "spark.sql.sources.partitionOverwriteMode": "dynamic",
    "spark.sql.sources.default": "parquet",
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    # Some metastores filter months by nothing but texts: then Spark reads the list of all months, which is short.
    "spark.sql.hive.metastorePartitionPruningFallbackOnException": "true",
    # A run that was killed may have left files where the table that it was making would lie.
    "spark.sql.legacy.allowNonEmptyLocationInCTAS": "true",
}
"""What every session of Kilowise sets, whatever the cluster's own defaults are; profiles.yml says the same to dbt."""

_MASTER = "org.apache.spark.deploy.master.Master"
_WORKER = "org.apache.spark.deploy.worker.Worker"
_THRIFT_SERVER = "org.apache.spark.sql.hive.thriftserver.HiveThriftServer2"
_MASTER_NAME, _THRIFT = "master", "thrift-server"
_START_SECONDS = 180
_END_SECONDS = 30
# Programs of minutes on two cores: what a longer compilation and more threads to collect garbage would gain, they cost.
_JAVA_OPTIONS = "-XX:+UseSerialGC -XX:TieredStopAtLevel=1"


@dataclass(frozen=True)
class Process:
    """A process of the cluster.

    Attributes:
        name: What it is.
        pid: Its id.
        started_at: When it was created, by which a later process of the same id is told apart.
        port: Where it listens.
    """

    name: str
    pid: int
    started_at: float
    port: int


@dataclass(frozen=True)
class _Start:
    """How a process is started: a program of pyspark, its arguments, and the heap of its Java."""

    name: str
    port: int
    program: str
    arguments: tuple[str, ...]
    heap: str = "256m"


@dataclass(frozen=True)
class LocalCluster:
    """The cluster of one home.

    Attributes:
        home: Folder of all state; the cluster's is below it.
        settings: Host and the first of its ten ports.
    """

    home: Path
    settings: ClusterSettings
    # Kept, so that Python does not take a process that outlives it for one that was forgotten.
    _started: list["subprocess.Popen[bytes]"] = field(default_factory=list, init=False, repr=False, compare=False)

    @property
    def folder(self) -> Path:
        """Folder of its tables, metastore, logs and notes."""
        return local_cluster_dir(self.home)

    @property
    def tables_dir(self) -> Path:
        """Folder of Spark's tables."""
        return self.folder / "tables"

    def up(self, say: Callable[[str], None] = print) -> None:
        """Start what is not running yet, and wait until the Thrift server answers.

        Raises:
            FormError: Java or pyspark is missing, a port is taken, or a process ended; the message says what to do.
        """
        if self.settings.host not in ("127.0.0.1", "localhost"):
            raise FormError(
                f"KILOWISE_CLUSTER_HOST={self.settings.host} is another machine's; `make cluster-up` starts a cluster "
                "on this one. Unset it to try Spark here; leave `make cluster-up` out to use that one."
            )
        spark_home, java = _spark_home(), check_java()
        for name in ("logs", "work", "temporary", "tables", "conf"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o700)
        self._write_configuration()
        running = {process.name: process for process in self.processes()}
        for start in self._starts():
            if start.name in running:
                continue
            _refuse_taken_port(start)
            with (self.folder / "logs" / f"{start.name}.log").open("ab") as log:
                started = subprocess.Popen(  # noqa: S603  (a program of the installed package, with our own arguments)
                    [str(spark_home / "bin" / start.program), *start.arguments],
                    cwd=self.folder,
                    env=self._environment(spark_home, java, start.heap),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            self._started.append(started)
            running[start.name] = Process(start.name, started.pid, _created_at(started.pid), start.port)
            self._note(list(running.values()))
            if start.name == _MASTER_NAME:
                # A worker that finds none tries again only after some seconds, and gives up on a busy machine.
                self._wait_for(running[start.name])
        for process in sorted(running.values(), key=lambda process: process.name == _THRIFT):
            self._wait_for(process)
        for process in running.values():
            say(f"{process.name} listens on {self.settings.host}:{process.port} (process {process.pid})")
        page = f"http://{self.settings.host}:{self.settings.port + 2}"
        say(f"Spark is up: dbt reaches it at {self.settings.address}; its page is {page}")

    def down(self, say: Callable[[str], None] = print) -> None:
        """End the processes that this folder names; tables and metastore stay."""
        import psutil

        # The Thrift server first: it lets its executors go and closes the metastore.
        processes = sorted(self.processes(), key=lambda process: process.port)
        for process in processes:
            found = psutil.Process(process.pid)
            family = [found, *found.children(recursive=True)]
            found.terminate()
            _, alive = psutil.wait_procs(family, timeout=_END_SECONDS)
            for left in alive:
                left.kill()
            psutil.wait_procs(alive, timeout=_END_SECONDS)
            say(f"{process.name} has ended (process {process.pid})")
        for started in self._started:
            started.wait(timeout=_END_SECONDS)
        self._started.clear()
        self._notes_path.unlink(missing_ok=True)
        for name in ("work", "temporary"):
            shutil.rmtree(self.folder / name, ignore_errors=True)
        if not processes:
            say(f"Nothing of the cluster in {self.folder} is running.")

    def processes(self) -> list[Process]:
        """Return the noted processes that still run."""
        import psutil

        if not self._notes_path.exists():
            return []
        noted = [Process(**entry) for entry in json.loads(self._notes_path.read_bytes())]
        return [
            process
            for process in noted
            if psutil.pid_exists(process.pid)
            and psutil.Process(process.pid).status() != psutil.STATUS_ZOMBIE
            and abs(_created_at(process.pid) - process.started_at) < 1
        ]

    def _starts(self) -> list["_Start"]:
        """Return the programs in the order in which they start."""
        host, first = self.settings.host, self.settings.port
        master = [_MASTER, "--host", host, "--port", f"{first + 1}", "--webui-port", f"{first + 2}"]
        worker = [_WORKER, "--host", host, "--cores", f"{_SLOTS_OF_WORKER}", "--memory", self._offered_memory()]
        worker += ["--work-dir", str(self.folder / "work"), self.settings.master_url]
        workers = [
            _Start(
                f"worker-{number}",
                first + 2 + number,
                "spark-class",
                (*worker, "--port", f"{first + 2 + number}", "--webui-port", f"{first + 4 + number}"),
            )
            for number in range(1, WORKERS + 1)
        ]
        thrift_server = _Start(_THRIFT, first, "spark-submit", ("--class", _THRIFT_SERVER, "spark-internal"), "1g")
        return [_Start(_MASTER_NAME, first + 1, "spark-class", tuple(master)), *workers, thrift_server]

    @property
    def _notes_path(self) -> Path:
        return self.folder / "processes.json"

    def _note(self, processes: Sequence[Process]) -> None:
        replace_text(self._notes_path, json.dumps([vars(process) for process in processes], indent=2))

    def _wait_for(self, process: Process) -> None:
        until = time.monotonic() + _START_SECONDS
        while time.monotonic() < until:
            if process not in self.processes():
                break
            with socket.socket() as connection:
                if connection.connect_ex((self.settings.host, process.port)) == 0:
                    return
            time.sleep(0.25)
        raise UnreachableError(
            f"{process.name} of Spark has ended, or does not listen on {self.settings.host}:{process.port} after "
            f"{_START_SECONDS} s. Its log says why: {self.folder / 'logs' / f'{process.name}.log'}; "
            "`make cluster-down` ends the rest."
        )

    def _offered_memory(self) -> str:
        """Return what a worker offers: the heaps of its executors and what Spark adds to them."""
        number, unit = int(self.settings.worker_memory[:-1]), self.settings.worker_memory[-1]
        heap = number * (1024 if unit == "g" else 1)
        return f"{_SLOTS_OF_WORKER * (heap * 11 // 10 + 384)}m"

    def _write_configuration(self) -> None:
        secret_path = local_secret_path(self.home)
        if not secret_path.exists():
            secret_path.touch(mode=0o600)
            secret_path.write_text(secrets.token_hex(32), encoding="utf-8")
        host, first = self.settings.host, self.settings.port
        metastore = f"jdbc:derby:;databaseName={self.folder / 'metastore'};create=true"
        entries = {
            **SESSION_SETTINGS,
            "spark.master": self.settings.master_url,
            "spark.app.name": "kilowise",
            "spark.authenticate": "true",
            "spark.authenticate.secret": secret_path.read_text(encoding="utf-8"),
            "spark.cores.max": WORKERS,
            "spark.driver.bindAddress": host,
            "spark.driver.extraJavaOptions": _JAVA_OPTIONS,
            "spark.driver.host": host,
            "spark.executor.cores": 1,
            "spark.executor.extraJavaOptions": _JAVA_OPTIONS,
            "spark.executor.memory": self.settings.worker_memory,
            "spark.hadoop.hive.server2.thrift.bind.host": host,
            "spark.hadoop.hive.server2.thrift.port": first,
            "spark.hadoop.javax.jdo.option.ConnectionURL": metastore,
            "spark.local.dir": self.folder / "temporary",
            "spark.master.rest.enabled": "false",
            # On one machine a process that died is seen by its connection; one that is silent has no processor.
            "spark.network.timeout": "600s",
            "spark.sql.catalogImplementation": "hive",
            # Small files: opening one costs little, so that the largest are not all read by one task; and asking the
            # folder for them takes this process less time than giving out tasks that ask.
            "spark.sql.files.openCostInBytes": 2**16,
            "spark.sql.sources.parallelPartitionDiscovery.threshold": 10_000,
            # Two cores: hundreds of small parts would cost more than they spread.
            "spark.sql.shuffle.partitions": 2 * WORKERS,
            "spark.sql.warehouse.dir": self.tables_dir.as_uri(),
            "spark.ui.port": first + 7,
            "spark.ui.showConsoleProgress": "false",
        }  # fmt: skip
        path = self.folder / "conf" / "spark-defaults.conf"
        replace_text(path, "".join(f"{name} {value}\n" for name, value in entries.items()))
        path.chmod(0o600)

    def _environment(self, spark_home: Path, java: Path, heap: str) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TZ") if name in os.environ}
        return {
            **kept,
            "JAVA_HOME": str(java.resolve().parent.parent),
            "PYSPARK_PYTHON": sys.executable,
            "SPARK_CONF_DIR": str(self.folder / "conf"),
            "SPARK_DAEMON_JAVA_OPTS": _JAVA_OPTIONS,
            "SPARK_DAEMON_MEMORY": heap,
            "SPARK_HOME": str(spark_home),
            "SPARK_LOCAL_IP": self.settings.host,
            "SPARK_NO_DAEMONIZE": "1",
        }


def check_java() -> Path:
    """Return the program `java`.

    Raises:
        FormError: There is none, or its release is not one that Spark runs on.
    """
    home = os.environ.get("JAVA_HOME")
    named = Path(home) / "bin" / "java" if home else None
    found = str(named) if named is not None and named.exists() else shutil.which("java")
    wanted = " or ".join(map(str, JAVA_VERSIONS))
    if found is None:
        raise VersionError(
            f"No Java is installed, and Spark needs Java {wanted}: `apt-get install openjdk-17-jre-headless`, or point "
            "JAVA_HOME at one."
        )
    told = subprocess.run([found, "-version"], capture_output=True, text=True, check=False).stderr  # noqa: S603
    release = java_release(told)
    if release not in JAVA_VERSIONS:
        raise VersionError(
            f"{found} is Java {release or 'of an unknown release'}, and Spark needs Java {wanted}. Point JAVA_HOME at "
            "one: `apt-get install openjdk-17-jre-headless`."
        )
    return Path(found)


def java_release(told: str) -> int | None:
    """Return the release in what ``java -version`` or ``java.version`` tells, such as 17 of ``17.0.15``."""
    quoted = told.split('"')[1] if told.count('"') >= 2 else told.strip()
    parts = quoted.split(".")
    # Up to Java 8 the release was the second number.
    number = parts[1] if parts[0] == "1" and len(parts) > 1 else parts[0].split("-")[0].split("+")[0]
    return int(number) if number.isdecimal() else None


def _spark_home() -> Path:
    spec = find_spec("pyspark")
    if spec is None or spec.origin is None:
        raise GroupMissingError("pyspark is not installed; `make env-cluster` adds what the cluster form needs.")
    return Path(spec.origin).parent


def _refuse_taken_port(start: _Start) -> None:
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            connection.bind(("127.0.0.1", start.port))
        except OSError as error:
            raise FormError(
                f"Port {start.port} for Spark's {start.name} is taken by another program. Set "
                "KILOWISE_CLUSTER_PORT to the first of ten free ports."
            ) from error


def _created_at(pid: int) -> float:
    import psutil

    return psutil.Process(pid).create_time()
