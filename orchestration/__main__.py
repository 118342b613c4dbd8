"""`python -m orchestration run`: the main job in one process, with progress while it works and a summary at its end."""

import argparse
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from ml.errors import KilowiseError
from orchestration.settings import PROJECT_ROOT, PlatformSettings


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line and run; return 0 when every step did its work, 1 otherwise.

    A gate that refuses a model did its work.
    """
    parser = argparse.ArgumentParser(prog="python -m orchestration", description=__doc__)
    parser.add_argument("command", choices=["run"], help="run: deliveries -> marts -> models -> releases -> reports")
    parser.parse_args(arguments)
    try:
        return run(PlatformSettings())
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
    from ml.bundle import code_version  # noqa: F401  fail before the long work when the numeric stack is broken
    from orchestration.main_run import run_jobs
    from orchestration.summary import render_summary

    settings.home.mkdir(parents=True, exist_ok=True)
    dagster_home = Path(os.environ.setdefault("DAGSTER_HOME", str(settings.home / "dagster")))
    dagster_home.mkdir(parents=True, exist_ok=True)
    if not (dagster_home / "dagster.yaml").exists():
        # Without it Dagster sends usage data.
        shutil.copyfile(PROJECT_ROOT / "dagster.yaml", dagster_home / "dagster.yaml")
    outcome = run_jobs(settings)
    print(render_summary(settings, outcome))
    return 0 if outcome.succeeded else 1


if __name__ == "__main__":
    sys.exit(main())
