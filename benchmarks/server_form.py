"""The main job in the server form, beside the same job in one process: what queue and workers cost and save."""

import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.harness import PROJECT_ROOT, Figure, Measurement, ProcessRun, benchmark, run_measured
from orchestration.marts import current_marts

# A small supplier whose models pass all gates.
_SUPPLIER = {
    "KILOWISE_SIMULATED_CUSTOMERS": "420",
    "KILOWISE_DEFAULT_DAYS": "10",
    "KILOWISE_REVIEW_MONTHS": "1",
}


@benchmark(Figure("server_main_job_seconds", unit="s", bar=300, better="lower"))
def server_main_job() -> Sequence[Measurement]:
    """Run the main job of a small supplier in both forms, then once more with nothing new; the marts must be equal.

    Start and end of the servers are not measured.
    """
    with tempfile.TemporaryDirectory(prefix="kilowise-server-") as folder:
        root = Path(folder)
        # PostgreSQL runs as another user than root, who must be able to come here.
        root.chmod(0o755)
        alone = _orchestration(["run"], _environment(root / "embedded", "embedded"))
        environment = _environment(root / "server", "server")
        try:
            _orchestration(["server", "up"], environment)
            on_workers = _orchestration(["run"], environment)
        finally:
            _orchestration(["server", "down"], environment)
        marts = [current_marts(root / home / "marts").name for home in ("embedded", "server")]
    if marts[0] != marts[1]:
        raise RuntimeError("The marts of the two forms differ.")
    return [
        Measurement(
            "server_main_job_seconds",
            on_workers.seconds,
            rows=420,
            peer="the same main job in one process",
            peer_value=alone.seconds,
            ratio=on_workers.seconds / alone.seconds,
        )
    ]


def _environment(home: Path, profile: str) -> dict[str, str]:
    inherited = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("KILOWISE_", "DAGSTER_")) and key != "BENTOML_HOME"
    }
    return {**inherited, **_SUPPLIER, "KILOWISE_HOME": str(home), "KILOWISE_PROFILE": profile}


def _orchestration(words: Sequence[str], environment: Mapping[str, str]) -> ProcessRun:
    run = run_measured([sys.executable, "-m", "orchestration", *words], cwd=PROJECT_ROOT, env=dict(environment))
    if run.return_code != 0:
        raise RuntimeError(f"{' '.join(words)} failed:\n{run.output[-4000:]}")
    return run
