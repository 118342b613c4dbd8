"""Kilowise from the command line: the main job in one process, landing alone, erasure, the desks, replay, upkeep."""

import argparse
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from ml.errors import KilowiseError
from orchestration.audience_desk import add_commands as add_audience_commands
from orchestration.audience_desk import run_command as run_audience_command
from orchestration.credit_desk import add_commands as add_credit_commands
from orchestration.credit_desk import run_command as run_credit_command
from orchestration.forms.cluster_commands import CLUSTER
from orchestration.forms.cluster_commands import add_commands as add_cluster_commands
from orchestration.forms.cluster_commands import run_command as run_cluster_command
from orchestration.forms.commands import SERVER
from orchestration.forms.commands import add_commands as add_server_commands
from orchestration.forms.commands import run_command as run_server_command
from orchestration.manifest import renew_manifest
from orchestration.settings import PROJECT_ROOT, PlatformSettings
from orchestration.state_version import migrate, open_state, refuse_newer_state
from orchestration.trial_commands import add_commands as add_trial_commands
from orchestration.trial_commands import run_command as run_trial_command
from serving.terminal import say


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line and do it; return 0 when every step did its work, 1 otherwise.

    A gate that refuses a model did its work, and so did a landing that refuses rows.
    """
    parser = argparse.ArgumentParser(prog="python -m orchestration", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    commands.add_parser("run", help="deliveries -> marts -> models -> releases -> reports")
    commands.add_parser("land", help="land what is new in the inbox and say what was refused; nothing else")
    erasing = commands.add_parser("erase", help="remove every trace of a customer, make the rest anew, and prove it")
    erasing.add_argument("customer_id", metavar="CUSTOMER_ID", help="the supplier's id of the customer")
    add_credit_commands(commands)
    add_audience_commands(commands)
    add_trial_commands(commands)
    add_server_commands(commands)
    add_cluster_commands(commands)
    replaying = commands.add_parser("replay", help="compute a logged decision again and compare every digit")
    replaying.add_argument("request_id", metavar="REQUEST_ID", help="id of an answer of the API, or of a batch")
    replaying.add_argument("--customer", default="", metavar="CUSTOMER_ID", help="only this customer of a batch")
    deciding = commands.add_parser("decisions", help="write logged credit decisions with what happened afterwards")
    deciding.add_argument("output", type=Path, metavar="FILE", help="Parquet or CSV file to write")
    comparing = commands.add_parser("parity", help="compare marts and predictions with another home, row by row")
    comparing.add_argument("other", type=Path, metavar="HOME", help="home that was made of the same deliveries")
    doctoring = commands.add_parser("doctor", help="name what is wrong and what to do about it; change nothing")
    doctoring.add_argument("--all", action="store_true", help="also say what is as it should be")
    backing_up = commands.add_parser("backup", help="write the whole state into one file")
    backing_up.add_argument("target", type=Path, metavar="FILE|DIR", help="file to write, or a folder for it")
    restoring = commands.add_parser("restore", help="make the home from a backup; the home must be empty")
    restoring.add_argument("source", type=Path, metavar="FILE", help="file that backup wrote")
    commands.add_parser("migrate", help="bring the home to the form of this version; say which releases it serves")
    parsed = parser.parse_args(arguments)
    try:
        settings = PlatformSettings()
        if parsed.command == "doctor":
            from orchestration.doctor import run_command as examine

            return examine(settings, say, everything=parsed.all)
        refuse_newer_state(settings.home)
        if parsed.command == "backup":
            from orchestration.backup import backup

            backup(settings, parsed.target, say)
            return 0
        if parsed.command == "restore":
            from orchestration.backup import restore

            restore(settings, parsed.source, say)
            return 0
        if parsed.command == "migrate":
            return migrate(settings, say)
        if parsed.command == SERVER:
            return run_server_command(parsed, settings, say)
        if parsed.command == CLUSTER:
            return run_cluster_command(parsed, settings, say)
        if parsed.command == "parity":
            from orchestration.parity import run_command as compare

            return compare(settings.home, parsed.other, say)
        if parsed.command == "land":
            return land(settings)
        if parsed.command == "erase":
            from orchestration.erasure import erase

            return 0 if erase(settings, parsed.customer_id, run, say) else 1
        if parsed.command == "replay":
            from orchestration.replay import run_command as replay

            return replay(settings, parsed.request_id, parsed.customer, say)
        if parsed.command == "decisions":
            from orchestration.decisions import export_decisions

            return export_decisions(settings, parsed.output, say)
        if parsed.command == "credit":
            return run_credit_command(parsed, settings, say)
        if parsed.command == "audience":
            return run_audience_command(parsed, settings, say)
        if parsed.command == "trial":
            return run_trial_command(parsed, settings, say)
        return run(settings)
    except ValidationError as error:
        for problem in error.errors():
            name = "KILOWISE_" + "_".join(str(part) for part in problem["loc"]).upper()
            print(f"Setting {name}: {problem['msg']}.", file=sys.stderr)
    except KilowiseError as error:
        print(str(error), file=sys.stderr)
    return 1


def run(settings: PlatformSettings) -> int:
    """Bring the data up to date, then train, judge, release, score and review the latest months.

    The months are known only when the data is in, so these are two runs; both are in the Dagster UI.
    """
    # Before the imports: the assets are made from the manifest.
    renew_manifest()
    from sqlalchemy.exc import OperationalError

    from ml.bundle import code_version  # noqa: F401  fail before the long work when the numeric stack is broken
    from orchestration.files import DiskFullError, disk_full_sentence, is_disk_full
    from orchestration.main_run import run_jobs
    from orchestration.summary import render_summary

    open_state(settings, say)
    dagster_home = Path(os.environ.setdefault("DAGSTER_HOME", str(settings.home / "dagster")))
    dagster_home.mkdir(parents=True, exist_ok=True)
    if not (dagster_home / "dagster.yaml").exists():
        # Without it Dagster sends usage data.
        shutil.copyfile(PROJECT_ROOT / "dagster.yaml", dagster_home / "dagster.yaml")
    try:
        outcome = run_jobs(settings)
    except OperationalError as error:
        # The history of the runs lies on the same disk, so it may be the first that has no room.
        if not is_disk_full(str(error)):
            raise
        raise DiskFullError(disk_full_sentence(settings.home)) from error
    say(render_summary(settings, outcome))
    return 0 if outcome.succeeded else 1


def land(settings: PlatformSettings) -> int:
    """Land what is new in the inbox and print what became of it."""
    from orchestration.ingestion.holidays import missing_holidays
    from orchestration.ingestion.landing import land_deliveries
    from orchestration.ingestion.mapping import load_mapping

    open_state(settings, say)
    report = land_deliveries(
        settings.inbox_dir,
        load_mapping(settings.mapping),
        settings.landing_dir,
        pseudonym_key=settings.pseudonym_key.get_secret_value(),
        time_zone=settings.time_zone,
        memory_limit=settings.duckdb_memory_limit,
        progress=say,
    )
    say(report.sentence())
    missing = missing_holidays(settings.landing_dir, settings.jurisdiction, time_zone=settings.time_zone)
    for sentence in (*(file.message for file in report.unreadable), *report.messages, *report.findings, missing):
        if sentence:
            say(sentence)
    return 0


if __name__ == "__main__":
    sys.exit(main())
