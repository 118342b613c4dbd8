"""dbt that parses nothing: ``python -P parsed_dbt.py ARGUMENTS...`` does what ``dbt ARGUMENTS...`` does.

Parsing takes dbt five seconds of processor time, and it would parse the whole project again for every other folder and
setting, because these are its variables. Yet they matter only to the SQL, which dbt makes of the parsed models when it
runs. So it starts from what it parsed together with the manifest of which the assets are made; see "Reusing objects"
under "Programmatic invocations" in dbt's documentation. Where the project has changed since then, or another target
than the default one is asked for, dbt parses as ever.

A program of its own, because ``orchestration.dbt`` beside it would hide dbt: hence ``-P``.
"""

import json
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from dbt.cli.main import dbtRunner
from dbt.contracts.graph.manifest import Manifest
from dbt.parser.manifest import extended_mashumuro_decoder

sys.path.append(str(Path(__file__).resolve().parent.parent))
from orchestration.manifest import MANIFEST, PARSED_PROJECT, is_manifest_current
from orchestration.settings import DBT_PROJECT_DIR

# As dbt's own command ends.
_FAILURE = 1
_ERROR = 2


def main(arguments: Sequence[str]) -> int:
    """Run dbt and return its exit code."""
    done = dbtRunner(manifest=_parsed_project(arguments)).invoke(list(arguments))
    if done.success:
        return 0
    if done.exception is None:
        return _FAILURE
    sys.stderr.write(f"{done.exception}\n")
    return _ERROR


def _parsed_project(arguments: Sequence[str]) -> Manifest | None:
    """Return the project as it was parsed, or nothing where dbt has to parse it."""
    parsed = DBT_PROJECT_DIR / PARSED_PROJECT
    if "--target" in arguments or not parsed.exists() or not is_manifest_current(DBT_PROJECT_DIR):
        return None
    described = json.loads((DBT_PROJECT_DIR / MANIFEST).read_bytes())["metadata"]
    if described["dbt_version"] != version("dbt-core"):
        return None
    return Manifest.from_msgpack(parsed.read_bytes(), decoder=extended_mashumuro_decoder)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
