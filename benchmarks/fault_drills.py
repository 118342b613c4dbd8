"""What dies in the middle of a run of the server form, and what is left: the drills, and the table of the docs."""

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.harness import PROJECT_ROOT, Figure, Measurement, benchmark

RESULTS_PAGE = PROJECT_ROOT / "docs" / "scale.md"
_START, _END = "<!-- faults: start -->", "<!-- faults: end -->"


@benchmark(Figure("fault_drills", unit="not whole", bar=0, better="lower"))
def fault_drills() -> Sequence[Measurement]:
    """Do every drill, write the table into the docs; the value is the number after which the state was another."""
    # Here, as the packages of the server form are a group of their own.
    from orchestration.forms.drills.commands import do_drills
    from orchestration.forms.drills.faults import DRILLS
    from orchestration.forms.drills.report import drill_table

    reports = do_drills(DRILLS, None, lambda sentence: print(sentence, file=sys.stderr))
    write_table(RESULTS_PAGE, drill_table(reports, datetime.now(UTC).date()))
    return [Measurement("fault_drills", sum(not report.is_whole for report in reports), rows=len(reports))]


def write_table(page: Path, table: str) -> None:
    """Put the table between its marks on a page."""
    text = page.read_text(encoding="utf-8")
    before, _, rest = text.partition(_START)
    _, _, after = rest.partition(_END)
    page.write_text(f"{before}{_START}\n{table}\n{_END}{after}", encoding="utf-8")
