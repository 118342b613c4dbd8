"""``python -m orchestration trial ...``: start, stop and look at trials of challengers on live traffic."""

import argparse
from collections.abc import Callable
from typing import Any

from orchestration.settings import PlatformSettings

Say = Callable[[str], None]


def add_commands(commands: Any) -> None:
    """Add ``trial`` with its verbs to the command line."""
    trial = commands.add_parser("trial", help="try the challenger of a use case on live traffic")
    verbs = trial.add_subparsers(dest="verb", required=True, metavar="verb")
    start = verbs.add_parser("start", help="begin: servers take it up within a second")
    start.add_argument("use_case", metavar="USE_CASE")
    start.add_argument("--mode", choices=("shadow", "share"), default="shadow", help="shadow: nobody is told (default)")
    start.add_argument("--share", type=float, default=1.0, help="share of the traffic, above 0 and at most 1 (default)")
    stop = verbs.add_parser("stop", help="end it and say what it showed")
    stop.add_argument("use_case", metavar="USE_CASE")
    for parser in (start, stop):
        parser.add_argument("--by", required=True, help="who asks for it")
    status = verbs.add_parser("status", help="say what the trials showed so far")
    status.add_argument("use_case", nargs="?", default="", metavar="USE_CASE")


def run_command(parsed: argparse.Namespace, settings: PlatformSettings, say: Say) -> int:
    """Do what the command line asks for and return the exit status."""
    from ml.columns import USE_CASES
    from orchestration.trials import latest_trial, report_trial, start_trial, stop_trial, use_case_of
    from serving.model_store import ModelStore

    if parsed.verb == "start":
        trial = start_trial(settings, parsed.use_case, mode=parsed.mode, share=parsed.share, by=parsed.by)
        say(f"{trial.release} of {trial.use_case} is tried: {trial.mode}, {trial.share:.1%} of the traffic.")
        return 0
    if parsed.verb == "stop":
        _, summary = stop_trial(settings, parsed.use_case, by=parsed.by)
        for sentence in summary.sentences():
            say(sentence)
        return 0
    for use_case in [use_case_of(parsed.use_case).name] if parsed.use_case else USE_CASES:
        latest = latest_trial(settings, use_case)
        if latest is None:
            say(f"{use_case}: no challenger was tried.")
            continue
        is_on = ModelStore(settings.home).current_trial(use_case) is not None
        say(f"{use_case}: a trial is {'on' if is_on else 'over'}.")
        for sentence in report_trial(settings, latest).sentences():
            say(sentence)
    return 0
