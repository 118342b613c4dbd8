"""Removes readings of months long ago, and has the landing refuse them from then on.

What was computed from these months stays: their deliveries remain listed, so no table takes the months for changed.
A late reading of such a month would make them computed anew from itself alone; therefore the landing refuses it.
Removal and the note of it are one step by the journal of the compaction: a process that is killed leaves either all
readings or what the next start completes. Nobody may read the landing meanwhile.
"""

from dataclasses import dataclass
from datetime import date
from pathlib import Path

import orjson

from orchestration.files import replace_text
from orchestration.ingestion.locking import locked

REMOVED_READINGS = "removed_readings.json"
"""File of the landing that says from which month on readings are kept, and how many were removed."""


@dataclass(frozen=True, slots=True)
class ReadingRetention:
    """What the landing no longer holds.

    Attributes:
        first_kept: First UTC month whose readings are kept; None while nothing was removed.
        rows_count: Readings that were removed so far, all versions included.
    """

    first_kept: date | None = None
    rows_count: int = 0


@dataclass(frozen=True, slots=True)
class RemovedReadings:
    """Readings that were removed at one time.

    Attributes:
        months: First days of the UTC months, oldest first.
        files_count: Files that they lay in.
        rows_count: Readings, all versions included.
        size_bytes: Size of these files.
    """

    months: tuple[date, ...] = ()
    files_count: int = 0
    rows_count: int = 0
    size_bytes: int = 0


def read_retention(landing_dir: Path) -> ReadingRetention:
    """Return what was removed from a landing so far."""
    path = landing_dir / REMOVED_READINGS
    if not path.exists():
        return ReadingRetention()
    found = orjson.loads(path.read_bytes())
    return ReadingRetention(date.fromisoformat(found["first_kept"]), found["rows_count"])


def remove_old_readings(landing_dir: Path, first_kept: date) -> RemovedReadings:
    """Remove the readings of every UTC month before one; what was computed from them stays.

    Args:
        landing_dir: Root of the landing; held like a landing does, and nobody else may read it meanwhile.
        first_kept: First day of the first month that is kept.

    Raises:
        LandingLockedError: When another process lands.
    """
    # Here: whoever only asks what was removed needs no engine.
    import pyarrow.parquet as pq

    from orchestration.ingestion.compaction import JOURNAL, finish_held_compaction, reading_files_by_month

    if not (landing_dir / "deliveries").is_dir():
        return RemovedReadings()
    with locked(landing_dir):
        finish_held_compaction(landing_dir)
        files = {
            month: paths
            for month, paths in reading_files_by_month(landing_dir).items()
            if date.fromisoformat(month) < first_kept
        }
        paths = [path for month in sorted(files) for path in files[month]]
        if not paths:
            return RemovedReadings()
        removed = RemovedReadings(
            months=tuple(date.fromisoformat(month) for month in sorted(files)),
            files_count=len(paths),
            rows_count=sum(pq.read_metadata(path).num_rows for path in paths),
            size_bytes=sum(path.stat().st_size for path in paths),
        )
        rows_count = read_retention(landing_dir).rows_count + removed.rows_count
        note = orjson.dumps({"first_kept": first_kept, "rows_count": rows_count}).decode()
        journal = {
            "replaced": [path.relative_to(landing_dir).as_posix() for path in paths],
            "notes": {REMOVED_READINGS: note},
        }
        replace_text(landing_dir / JOURNAL, orjson.dumps(journal).decode())
        finish_held_compaction(landing_dir)
        return removed
