"""``python -m orchestration cluster …``: a Spark cluster on this machine for trying; whether a cluster will do."""

import argparse
from collections.abc import Callable

from orchestration import forms
from orchestration.settings import PlatformSettings

CLUSTER = "cluster"
_DESCRIPTIONS = {
    "up": "start a master, two workers and a Thrift server on this machine, on loopback",
    "down": "end what `up` started; tables stay",
    "status": "say what runs",
    "check": "say whether the cluster of the settings can be used: versions, clock, rights, shared folder",
}


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command ``cluster`` with what it can do."""
    cluster = commands.add_parser(CLUSTER, help="the profile cluster: Spark beneath dbt")
    actions = cluster.add_subparsers(dest="action", required=True, metavar="action")
    for action, description in _DESCRIPTIONS.items():
        actions.add_parser(action, help=description)


def run_command(parsed: argparse.Namespace, settings: PlatformSettings, say: Callable[[str], None]) -> int:
    """Do what was asked and return the exit code."""
    # Whoever asks for the cluster means its form.
    settings = settings.model_copy(update={"profile": CLUSTER})
    forms.require_group(settings)
    from orchestration.forms.cluster import cluster_settings
    from orchestration.forms.local_cluster import LocalCluster
    from orchestration.forms.warehouse import warehouse

    cluster = cluster_settings()
    local = LocalCluster(settings.home, cluster)
    match parsed.action:
        case "up":
            local.up(say)
        case "down":
            local.down(say)
        case "status":
            running = local.processes()
            for process in running:
                say(f"{process.name}: process {process.pid}, port {process.port}")
            if not running:
                say(f"Nothing of the cluster in {local.folder} is running.")
            return 0 if running else 1
        case "check":
            warehouse(settings).check()
            say(f"Spark at {cluster.address} answers; versions, clock, rights and shared folder are as they must be.")
    return 0
