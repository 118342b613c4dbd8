"""Puts the readings of a month that came in many small files into one, without changing a single row.

A supplier that delivers by the day leaves thirty files a month and delivery, and whoever reads them pays for each. The
rows keep the delivery and the file that they came from, so whatever tells of deliveries stays as it was, and no month
is computed anew. One file takes the place of the others by a journal: a process that is killed at any moment leaves
either the old files or what the next start completes. Nobody may read the landing meanwhile.
"""

import hashlib
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb
import orjson

from ml.errors import KilowiseError
from orchestration.files import replace_text
from orchestration.ingestion.contract import CONTRACT_DELIVERY_ID
from orchestration.ingestion.locking import INCOMING, locked
from orchestration.ingestion.sources import literal
from orchestration.ingestion.staging import PARQUET_OPTIONS

COMPACTED = "0001-compacted"
"""Folder among the deliveries with one file per compacted month; it was delivered by nobody and has no manifest."""

JOURNAL = ".compaction.json"
"""What is to go, what takes its place, and what is to be noted of it."""

# As a landing writes them.
_ROW_GROUP_ROWS = 500_000


class CompactionError(KilowiseError):
    """The readings of a month could not be put together; the files are as they were."""


@dataclass(frozen=True, slots=True)
class CompactedMonth:
    """A month whose readings lie in one file now.

    Attributes:
        month: First day of the UTC month, as in the name of its folder.
        files_count: Files that they lay in before.
        rows_count: Readings, all versions included.
        bytes_before: Size of these files.
        bytes_after: Size of the one.
    """

    month: str
    files_count: int
    rows_count: int
    bytes_before: int
    bytes_after: int


def compact_readings(
    landing_dir: Path, *, from_files: int, memory_limit: str = "1200MB", threads: int = 2
) -> Sequence[CompactedMonth]:
    """Put the readings of every month that lie in many files into one file each.

    Args:
        landing_dir: Root of the landing; held like a landing does, and nobody else may read it meanwhile.
        from_files: Files from which on a month is worth it; at least 2.
        memory_limit: Memory of the engine; beyond it, it spills to the landing's disk.
        threads: Threads of the engine.

    Returns:
        The months that were compacted, oldest first.

    Raises:
        LandingLockedError: When another process lands.
        CompactionError: The one file would not hold what the many do.
    """
    if not (landing_dir / "deliveries").is_dir():
        return ()
    with locked(landing_dir):
        _finish(landing_dir)
        months = {
            month: paths for month, paths in reading_files_by_month(landing_dir).items() if len(paths) >= from_files
        }
        if not months:
            return ()
        with _engine(landing_dir, memory_limit, threads) as (connection, scratch):
            return tuple(
                _compact_month(connection, landing_dir, scratch, month, months[month]) for month in sorted(months)
            )


def finish_compaction(landing_dir: Path) -> None:
    """Complete a compaction whose process was killed; whoever reads the readings calls this first.

    Raises:
        LandingLockedError: When another process is at it.
    """
    if (landing_dir / JOURNAL).exists():
        with locked(landing_dir):
            _finish(landing_dir)


def finish_held_compaction(landing_dir: Path) -> None:
    """The same for a caller that holds the lock of the landing."""
    _finish(landing_dir)


def reading_files_by_month(landing_dir: Path) -> dict[str, list[Path]]:
    """Return the files of readings by the first day of their UTC month, as their folders name it."""
    months: dict[str, list[Path]] = {}
    for path in sorted((landing_dir / "deliveries").glob("*/meter_readings/read_month=*/*.parquet")):
        if path.parts[-4] != CONTRACT_DELIVERY_ID:
            months.setdefault(path.parent.name.removeprefix("read_month="), []).append(path)
    return months


@contextmanager
def _engine(landing_dir: Path, memory_limit: str, threads: int) -> Iterator[tuple[duckdb.DuckDBPyConnection, Path]]:
    scratch = landing_dir / INCOMING / "compaction"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    config = {"threads": threads, "memory_limit": memory_limit, "temp_directory": str(scratch / "spill")}
    try:
        with duckdb.connect(":memory:", config=config) as connection:
            connection.execute("set timezone = 'UTC'")
            yield connection, scratch
    finally:
        if not (landing_dir / JOURNAL).exists():
            shutil.rmtree(scratch, ignore_errors=True)


def _compact_month(
    connection: duckdb.DuckDBPyConnection, landing_dir: Path, scratch: Path, month: str, paths: Sequence[Path]
) -> CompactedMonth:
    listed = ", ".join(literal(str(path)) for path in paths)
    many = f"read_parquet([{listed}], hive_partitioning = false, union_by_name = true)"
    staged = scratch / f"{month}.parquet"
    connection.execute(
        f"copy (select * from {many} order by meter_id, read_at, known_at, revision, delivery_id) "
        f"to {literal(str(staged))} ({PARQUET_OPTIONS}, row_group_size {_ROW_GROUP_ROWS})"
    )
    rows, content = _content(connection, many)
    if _content(connection, f"read_parquet({literal(str(staged))}, hive_partitioning = false)") != (rows, content):
        raise CompactionError(f"the readings of {month} would not be the same in one file; nothing was changed")
    name = hashlib.sha256(f"{month}/{rows}/{content}".encode()).hexdigest()[:16]
    target = landing_dir / "deliveries" / COMPACTED / "meter_readings" / f"read_month={month}" / f"{name}.parquet"
    compacted = CompactedMonth(
        month, len(paths), rows, sum(path.stat().st_size for path in paths), staged.stat().st_size
    )
    if list(paths) != [target]:
        journal = {
            "staged": staged.relative_to(landing_dir).as_posix(),
            "target": target.relative_to(landing_dir).as_posix(),
            "replaced": [path.relative_to(landing_dir).as_posix() for path in paths if path != target],
        }
        _flush(staged)
        replace_text(landing_dir / JOURNAL, orjson.dumps(journal).decode())
        _finish(landing_dir)
    return compacted


def _content(connection: duckdb.DuckDBPyConnection, relation: str) -> tuple[int, str]:
    """Return the number of rows and a hash over all of them in any order."""
    row = connection.execute(
        f"select count(*), cast(sum(cast(hash(content) as hugeint)) as varchar) from {relation} content"
    ).fetchone()
    assert row is not None  # noqa: S101  # a count always has a row
    return row[0], row[1]


def _flush(path: Path) -> None:
    """Have a file on the disk before others are removed for it."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _finish(landing_dir: Path) -> None:
    """Do what the journal says, from wherever it was left: the many files go, then the one or the notes appear."""
    journal = landing_dir / JOURNAL
    if not journal.exists():
        return
    plan = orjson.loads(journal.read_bytes())
    for name in plan["replaced"]:
        path = landing_dir / name
        path.unlink(missing_ok=True)
        for folder in (path.parent, path.parent.parent):
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()
    if "target" in plan:
        staged, target = landing_dir / plan["staged"], landing_dir / plan["target"]
        if staged.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            staged.rename(target)
        if not target.exists():
            raise CompactionError(f"{target} is missing; restore the landing from a backup")
    for name, text in plan.get("notes", {}).items():
        replace_text(landing_dir / name, text)
    journal.unlink()
