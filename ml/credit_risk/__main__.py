"""Prints the scorecard of a bundle: ``python -m ml.credit_risk scorecard BUNDLE --form text``."""

import argparse
import sys
from pathlib import Path

from ml.bundle import read_bundle
from ml.credit_risk.model import CreditRiskModel
from ml.errors import KilowiseError

FORMS = ("text", "markdown", "csv", "sql")


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m ml.credit_risk", description="The readable scorecard of a bundle.")
    commands = parser.add_subparsers(dest="command", required=True)
    scorecard = commands.add_parser("scorecard", help="print the scorecard of a bundle")
    scorecard.add_argument("bundle", type=Path, help="folder of a credit-risk bundle (metadata of models/credit_risk)")
    scorecard.add_argument(
        "--form", choices=FORMS, default="text", help="text and markdown to read, csv and sql to use"
    )
    scorecard.add_argument(
        "--relation", default="marts.customer_credit_features", help="table or view that the SQL reads"
    )
    chosen = parser.parse_args(arguments)
    try:
        card = CreditRiskModel.from_files(read_bundle(chosen.bundle).estimator_files()).scorecard
    except KilowiseError as error:
        print(error, file=sys.stderr)
        return 1
    printed = {
        "text": card.to_text,
        "markdown": card.to_markdown,
        "csv": card.to_csv,
        "sql": lambda: card.to_sql(chosen.relation),
    }[chosen.form]()
    print(printed, end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
