"""``python -m ml.tariffs``: check tariff files, and write the JSON Schema for editors."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from ml.errors import TariffError
from ml.tariffs.catalogue import load_catalogue
from ml.tariffs.documents import tariff_json_schema_text


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return 1 if a file was refused."""
    parser = argparse.ArgumentParser(prog="python -m ml.tariffs", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    check = commands.add_parser("check", help="say whether files hold valid tariffs, and what is wrong where not")
    check.add_argument("files", nargs="+", type=Path, help="YAML, JSON or URDB files, or folders of them")
    commands.add_parser("schema", help="print the JSON Schema of a tariff")
    chosen = parser.parse_args(arguments)
    if chosen.command == "schema":
        sys.stdout.write(tariff_json_schema_text())
        return 0
    return max(_check(path) for path in chosen.files)


def _check(path: Path) -> int:
    try:
        found = load_catalogue([path], built_in=False).tariffs
    except TariffError as error:
        print(error)
        return 1
    for tariff in found:
        verified = "" if tariff.is_verified else ", prices not verified"
        route = "load cube" if tariff.route.kind == "cube" else f"intervals, because {tariff.route.reason}"
        print(f"{path.name}: {tariff.tariff_id} version {tariff.version}: valid{verified}; priced from {route}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
