"""What a platform that runs every night must not keep for ever: old runs, logs, old pages, halves of scorings.

Each function removes one kind and says what it removed; the settings say how much is kept. Nothing that a model, an
answer or a decision rests on is touched: verdicts, decisions, releases and the prediction log have rules of their own.
"""

import math
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from orchestration.files import replace_text
from orchestration.settings import DBT_PROJECT_DIR, PlatformSettings

if TYPE_CHECKING:
    from dagster import DagsterInstance, DagsterRun, RunRecord

_SILENCE_OF_THE_DEAD = timedelta(days=1)
REPORT_PAGE = "report.html"
_PARTITION_TAGS = ("dagster/partition", "dagster/asset_partition_range_start", "dagster/asset_partition_range_end")
_REMOVED_MARK = "<!-- removed -->"
_REMOVED_PAGE = (
    _REMOVED_MARK + '<!doctype html><html lang="en"><meta charset="utf-8"><title>Report removed</title><body>'
    "<p>This page was removed on {today} because it is older than {months} months "
    "(<code>KILOWISE_RETAINED_REPORT_MONTHS</code>). The verdict with its figures and reasons is kept; the job "
    "<code>review_drift</code> makes the page of a month anew.</p></body></html>"
)


@dataclass(frozen=True, slots=True)
class Removed:
    """What was removed of one kind.

    Attributes:
        what: The kind, in the plural.
        count: How many.
        size_bytes: Bytes on the disk that they took.
    """

    what: str
    count: int
    size_bytes: int

    def sentence(self) -> str:
        """Return it in words."""
        return f"{self.count:,} {self.what} removed ({self.size_bytes / 1e6:,.1f} MB)."


def remove_old_runs(settings: PlatformSettings, instance: "DagsterInstance", now: datetime) -> Removed:
    """Remove the history of runs that ended long ago.

    The last run of each job stays, and so does the last that did a month: the UI tells by it that the month is done.
    """
    import dagster as dg

    before = now - timedelta(days=settings.retained_run_days)
    ended = [
        dg.DagsterRunStatus.SUCCESS,
        dg.DagsterRunStatus.FAILURE,
        dg.DagsterRunStatus.CANCELED,
    ]
    records = instance.get_run_records(dg.RunsFilter(statuses=ended))
    kept: set[tuple[str, ...]] = set()
    removed = 0
    # Newest first, so that the first of each kind is the one to keep.
    for record in records:
        places = set(_places(record.dagster_run))
        is_last = not places <= kept
        kept |= places
        if not is_last and _ended_at(record) < before:
            instance.delete_run(record.dagster_run.run_id)
            removed += 1
    return Removed("runs", removed, 0)


def _places(run: "DagsterRun") -> Iterator[tuple[str, ...]]:
    """Yield what a run is the latest of, unless a later one is."""
    yield (run.job_name,)
    if run.is_success:
        yield (run.job_name, "success")
        partition = tuple(run.tags.get(tag, "") for tag in _PARTITION_TAGS)
        if any(partition):
            yield (run.job_name, *partition)


def _ended_at(record: "RunRecord") -> datetime:
    return datetime.fromtimestamp(record.end_time, UTC) if record.end_time else record.update_timestamp


def remove_old_logs(
    settings: PlatformSettings, dagster_home: Path, now: datetime, dbt_project_dir: Path = DBT_PROJECT_DIR
) -> Removed:
    """Remove what programs printed in steps of long ago, and dbt's own logs and left-over folders."""
    before = (now - timedelta(days=settings.retained_log_days)).timestamp()
    folders = [
        *dagster_home.glob("storage/*/compute_logs"),
        *dagster_home.glob("logs/storage/*/compute_logs"),
        # dagster-dbt makes one for each run that names no folder.
        *(dbt_project_dir / "target").glob("dbt_models*-*"),
    ]
    files = [
        *(settings.warehouse_path.parent / "dbt_target").glob("*.log*"),
        *(dbt_project_dir / "logs").glob("*.log*"),
    ]
    old = [path for path in (*folders, *files) if _newest(path) < before]
    size = sum(_size(path) for path in old)
    for path in old:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
        if path.name == "compute_logs" and not any(path.parent.iterdir()):
            path.parent.rmdir()
    return Removed("logs", len(old), size)


def remove_old_report_pages(settings: PlatformSettings, use_cases: Sequence[str], today: date) -> Removed:
    """Put a sentence in the place of the Evidently pages of months long ago, five megabytes each.

    Verdicts, their figures and reasons, decisions and model cards stay.
    """
    first_kept = first_kept_month(today, settings.retained_report_months)
    text = _REMOVED_PAGE.format(today=today.isoformat(), months=settings.retained_report_months)
    count = size = 0
    for use_case in use_cases:
        for page in sorted((settings.reports_dir / use_case).glob(f"[0-9][0-9][0-9][0-9]-[0-9][0-9]/*/{REPORT_PAGE}")):
            month = date.fromisoformat(f"{page.parent.parent.name}-01")
            if month >= first_kept or _is_removed(page):
                continue
            size += page.stat().st_size
            count += 1
            replace_text(page, text)
    return Removed("report pages", count, size)


def _is_removed(page: Path) -> bool:
    with page.open(encoding="utf-8") as file:
        return file.read(len(_REMOVED_MARK)) == _REMOVED_MARK


def first_kept_month(today: date, months: int) -> date:
    """Return the first day of the first of so many whole months before the current one."""
    number = today.year * 12 + today.month - 1 - months
    return date(number // 12, number % 12 + 1, 1)


def remove_abandoned_scorings(settings: PlatformSettings, now: datetime) -> Removed:
    """Remove parts and half-written files of batch predictions whose process was killed.

    A living process adds to its parts or its file every few minutes, on whatever machine it is; what nothing was
    added to for a day has none.
    """
    from orchestration.scoring import PARTS_FOLDER

    before = (now - _SILENCE_OF_THE_DEAD).timestamp()
    months = settings.predictions_dir / "batch"
    found = [*months.glob(f"*/*/{PARTS_FOLDER}*"), *months.glob("*/*/.*.parquet")]
    old = [path for path in sorted(found) if _newest(path) < before]
    size = sum(_size(path) for path in old)
    for path in old:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return Removed("halves of killed scorings", len(old), size)


def _newest(path: Path) -> float:
    """Return when a file, or anything in a folder, was changed last; never, for what another process just took away."""
    try:
        below = path.rglob("*") if path.is_dir() else ()
        return max(found.lstat().st_mtime for found in (path, *below))
    except FileNotFoundError:
        return math.inf


def _size(path: Path) -> int:
    return sum(found.lstat().st_size for found in (path, *path.rglob("*")) if found.is_file())
