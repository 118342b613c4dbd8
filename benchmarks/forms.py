"""The main job of a small supplier in any form of the platform, for the figures that compare them."""

import os
import socket
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks.harness import PROJECT_ROOT, ProcessRun, run_measured

CUSTOMERS = 420
"""Customers of the supplier: few, and its models pass all gates."""

_SUPPLIER = {
    "KILOWISE_SIMULATED_CUSTOMERS": str(CUSTOMERS),
    "KILOWISE_DEFAULT_DAYS": "10",
    "KILOWISE_REVIEW_MONTHS": "1",
}
_SERVERS: Mapping[str, Sequence[str]] = {
    "embedded": (),
    "server": ("server",),
    "cluster": ("cluster", "server"),
}


@contextmanager
def folder_for_homes() -> Iterator[Path]:
    """Yield a folder that goes at the end; PostgreSQL, which runs as another user than root, may come in."""
    with tempfile.TemporaryDirectory(prefix="kilowise-forms-") as folder:
        root = Path(folder)
        root.chmod(0o755)
        yield root


def main_job(home: Path, profile: str) -> ProcessRun:
    """Do the main job in a new home; the servers of the form are started before and ended after, unmeasured.

    Raises:
        RuntimeError: A command failed; the message ends with what it said.
    """
    environment = _environment(home, profile)
    with ExitStack() as stack:
        for servers in _SERVERS[profile]:
            stack.callback(_orchestration, [servers, "down"], environment)
            _orchestration([servers, "up"], environment)
        return _orchestration(["run"], environment)


def _environment(home: Path, profile: str) -> dict[str, str]:
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("KILOWISE_", "DAGSTER_", "BENTOML_HOME", "DBT_"))
    }
    postgres, redis, code, web = _free_ports(4)
    return {
        **inherited,
        **_SUPPLIER,
        "KILOWISE_HOME": str(home),
        "KILOWISE_PROFILE": profile,
        # Beside a platform that is at work on the usual ports.
        "KILOWISE_SERVER_LOCAL_POSTGRES_PORT": str(postgres),
        "KILOWISE_SERVER_LOCAL_REDIS_PORT": str(redis),
        "KILOWISE_SERVER_CODE_SERVER_PORT": str(code),
        "KILOWISE_SERVER_WEBSERVER_URL": f"http://127.0.0.1:{web}",
        "DAGSTER_DISABLE_TELEMETRY": "1",
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
        "BENTOML_DO_NOT_TRACK": "True",
    }


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [opened.getsockname()[1] for opened in sockets]


def _orchestration(words: Sequence[str], environment: dict[str, str]) -> ProcessRun:
    run = run_measured([sys.executable, "-m", "orchestration", *words], cwd=PROJECT_ROOT, env=environment)
    if run.return_code != 0:
        raise RuntimeError(f"`python -m orchestration {' '.join(words)}` failed:\n{run.output[-4000:]}")
    return run
