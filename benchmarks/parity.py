"""The same main job on DuckDB and on Spark: what both made is compared row by row, and how long each took."""

import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.harness import PROJECT_ROOT, Figure, Measurement, ProcessRun, benchmark, run_measured
from orchestration.parity import compare_homes, comparison_report

# A small supplier whose models pass all gates.
_SUPPLIER = {
    "KILOWISE_SIMULATED_CUSTOMERS": "420",
    "KILOWISE_DEFAULT_DAYS": "10",
    "KILOWISE_REVIEW_MONTHS": "1",
}


@benchmark(
    Figure("parity_spark", unit="tables", bar=0, better="lower"),
    Figure("parity_spark_seconds", unit="s", bar=900, better="lower"),
)
def parity_spark() -> Sequence[Measurement]:
    """Run the main job of a small supplier in both forms; the value is the number of tables that differ.

    The cluster and the server form are started on this machine before, and their start is not measured.
    """
    with tempfile.TemporaryDirectory(prefix="kilowise-parity-") as folder:
        root = Path(folder)
        # PostgreSQL runs as another user than root, who must be able to come here.
        root.chmod(0o755)
        embedded, cluster = root / "embedded", root / "cluster"
        on_duckdb = _orchestration(["run"], _environment(embedded, "embedded"))
        environment = _environment(cluster, "cluster")
        try:
            _orchestration(["cluster", "up"], environment)
            _orchestration(["server", "up"], environment)
            on_spark = _orchestration(["run"], environment)
        finally:
            _orchestration(["server", "down"], environment)
            _orchestration(["cluster", "down"], environment)
        comparisons = compare_homes(embedded, cluster)
    print(comparison_report(comparisons, ("DuckDB", "Spark")), file=sys.stderr)
    rows = sum(comparison.rows[0] for comparison in comparisons)
    return [
        Measurement("parity_spark", sum(not comparison.is_equal for comparison in comparisons), rows=rows),
        Measurement(
            "parity_spark_seconds",
            on_spark.seconds,
            rows=rows,
            peer="the same main job on DuckDB",
            peer_value=on_duckdb.seconds,
            ratio=on_spark.seconds / on_duckdb.seconds,
        ),
    ]


def _environment(home: Path, profile: str) -> dict[str, str]:
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("KILOWISE_", "DAGSTER_", "BENTOML_HOME", "DBT_"))
    }
    return {
        **inherited,
        **_SUPPLIER,
        "KILOWISE_HOME": str(home),
        "KILOWISE_PROFILE": profile,
        "DAGSTER_DISABLE_TELEMETRY": "1",
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
        "BENTOML_DO_NOT_TRACK": "True",
    }


def _orchestration(words: Sequence[str], environment: dict[str, str]) -> ProcessRun:
    run = run_measured([sys.executable, "-m", "orchestration", *words], cwd=PROJECT_ROOT, env=environment)
    if run.return_code != 0:
        raise RuntimeError(f"`python -m orchestration {' '.join(words)}` failed:\n{run.output[-4000:]}")
    return run
