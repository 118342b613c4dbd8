"""What the monitors catch and what they cry wolf about: all drills on the simulated supplier, ten quiet seeds."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import gettempdir

from benchmarks.harness import PROJECT_ROOT, Figure, Measurement, benchmark
from monitoring.drills import (
    DrillReport,
    Expectation,
    drill_table,
    estimate_table,
    false_alarm_table,
    load_expectations,
)
from orchestration.drills import DrillPlan, run_drills

RESULTS_PAGE = PROJECT_ROOT / "docs" / "monitoring-results.md"
_START, _END = "<!-- drills: start -->", "<!-- drills: end -->"
_MODEL_MONTHS = 240


@benchmark(
    Figure("drift_false_alarms", unit="%", bar=1, better="lower"),
    Figure("drift_false_acts", unit="in 240 months", bar=1, better="lower"),
    Figure("drills_as_expected", unit="of 8", bar=8, better="higher"),
)
def drills() -> Sequence[Measurement]:
    """Replay 24 quiet months of ten seeds and the eight scenarios; write the tables into the docs.

    The share of false alarms is that of all judged column-months in which a column counted as drifted, whether or not
    anybody would have been told of it.
    """
    expectations = load_expectations()
    report = run_drills(DrillPlan(), expectations, Path(gettempdir()), log=print)
    write_results(RESULTS_PAGE, report, expectations)
    counts = report.false_alarms.values()
    column_months = sum(count.column_months for count in counts)
    model_months = sum(count.model_months for count in counts)
    false_share_pct = 100 * sum(count.drifted_column_months for count in counts) / column_months
    return [
        Measurement("drift_false_alarms", false_share_pct, rows=column_months),
        Measurement(
            "drift_false_acts",
            _MODEL_MONTHS * sum(count.act_months for count in counts) / model_months,
            rows=model_months,
        ),
        Measurement("drills_as_expected", sum(drill.is_as_expected for drill in report.results)),
    ]


def write_results(page: Path, report: DrillReport, expectations: dict[str, Expectation]) -> None:
    """Put the tables of a report between their marks on a page."""
    text = page.read_text(encoding="utf-8")
    before, _, rest = text.partition(_START)
    _, _, after = rest.partition(_END)
    measured = (
        f"Measured on {report.measured_at:%Y-%m-%d}: {report.customers} customers, quiet seeds "
        f"{min(report.seeds)} to {max(report.seeds)}, scenarios on seed {report.seeds[0]}."
    )
    tables = (drill_table(report, expectations), false_alarm_table(report), estimate_table(report))
    page.write_text(before + "\n\n".join([_START, measured, *tables, _END]) + after, encoding="utf-8")
