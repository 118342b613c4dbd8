"""``python -m serving log ...``: verifies the prediction log."""

import argparse
from collections.abc import Sequence

from serving.log_ledger import ledger_key
from serving.log_verification import verify_log
from serving.settings import ServingSettings


def add_log_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command ``log`` with its verbs."""
    parser = commands.add_parser("log", help="verify the prediction log")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="verb")
    verifying = verbs.add_parser("verify", help="name the first entry, file or row that was altered; end with 1")
    verifying.add_argument("--head", default="", metavar="HEAD", help="head of the chain that was kept elsewhere")


def run_log_command(options: argparse.Namespace, settings: ServingSettings) -> tuple[int, Sequence[str]]:
    """Return the exit status and what to print: 0 for a log that nobody changed, 1 for another."""
    key = ledger_key(settings.pseudonym_key.get_secret_value().encode())
    found = verify_log(settings.prediction_log_dir, key, known_head=options.head)
    return (1 if found.problems else 0), found.sentences()
