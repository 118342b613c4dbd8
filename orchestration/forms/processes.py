"""The processes of the server form: web server, daemon, code server and workers of steps.

Each begins by ``python -m orchestration server <process>``, whoever supervises it (systemd, Compose, Kubernetes or
``make server-up``): it reads the secrets, checks what it depends on, and becomes the program that it is for.
"""

import logging
import os
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from orchestration.files import replace_text
from orchestration.forms.errors import FormError
from orchestration.forms.server import PREFIX, QUEUES, ServerSettings
from orchestration.settings import PROJECT_ROOT

PORT_SETTINGS = {
    "postgresql": "LOCAL_POSTGRES_PORT",
    "redis": "LOCAL_REDIS_PORT",
    "code-server": "CODE_SERVER_PORT",
    "webserver": "WEBSERVER_URL",
}
"""The setting with the port of each process that listens."""

PROCESSES = ("code-server", "daemon", "webserver", "worker")
_CONNECT_SECONDS = 0.5
_TEMPLATES = PROJECT_ROOT / "deploy" / "server"


def instance_environment(server: ServerSettings) -> Mapping[str, str]:
    """Return what ``deploy/server/dagster.yaml`` reads from the environment."""
    return {
        # The launcher of runs is ours, and Dagster's programs do not look here by themselves.
        "PYTHONPATH": str(PROJECT_ROOT),
        "DAGSTER_HOME": str(server.dagster_home),
        "DAGSTER_DISABLE_TELEMETRY": "1",
        f"{PREFIX}POSTGRES_URL": server.postgres().get_secret_value(),
        f"{PREFIX}COMPUTE_LOGS": str(server.dagster_home / "logs"),
        f"{PREFIX}CODE_SERVER_HOST": server.code_server_host,
        f"{PREFIX}CODE_SERVER_PORT": str(server.code_server_port),
    }


def enter_instance(server: ServerSettings) -> None:
    """Make this process and those that it starts use the instance of the server form."""
    server.dagster_home.mkdir(parents=True, exist_ok=True)
    instance = _instance_settings(server.instance_file)
    instance["concurrency"]["runs"]["max_concurrent_runs"] = server.runs_at_once
    _write_if_new(server.dagster_home / "dagster.yaml", yaml.safe_dump(instance, sort_keys=False))
    workspace = (_TEMPLATES / "workspace.yaml").read_text(encoding="utf-8")
    _write_if_new(server.dagster_home / "workspace.yaml", workspace)
    os.environ.update(instance_environment(server))


def _instance_settings(path: Path) -> dict[str, Any]:
    """Return what a file says of the Dagster instance."""
    try:
        instance = yaml.safe_load(path.read_text(encoding="utf-8"))
        _ = instance["concurrency"]["runs"]
    except OSError as error:
        raise FormError(f"{PREFIX}INSTANCE_FILE: {path} cannot be read ({error.strerror}).") from None
    except (yaml.YAMLError, UnicodeDecodeError, KeyError, TypeError):
        raise FormError(
            f"{PREFIX}INSTANCE_FILE: {path} is no dagster.yaml with concurrency.runs; begin with a copy of "
            "deploy/server/dagster.yaml."
        ) from None
    return dict(instance)


def _write_if_new(path: Path, text: str) -> None:
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        replace_text(path, text)


def command_of(process: str, server: ServerSettings, queues: Sequence[str] = QUEUES) -> list[str]:
    """Return the command that a process becomes.

    Raises:
        ValueError: If there is no such process.
    """
    programs = Path(sys.executable).parent
    workspace = str(server.dagster_home / "workspace.yaml")
    port = str(listening_port(process, server))
    match process:
        case "webserver":
            listen = ["--host", server.webserver_host, "--port", port]
            return [str(programs / "dagster-webserver"), "--workspace", workspace, *listen]
        case "daemon":
            return [str(programs / "dagster-daemon"), "run", "--workspace", workspace]
        case "code-server":
            code = ["--module-name", "orchestration.definitions", "--working-directory", str(PROJECT_ROOT)]
            listen = ["--host", server.code_server_listen, "--port", port]
            return [str(programs / "dagster"), "code-server", "start", *code, *listen]
        case "worker":
            worker = ["worker", "--queues", ",".join(queues)]
            return [sys.executable, "-m", "orchestration", "server", *worker]
    raise ValueError(process)


def listening_port(process: str, server: ServerSettings) -> int | None:
    """Return the port on which a process of Dagster listens; None for those that do not."""
    ports = {"code-server": server.code_server_port, "webserver": urlsplit(server.webserver_url).port or 3000}
    return ports.get(process)


def answers(host: str, port: int) -> bool:
    """Return whether something listens at an address."""
    with socket.socket() as probe:
        probe.settimeout(_CONNECT_SECONDS)
        return probe.connect_ex((host, port)) == 0


def become(process: str, server: ServerSettings, execute: Callable[[str, list[str]], object] = os.execv) -> None:
    """Replace this process by the program that it is for.

    Raises:
        FormError: If its port is taken.
    """
    command = command_of(process, server)
    port = listening_port(process, server)
    if port is not None and answers("127.0.0.1", port):
        raise FormError(
            f"Port {port}, which the {process} needs, is taken: it runs already (`make server-status`), or set "
            f"{PREFIX}{PORT_SETTINGS[process]} to a free one."
        )
    os.chdir(PROJECT_ROOT)
    execute(command[0], command)


def work(server: ServerSettings, queues: Sequence[str], name: str) -> int:
    """Do the steps of some queues until the process is told to stop; running steps are ended first.

    Raises:
        FormError: If there is no such queue.
    """
    if unknown := sorted(set(queues) - set(QUEUES)):
        raise FormError(f"There is no queue {', '.join(unknown)}; steps wait in: {', '.join(QUEUES)}.")
    from orchestration.forms.step_tasks import build_worker_app

    app = build_worker_app(server)
    # It would repeat the whole result of every step.
    logging.getLogger("celery.app.trace").setLevel(logging.WARNING)
    arguments = ["worker", "--loglevel", "INFO", "--queues", ",".join(queues), "--hostname", f"{name}@%h"]
    # Workers need not hear of each other.
    quiet = ["--without-gossip", "--without-mingle"]
    app.worker_main([*arguments, *quiet, "--concurrency", str(server.steps_at_once)])
    return 0
