"""What the marketing desk does from the command line: look, select, export, withdraw, measure.

Selecting and withdrawing add to the campaign register (``ml.audiences.register``); nothing is ever changed in place. No
Dagster in here.
"""

import argparse
from collections.abc import Callable, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from orchestration import audiences
from orchestration.settings import PlatformSettings

Say = Callable[[str], None]


def add_commands(commands: Any) -> None:
    """Add ``audience`` with its verbs to the command line."""
    audience = commands.add_parser("audience", help="campaigns: select customers, hold a control group out, measure")
    verbs = audience.add_subparsers(dest="verb", required=True, metavar="verb")

    def verb(name: str, text: str, *positional: str) -> argparse.ArgumentParser:
        parser: argparse.ArgumentParser = verbs.add_parser(name, help=text)
        for argument in positional:
            parser.add_argument(argument, metavar=argument.upper())
        return parser

    verb("columns", "what an audience may ask: columns of the portrait with their kinds and values")
    verb("preview", "count whom a definition would select; keeps nothing", "definition")
    select = verb("select", "draw a campaign for good, and export it", "definition")
    select.add_argument("--by", dest="recorded_by", required=True, help="who selects")
    export = verb("export", "write who takes part in a campaign, again", "campaign_id")
    for parser in (select, export):
        parser.add_argument("--format", dest="file_format", choices=("csv", "parquet"), default="csv")
    withdraw = verb("withdraw", "record that a campaign does not take place", "campaign_id")
    withdraw.add_argument("--by", dest="recorded_by", required=True, help="who records it")
    verb("list", "every campaign with its days and groups")
    measure = verb("measure", "treated minus control, with an interval", "campaign_id")
    measure.add_argument("--outcome", default="", help="what to measure; default: what the definition names")
    measure.add_argument("--month", type=_month, help="as-of month of the outcome, YYYY-MM; default: the latest")
    measure.add_argument(
        "--change", action="store_true", help="change of a portrait's number since the month before the contacts"
    )


def run_command(parsed: argparse.Namespace, settings: PlatformSettings, say: Say) -> int:
    """Do what was asked and say it in sentences; none of them names a customer."""
    for sentence in _VERBS[parsed.verb](parsed, settings, datetime.now(ZoneInfo(settings.time_zone)).date()):
        say(sentence)
    return 0


def _columns(_: argparse.Namespace, settings: PlatformSettings, __: date) -> Sequence[str]:
    return [
        f"{name}: {kind.replace('_', ' ')}{f' ({values})' if values else ''}"
        for name, (kind, values) in audiences.portrait_columns(settings).items()
    ]


def _preview(parsed: argparse.Namespace, settings: PlatformSettings, today: date) -> Sequence[str]:
    report = audiences.preview_audience(settings, Path(parsed.definition), today=today)
    return [*report.sentences, "Nothing was kept."]


def _select(parsed: argparse.Namespace, settings: PlatformSettings, today: date) -> Sequence[str]:
    report = audiences.select_audience(settings, Path(parsed.definition), recorded_by=parsed.recorded_by, today=today)
    path = audiences.export_audience(settings, report.campaign_id, parsed.file_format)
    return [*report.sentences, _exported(path)]


def _export(parsed: argparse.Namespace, settings: PlatformSettings, _: date) -> Sequence[str]:
    return [_exported(audiences.export_audience(settings, parsed.campaign_id, parsed.file_format))]


def _exported(path: Path) -> str:
    return f"Exported: {path} (contact the rows with arm treated, and nobody of arm control)."


def _withdraw(parsed: argparse.Namespace, settings: PlatformSettings, _: date) -> Sequence[str]:
    record = audiences.campaign_register(settings).withdraw(parsed.campaign_id, recorded_by=parsed.recorded_by)
    return [f"The campaign {record.campaign_id} is withdrawn; its customers count as not contacted."]


def _list(_: argparse.Namespace, settings: PlatformSettings, __: date) -> Sequence[str]:
    register = audiences.campaign_register(settings)
    withdrawn = register.withdrawn()
    lines = [
        f"{one.campaign_id}: {one.channel}, {one.contact_from} to {one.contact_until}, {one.treated_count:,} to "
        f"contact, {one.control_count:,} held out, selected {one.recorded_at:%Y-%m-%d} by {one.recorded_by}"
        f"{', withdrawn' if one.campaign_id in withdrawn else ''}"
        for one in register.campaigns()
    ]
    return lines or ["No campaign was selected yet."]


def _measure(parsed: argparse.Namespace, settings: PlatformSettings, _: date) -> Sequence[str]:
    measured = audiences.measure_campaign(
        settings, parsed.campaign_id, outcome=parsed.outcome, month=parsed.month, change=parsed.change
    )
    return measured.sentences


def _month(text: str) -> date:
    try:
        return date.fromisoformat(f"{text}-01")
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no month such as 2026-09") from error


_VERBS: dict[str, Callable[[argparse.Namespace, PlatformSettings, date], Sequence[str]]] = {
    "columns": _columns,
    "preview": _preview,
    "select": _select,
    "export": _export,
    "withdraw": _withdraw,
    "list": _list,
    "measure": _measure,
}
