"""``python -m orchestration server drill``: does drills one after the other and tells what they showed."""

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from orchestration.forms.drills.drill import Drill, run_drill
from orchestration.forms.drills.faults import DRILLS
from orchestration.forms.drills.report import DrillReport, full_report
from orchestration.forms.drills.scratch import SMALL_SUPPLIER, SUPPLIER, DrillError, DrillPlatform

Say = Callable[[str], None]


def run_command(parsed: argparse.Namespace, say: Say) -> int:
    """Do the named drills, or all; return 0 when after each the state was that of an undisturbed run."""
    if parsed.list:
        for drill in DRILLS:
            say(f"{drill.name:14} {drill.what}")
        return 0
    supplier = SMALL_SUPPLIER if parsed.small else SUPPLIER
    reports = do_drills(chosen(parsed.names), parsed.folder, say, supplier)
    return 0 if all(report.is_whole for report in reports) else 1


def chosen(names: Sequence[str]) -> Sequence[Drill]:
    """Return the drills of some names, or all of them.

    Raises:
        DrillError: If there is none of a name.
    """
    known = {drill.name: drill for drill in DRILLS}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise DrillError(f"There is no drill {unknown[0]!r}; there are: {', '.join(known)}.")
    return [known[name] for name in names] if names else DRILLS


def do_drills(
    drills: Sequence[Drill], folder: Path | None, say: Say, supplier: Mapping[str, str] = SUPPLIER
) -> Sequence[DrillReport]:
    """Do drills one after the other on one platform.

    Args:
        drills: What to do.
        folder: Scratch folder to keep; by default one that is removed.
        say: Told what happens.
        supplier: Settings of the simulated supplier.
    """
    reports = []
    with _scratch(folder) as root:
        platform = DrillPlatform(root, supplier=supplier)
        say(f"Everything lies in {root}.")
        platform.finish_once(say)
        try:
            platform.begin()
            for drill in drills:
                reports.append(run_drill(platform, drill, say))
                say(full_report(reports[-1]))
        finally:
            platform.down()
    return reports


@contextmanager
def _scratch(folder: Path | None) -> Iterator[Path]:
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        yield folder.resolve()
        return
    with TemporaryDirectory(prefix="kilowise-drills-") as name:
        # PostgreSQL runs as another user than root, who must be able to come here.
        Path(name).chmod(0o755)
        yield Path(name)
