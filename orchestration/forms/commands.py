"""``python -m orchestration server …``: the processes of the server form, and all of them on this machine."""

import argparse
from collections.abc import Callable
from pathlib import Path

from orchestration import forms
from orchestration.forms.server import QUEUES
from orchestration.settings import PlatformSettings

SERVER = "server"
_DESCRIPTIONS = {
    "up": "start everything on this machine, on loopback, from Debian's PostgreSQL and Redis",
    "down": "end what `up` started; data stays",
    "status": "say what runs",
    "check": "say whether database and queue are as they must be",
    "migrate": "make or renew Dagster's tables, as their owner",
    "code-server": "be the process that holds the code and starts runs",
    "daemon": "be the process of queue, schedules, sensors and retries",
    "webserver": "be Dagster's web server",
}


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command ``server`` with what it can do."""
    server = commands.add_parser(SERVER, help="the profiles server and cluster: processes, database, queue")
    actions = server.add_subparsers(dest="action", required=True, metavar="action")
    for action, description in _DESCRIPTIONS.items():
        actions.add_parser(action, help=description)
    worker = actions.add_parser("worker", help="be a worker that does steps")
    worker.add_argument("--queues", default=",".join(QUEUES), help="queues to serve (default: %(default)s)")
    worker.add_argument("--name", default="worker", help="name in logs; unique on its machine")
    drill = actions.add_parser("drill", help="hurt a scratch platform in the middle of a run and compare what it made")
    drill.add_argument("names", nargs="*", metavar="NAME", help="drills to do (default: all); --list names them")
    drill.add_argument("--list", action="store_true", help="say what can be drilled")
    drill.add_argument("--small", action="store_true", help="60 customers, 13 months and no models: shorter")
    drill.add_argument("--folder", type=Path, help="scratch folder to keep, with the undisturbed home in it")


def run_command(parsed: argparse.Namespace, settings: PlatformSettings, say: Callable[[str], None]) -> int:
    """Do what was asked and return the exit code."""
    if parsed.action == "drill":
        forms.require_group(settings.model_copy(update={"profile": "server"}))
        from orchestration.forms.drills.commands import run_command as drill

        return drill(parsed, say)
    if settings.profile == forms.EMBEDDED:
        # Whoever asks for the server means its form.
        settings = settings.model_copy(update={"profile": "server"})
    forms.require_group(settings)
    from orchestration.forms import local_server, processes
    from orchestration.forms.migration import migrate
    from orchestration.forms.server import ServerSettings
    from orchestration.forms.server_checks import check_server, problems

    server = ServerSettings.of(settings)
    match parsed.action:
        case "up":
            local_server.up(settings, say)
        case "down":
            local_server.down(settings, say)
        case "status":
            found = local_server.status(settings)
            for running in found:
                say(f"{running.name}: {f'process {running.pid}' if running.pid else 'does not run'}, log {running.log}")
            return 0 if all(running.pid for running in found) else 1
        case "check":
            sentences = list(problems(server))
            for sentence in sentences or ["Database and queue are as they must be."]:
                say(sentence)
            return 1 if sentences else 0
        case "migrate":
            say(migrate(server))
        case "worker":
            check_server(server)
            processes.enter_instance(server)
            return processes.work(server, parsed.queues.split(","), parsed.name)
        case process:
            check_server(server)
            processes.enter_instance(server)
            processes.become(process, server)
    return 0
