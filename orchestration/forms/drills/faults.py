"""The drills of the server form: what can die in the middle of a run."""

import re
from collections.abc import Sequence

import psutil

from orchestration.forms.drills.drill import Drill
from orchestration.forms.drills.scratch import DrillError, DrillPlatform, Event, kill_tree
from orchestration.forms.run_launcher import connect
from orchestration.forms.step_tasks import holder_of

LANDING, DBT = "land_deliveries", "dbt_models"
_RUN_PROCESS = re.compile(r"Started process for run \(pid: (\d+)\)")


def _worker(platform: DrillPlatform, _events: Sequence[Event]) -> str:
    """Kill a worker with everything below it, as the loss of its machine would."""
    holder = holder_of(connect(platform.server), DBT)
    if holder is None:
        raise DrillError(f"No worker holds {DBT}.")
    step = psutil.Process(int(holder.rpartition(":")[2]))
    worker = step.parent()
    if worker is None:
        raise DrillError("The worker ended by itself.")
    return f"kill -9 of a worker and the {kill_tree(worker.pid) - 1} processes below it"


def _run_process(_platform: DrillPlatform, events: Sequence[Event]) -> str:
    pids = [int(found[1]) for event in events if (found := _RUN_PROCESS.search(event.message))]
    if not pids:
        raise DrillError("The run did not tell its process.")
    kill_tree(pids[-1])
    return "kill -9 of the run's process"


def _part(name: str, what: str, platform: DrillPlatform) -> str:
    count = kill_tree(platform.pid_of(name))
    return f"kill -9 of {what}" + (f" ({count} processes)" if count > 1 else "")


def _code_server(platform: DrillPlatform, _events: Sequence[Event]) -> str:
    """Kill the code server with the runs that it started."""
    return _part("code-server", "the code server", platform)


DRILLS = (
    Drill("undisturbed", "nothing"),
    Drill("worker", "a worker", DBT, 6.0, _worker),
    Drill("run-process", "the run's process", LANDING, 3.0, _run_process),
    Drill("postgresql", "PostgreSQL", DBT, 4.0, lambda platform, _events: _part("postgresql", "PostgreSQL", platform)),
    Drill("redis", "Redis", DBT, 4.0, lambda platform, _events: _part("redis", "Redis", platform)),
    Drill("daemon", "the daemon", DBT, 2.0, lambda platform, _events: _part("daemon", "the daemon", platform)),
    Drill("code-server", "the code server", LANDING, 3.0, _code_server),
)
