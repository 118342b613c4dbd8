"""Readings of months long ago: removed whole, refused from then on, whatever moment a process is killed at."""

from datetime import date
from pathlib import Path

import pytest

from orchestration.ingestion import compaction
from orchestration.ingestion.compaction import COMPACTED, JOURNAL, compact_readings, finish_compaction
from orchestration.ingestion.errors import LandingLockedError
from orchestration.ingestion.locking import locked
from orchestration.ingestion.retention import (
    REMOVED_READINGS,
    ReadingRetention,
    RemovedReadings,
    read_retention,
    remove_old_readings,
)
from orchestration.ingestion.totals import landed_totals
from tests.unit.orchestration.ingestion.supplier import Supplier, file_report, hourly, readings_csv

# Each within a UTC month of its own, 24 readings.
MONTHS = {month: f"{month}-05" for month in ("2024-06", "2024-07", "2024-08")}
FIRST_KEPT = date(2024, 8, 1)


@pytest.fixture
def landed(supplier: Supplier) -> Supplier:
    supplier.basics()
    for number, day in enumerate(MONTHS.values(), start=1):
        supplier.deliver(f"2024-10-0{number}", {"meter_readings.csv": readings_csv(hourly("M1", day))})
    supplier.land()
    return supplier


def months_of(supplier: Supplier) -> set[str]:
    return {str(read_at)[:7] for (read_at,) in supplier.rows("meter_readings", "read_at")}


def test_months_before_the_first_kept_go_whole_and_the_list_of_months_stays(landed: Supplier) -> None:
    listed, totals = landed.rows("reading_months"), landed_totals(landed.landing)
    removed = remove_old_readings(landed.landing, FIRST_KEPT)

    assert removed.months == (date(2024, 6, 1), date(2024, 7, 1))
    assert (removed.files_count, removed.rows_count) == (2, 48)
    assert months_of(landed) == {"2024-08"}
    assert len(list((landed.landing / "deliveries").glob("2024-10-*/meter_readings"))) == 1
    assert read_retention(landed.landing) == ReadingRetention(FIRST_KEPT, 48)
    # What was computed from them would else count as changed.
    assert landed.rows("reading_months") == listed
    assert landed_totals(landed.landing) == totals


def test_what_was_removed_adds_up_and_nothing_is_removed_twice(landed: Supplier) -> None:
    remove_old_readings(landed.landing, date(2024, 7, 1))
    assert remove_old_readings(landed.landing, FIRST_KEPT).rows_count == 24
    assert remove_old_readings(landed.landing, FIRST_KEPT) == RemovedReadings()
    assert read_retention(landed.landing) == ReadingRetention(FIRST_KEPT, 48)


def test_compacted_readings_go_as_well(landed: Supplier) -> None:
    landed.deliver("2024-10-09", {"meter_readings.csv": readings_csv(hourly("M1", "2024-07-06"))})
    landed.land()
    compact_readings(landed.landing, from_files=2)
    assert list((landed.landing / "deliveries" / COMPACTED).rglob("*.parquet"))
    assert remove_old_readings(landed.landing, FIRST_KEPT).rows_count == 72
    assert months_of(landed) == {"2024-08"}


def test_later_readings_of_these_months_are_counted_and_not_kept(landed: Supplier) -> None:
    remove_old_readings(landed.landing, FIRST_KEPT)
    late = hourly("M1", "2024-07-05") + hourly("M1", "2024-07-07", 0.9) + hourly("M1", "2024-08-06")
    landed.deliver("2024-10-09", {"meter_readings.csv": readings_csv(late)})
    report = landed.land()

    file = file_report(report, "meter_readings")
    assert file.quarantined_by_reason == {"past_retention": 48}
    assert (file.rows_loaded, file.rows_duplicate) == (24, 0)
    assert "is before 2024-08, from which on readings are kept" in report.messages[0]
    assert set(landed.quarantine("reason, value, raw_row")) == {("past_retention", None, None)}
    assert months_of(landed) == {"2024-08"}


def test_a_removal_whose_process_was_killed_is_completed_before_anybody_reads(
    landed: Supplier, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(compaction, "_finish", lambda _landing_dir: None)
        remove_old_readings(landed.landing, FIRST_KEPT)
    next((landed.landing / "deliveries").glob("*/meter_readings/read_month=2024-06-01/*.parquet")).unlink()
    assert read_retention(landed.landing) == ReadingRetention()

    finish_compaction(landed.landing)
    assert months_of(landed) == {"2024-08"}
    assert read_retention(landed.landing) == ReadingRetention(FIRST_KEPT, 48)
    assert not (landed.landing / JOURNAL).exists()


def test_nothing_is_removed_while_somebody_lands_or_where_nothing_was_landed(landed: Supplier, tmp_path: Path) -> None:
    with locked(landed.landing), pytest.raises(LandingLockedError):
        remove_old_readings(landed.landing, FIRST_KEPT)
    assert remove_old_readings(tmp_path / "nowhere", FIRST_KEPT) == RemovedReadings()
    assert not (landed.landing / REMOVED_READINGS).exists()
