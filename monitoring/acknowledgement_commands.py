"""``python -m monitoring acknowledge|silence|end|list``: what a model owner records about findings, in words."""

import argparse
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from ml.columns import USE_CASES
from monitoring.acknowledgements import (
    end_acknowledgement,
    in_force,
    read_acknowledgements,
    record_acknowledgement,
)

WHO_FOLLOWS = (
    "The API follows within five minutes while Dagster runs, the pages with their next build, the asset check with the "
    "next review. The job acknowledge_findings in Dagster renews API and pages at once."
)


def add_commands(commands: Any) -> None:
    """Add the commands to the subparsers of the command line; each sets ``run`` to what it does and says."""
    for kind, text in (
        ("acknowledge", "say that somebody is at work on a model's findings: no reminders until it ends"),
        ("silence", "keep findings from raising checks and alerts until it ends; the pages still show them"),
    ):
        command = commands.add_parser(kind, help=text, description=text)
        command.add_argument("use_case", choices=USE_CASES, metavar="MODEL", help=" | ".join(USE_CASES))
        command.add_argument("--code", help="only findings of this code, such as column_drift")
        command.add_argument("--column", help="only findings about this column")
        command.add_argument("--until", required=True, type=_day, help="last day, such as 2026-12-31")
        _add_person(command)
        command.set_defaults(run=_record)
    end = commands.add_parser("end", help="end an acknowledgement or a silence before its time")
    end.add_argument("identifier", metavar="RECORD", help="its name, as list shows it")
    _add_person(end)
    end.set_defaults(run=_end)
    listing = commands.add_parser("list", help="list the acknowledgements and silences in force")
    listing.add_argument("--all", action="store_true", dest="is_everything", help="those that are over, too")
    listing.set_defaults(run=_list)


def _add_person(command: argparse.ArgumentParser) -> None:
    command.add_argument("--by", required=True, help="who decides so")
    command.add_argument("--reason", required=True, help="why, in at least ten characters")


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no day; write it as 2026-12-31") from None


def _record(options: argparse.Namespace, home: Path) -> Iterator[str]:
    record = record_acknowledgement(
        home / "reports",
        options.command,
        options.use_case,
        by=options.by,
        reason=options.reason,
        until=options.until,
        code=options.code,
        column=options.column,
    )
    yield record.sentence()
    yield WHO_FOLLOWS


def _end(options: argparse.Namespace, home: Path) -> Iterator[str]:
    record = end_acknowledgement(home / "reports", options.identifier, by=options.by, reason=options.reason)
    yield record.sentence()
    yield WHO_FOLLOWS


def _list(options: argparse.Namespace, home: Path) -> Iterator[str]:
    records = read_acknowledgements(home / "reports")
    shown = records if options.is_everything else in_force(records, datetime.now(UTC).date())
    yield from (record.sentence() for record in shown)
    if not shown:
        yield "Nothing is recorded." if options.is_everything else "Nothing is acknowledged or silenced."
