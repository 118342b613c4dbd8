"""The main job from a fresh clone, its second run with nothing new, and what Dagster adds to the work itself."""

import os
import re
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.harness import PROJECT_ROOT, Figure, Measurement, ProcessRun, benchmark, run_measured

STEP_SECONDS = re.compile(r"done in ([\d.]+) s")
ROWS_IN = re.compile(r"([\d,]+) rows in,")


@benchmark(
    Figure("main_job_seconds", unit="s", bar=240, better="lower"),
    Figure("main_job_peak_gb", unit="GB", bar=4, better="lower"),
    Figure("rerun_seconds", unit="s", bar=30, better="lower"),
    Figure("dagster_overhead", unit="ratio", bar=1.25, better="lower"),
)
def main_job() -> Sequence[Measurement]:
    """Clone the committed tree, run ``make run`` twice and read the steps' own times from its progress lines.

    The environment is prepared first, since its time is that of the downloads.
    """
    with tempfile.TemporaryDirectory(prefix="kilowise-bench-") as folder:
        clone = Path(folder) / "kilowise"
        subprocess.run(["git", "clone", "--quiet", str(PROJECT_ROOT), str(clone)], check=True)
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("KILOWISE_", "DAGSTER_"))}
        environment.pop("BENTOML_HOME", None)
        subprocess.run(["make", "env"], cwd=clone, env=environment, check=True, stdout=subprocess.DEVNULL)
        first = _run(clone, environment)
        second = _run(clone, environment)
    rows = int(ROWS_IN.findall(first.output)[-1].replace(",", ""))
    steps = sum(float(seconds) for seconds in STEP_SECONDS.findall(first.output))
    return [
        Measurement("main_job_seconds", first.seconds, rows=rows),
        Measurement("main_job_peak_gb", first.peak_gb, rows=rows),
        Measurement("rerun_seconds", second.seconds, rows=rows),
        Measurement(
            "dagster_overhead",
            first.seconds / steps,
            peer="sum of the steps' own seconds",
            peer_value=steps,
            ratio=first.seconds / steps,
        ),
    ]


def _run(clone: Path, environment: dict[str, str]) -> ProcessRun:
    run = run_measured(["make", "run"], cwd=clone, env=environment)
    if run.return_code != 0:
        raise RuntimeError(f"make run failed:\n{run.output[-4000:]}")
    return run
