"""A scratch platform in the server form, on ports of its own: made, set back, looked at and hurt by drills."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import psutil
import psycopg2

from ml.errors import KilowiseError
from orchestration.forms import local_server
from orchestration.forms.server import ServerSettings
from orchestration.settings import PROJECT_ROOT

LEASE_SECONDS = 20
# The smallest supplier whose three models pass their gates, and one that is smaller still and has none.
SUPPLIER: Mapping[str, str] = {
    "KILOWISE_SIMULATED_CUSTOMERS": "420",
    "KILOWISE_DEFAULT_DAYS": "10",
    "KILOWISE_REVIEW_MONTHS": "1",
}
SMALL_SUPPLIER: Mapping[str, str] = {
    **SUPPLIER,
    "KILOWISE_SIMULATED_CUSTOMERS": "60",
    "KILOWISE_SIMULATED_MONTHS": "13",
}
_FIRST_PORT, _LAST_PORT = 12000, 12999
# A machine that does other work as well answers late.
_CONNECT_SECONDS = 60
_MADE_BY_THE_JOB = ("landing", "marts", "portraits", "predictions")
_RELEASE_FILES = ("CURRENT", "history.jsonl")
_INHERITED_BUT = ("KILOWISE_", "DAGSTER_", "BENTOML_HOME", "DBT_")


class DrillError(KilowiseError):
    """A drill could not be done, which says nothing about the platform."""


@dataclass(frozen=True, slots=True)
class Event:
    """A line of a run's log.

    Attributes:
        run_id: The run.
        kind: Dagster's name of the kind of event; empty for a plain message.
        step: Step that it is about; empty for the run.
        message: What it says.
        asset: Asset and partition that were made; empty for other events.
        at: Seconds since the epoch.
    """

    run_id: str
    kind: str
    step: str
    message: str
    asset: str
    at: float


class DrillPlatform:
    """A home in the server form.

    Args:
        root: Folder for everything; another user must be able to enter it, as PostgreSQL does not run as root.
        workers: Workers to start.
        supplier: Settings of the simulated supplier.
    """

    def __init__(self, root: Path, workers: int = 2, supplier: Mapping[str, str] = SUPPLIER) -> None:
        self.root, self._supplier = root, supplier
        self.finished, self.home = root / "finished", root / "home"
        self.is_small = supplier is SMALL_SUPPLIER
        postgres, redis, web, code = _ports(root / "ports.json", 4)
        self.server = ServerSettings(
            home=self.home,
            local_postgres_port=postgres,
            local_redis_port=redis,
            webserver_url=f"http://127.0.0.1:{web}",
            code_server_port=code,
            lease_seconds=LEASE_SECONDS,
            local_workers=workers,
            postgres_url=None,
            redis_url=None,
            _env_file=None,
        )

    def environment(self, home: Path | None = None, profile: str = "server") -> dict[str, str]:
        """Return the environment of a process of this platform, without what the caller has set."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(_INHERITED_BUT)}
        chosen = ["local_postgres_port", "local_redis_port", "webserver_url", "code_server_port"]
        chosen += ["lease_seconds", "local_workers"]
        return {
            **inherited,
            **self._supplier,
            **{f"KILOWISE_SERVER_{name.upper()}": str(getattr(self.server, name)) for name in chosen},
            "KILOWISE_HOME": str(home or self.home),
            "KILOWISE_PROFILE": profile,
            "DAGSTER_DISABLE_TELEMETRY": "1",
            "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
            "BENTOML_DO_NOT_TRACK": "True",
        }

    def finish_once(self, say: Callable[[str], None]) -> None:
        """Make the undisturbed home: the main job in one process; kept for later drills."""
        if (self.finished / "marts" / "after_models" / "CURRENT").exists():
            return
        say("Making the undisturbed home: the main job in one process.")
        self.command("run", home=self.finished, profile="embedded")

    def command(self, *words: str, home: Path | None = None, profile: str = "server") -> str:
        """Run a command of the platform and return what it said.

        Raises:
            DrillError: If it fails.
        """
        done = subprocess.run(  # noqa: S603  our own command
            [sys.executable, "-m", "orchestration", *words],
            cwd=PROJECT_ROOT,
            env=self.environment(home, profile),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise DrillError(f"`{' '.join(words)}` failed: {(done.stderr or done.stdout)[-2000:]}")
        return done.stdout

    def up(self) -> None:
        """Start what does not run, as a supervisor of processes would."""
        self.command("server", "up")
        # A connection of the web server that the database dropped fails the first request that uses it.
        wait_until("an answer of the web server", self._answers, _CONNECT_SECONDS)

    def _answers(self) -> bool:
        query = "{ runsOrError(limit: 1) { __typename } }"
        return bool(self.ask(query)["runsOrError"]["__typename"] == "Runs")

    def begin(self) -> None:
        """Start with an empty home, whatever earlier drills left in a folder that is kept."""
        if self.home.exists():
            self.down()
            shutil.rmtree(self.home)
        self.up()
        self.stop_sensors()

    def down(self) -> None:
        """End everything that was started."""
        self.command("server", "down")

    def stop_sensors(self) -> None:
        """Stop what starts runs by itself: the only runs are to be those of the drill."""
        where = '{repositoryName: "__repository__", repositoryLocationName: "kilowise"}'
        found = self.ask(
            f"{{ sensorsOrError(repositorySelector: {where}) {{ ... on Sensors {{ results {{ id }} }} }} }}"
        )
        for sensor in found["sensorsOrError"]["results"]:
            self.ask(f'mutation {{ stopSensor(id: "{sensor["id"]}") {{ __typename }} }}')

    def ask(self, query: str) -> dict[str, Any]:
        """Ask Dagster's web server, in GraphQL.

        Raises:
            DrillError: If it refuses.
        """
        request = Request(  # noqa: S310  our own web server
            f"{self.server.webserver_url}/graphql",
            json.dumps({"query": query}).encode(),
            {"Content-Type": "application/json"},
        )
        with urlopen(request, timeout=60) as answer:  # noqa: S310
            told = json.load(answer)
        if "errors" in told:
            raise DrillError(f"Dagster's web server refuses {query}: {told['errors']}")
        data: dict[str, Any] = told["data"]
        return data

    def set_back(self) -> None:
        """Make the home what it was before the job: deliveries and models are there, and nothing made of them."""
        for folder in self.home.glob("*"):
            if folder.name not in ("server", "dagster"):
                shutil.rmtree(folder) if folder.is_dir() else folder.unlink()
        for source in self.finished.iterdir():
            if source.name in (*_MADE_BY_THE_JOB, "server", "dagster", "warehouse"):
                continue
            copy = shutil.copytree if source.is_dir() else shutil.copy2
            copy(source, self.home / source.name)
        for release in (self.home / "releases" / "segmentation").glob("*"):
            if release.is_dir():
                shutil.rmtree(release)
            elif release.name in _RELEASE_FILES:
                release.unlink()

    def pid_of(self, name: str) -> int:
        """Return the process of a part of the platform.

        Raises:
            DrillError: If it does not run.
        """
        for running in local_server.running(self.server):
            if running.name == name and running.pid is not None:
                return running.pid
        raise DrillError(f"{name} does not run.")

    def rows(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Ask Dagster's database.

        Raises:
            psycopg2.OperationalError: If it does not answer.
        """
        url = self.server.postgres().get_secret_value()
        connection = psycopg2.connect(url, connect_timeout=_CONNECT_SECONDS)
        with closing(connection), connection.cursor() as cursor:
            cursor.execute(statement, values)
            return cursor.fetchall()

    def last_event(self) -> int:
        """Return the number of the last event of any run."""
        return int(self.rows("select coalesce(max(id), 0) from event_logs")[0][0])

    def events(self, after: int = 0) -> list[Event]:
        """Return the events of all runs after one, oldest first."""
        found = self.rows("select event, partition from event_logs where id > %s order by id", after)
        return [_event(json.loads(text), partition) for text, partition in found]

    def unfinished_runs(self) -> int:
        """Return how many runs have not ended."""
        ended = ("SUCCESS", "FAILURE", "CANCELED")
        return int(self.rows("select count(*) from runs where not status = any(%s)", list(ended))[0][0])

    def held_places(self) -> int:
        """Return the places in pools that are taken or waited for."""
        statement = "select (select count(*) from concurrency_slots where run_id is not null and not deleted)"
        return int(self.rows(f"{statement} + (select count(*) from pending_steps)")[0][0])


def kill_tree(pid: int) -> int:
    """Kill a process and everything below it, as the loss of its machine would; return how many."""
    process = psutil.Process(pid)
    everything = [process, *process.children(recursive=True)]
    for one in everything:
        one.send_signal(signal.SIGKILL)
    psutil.wait_procs(everything, timeout=10)
    return len(everything)


def wait_until(what: str, is_so: Callable[[], bool], seconds: float, every: float = 0.2) -> None:
    """Wait until something is so.

    Raises:
        DrillError: If it does not come.
    """
    end = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > end:
            raise DrillError(f"{what} did not come within {seconds:.0f} s.")
        time.sleep(every)


def _event(entry: Mapping[str, Any], partition: str | None) -> Event:
    event = entry.get("dagster_event") or {}
    kind = event.get("event_type_value", "")
    asset = ""
    if kind == "ASSET_MATERIALIZATION":
        made = event["event_specific_data"]["materialization"]
        asset = "/".join([*made["asset_key"]["path"], *([partition] if partition else [])])
    return Event(
        run_id=entry["run_id"],
        kind=kind,
        step=event.get("step_key") or entry.get("step_key") or "",
        message=_cause(event) if kind == "STEP_FAILURE" else event.get("message") or entry.get("user_message") or "",
        asset=asset,
        at=float(entry["timestamp"]),
    )


def _cause(event: Mapping[str, Any]) -> str:
    """Return what a step says about its own failure: the innermost error."""
    data = event["event_specific_data"]
    described = (data.get("user_failure_data") or {}).get("description")
    error = data.get("error") or {}
    while error.get("cause"):
        error = error["cause"]
    return described or error.get("message") or event["message"]


def _ports(file: Path, count: int) -> list[int]:
    """Return the ports of a folder: those that it had before, as its processes may still run."""
    if not file.exists():
        file.write_text(json.dumps(_free_ports(count)), encoding="utf-8")
    found: list[int] = json.loads(file.read_bytes())
    return found


def _free_ports(count: int) -> list[int]:
    found: list[int] = []
    for port in range(_FIRST_PORT, _LAST_PORT + 1):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                found.append(port)
        if len(found) == count:
            return found
    raise DrillError(f"No {count} ports are free between {_FIRST_PORT} and {_LAST_PORT}.")
