"""The same main job on DuckDB and on Spark: what both made is compared row by row, and how long each took."""

import sys
from collections.abc import Sequence

from benchmarks.forms import folder_for_homes, main_job
from benchmarks.harness import Figure, Measurement, benchmark
from orchestration.parity import compare_homes, comparison_report


@benchmark(
    Figure("parity_spark", unit="tables", bar=0, better="lower"),
    Figure("parity_spark_seconds", unit="s", bar=900, better="lower"),
)
def parity_spark() -> Sequence[Measurement]:
    """Run the main job of a small supplier in both forms; the value is the number of tables that differ.

    The cluster and the server form are started on this machine before, and their start is not measured.
    """
    with folder_for_homes() as root:
        embedded, cluster = root / "embedded", root / "cluster"
        on_duckdb = main_job(embedded, "embedded")
        on_spark = main_job(cluster, "cluster")
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
