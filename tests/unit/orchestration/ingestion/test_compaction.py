"""Compaction: fewer files, the same rows, whatever moment a process is killed at."""

import contextlib
import shutil
from pathlib import Path

import pytest

from orchestration.ingestion import compaction
from orchestration.ingestion.compaction import COMPACTED, JOURNAL, compact_readings, finish_compaction
from orchestration.ingestion.errors import LandingLockedError
from orchestration.ingestion.locking import locked
from orchestration.ingestion.totals import landed_totals
from tests.unit.orchestration.ingestion.supplier import Supplier, hourly, readings_csv

DAYS = [f"2024-09-{day:02d}" for day in range(3, 8)]


@pytest.fixture(scope="module")
def landed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two meters whose readings came day by day, and a correction of the second day; landed once for all tests."""
    home = tmp_path_factory.mktemp("daily")
    supplier = Supplier(home)
    supplier.basics()
    for day in DAYS:
        supplier.deliver(day, {"meter_readings.csv": readings_csv(hourly("M1", day) + hourly("M2", day, 0.7))})
    supplier.deliver("2024-09-09", {"meter_readings.csv": readings_csv(hourly("M1", DAYS[1], 0.9))})
    supplier.land()
    return home


@pytest.fixture
def daily(landed: Path, supplier: Supplier) -> Supplier:
    """A copy of that landing."""
    for folder in (supplier.inbox, supplier.landing):
        shutil.copytree(landed / folder.name, folder, dirs_exist_ok=True)
    return supplier


def files(supplier: Supplier) -> list[Path]:
    return sorted((supplier.landing / "deliveries").glob("[!0]*/meter_readings/*/*.parquet")) + sorted(
        (supplier.landing / "deliveries" / COMPACTED).glob("meter_readings/*/*.parquet")
    )


def test_a_month_in_many_files_becomes_one_with_every_row_and_its_provenance(daily: Supplier) -> None:
    before, totals, months = daily.rows("meter_readings"), landed_totals(daily.landing), daily.rows("reading_months")
    assert len(files(daily)) == 6

    [compacted] = compact_readings(daily.landing, from_files=6)

    assert (compacted.month, compacted.files_count, compacted.rows_count) == ("2024-09-01", 6, len(before))
    assert [path.parts[-4] for path in files(daily)] == [COMPACTED]
    assert daily.rows("meter_readings") == before
    assert landed_totals(daily.landing) == totals
    assert daily.rows("reading_months") == months
    assert not (daily.landing / JOURNAL).exists()
    assert list((daily.landing / ".incoming").iterdir()) == []


def test_few_files_are_left_alone_and_a_second_time_changes_nothing(daily: Supplier) -> None:
    assert compact_readings(daily.landing, from_files=7) == ()
    compact_readings(daily.landing, from_files=2)
    [one] = files(daily)
    state = one.stat()
    assert compact_readings(daily.landing, from_files=2) == ()
    assert one.stat() == state


def test_what_comes_later_is_compared_with_the_compacted_readings_and_joins_them(daily: Supplier) -> None:
    compact_readings(daily.landing, from_files=2)
    daily.deliver(
        "2024-09-10", {"meter_readings.csv": readings_csv(hourly("M1", DAYS[0]) + hourly("M1", "2024-09-09"))}
    )
    report = daily.land()
    [file] = report.files
    assert (file.rows_duplicate, file.rows_loaded) == (24, 24)
    before = daily.rows("meter_readings")
    [again] = compact_readings(daily.landing, from_files=2)
    assert again.files_count == 2
    assert daily.rows("meter_readings") == before
    assert len(files(daily)) == 1


@pytest.mark.parametrize("operation", ["unlink", "rename", "rmdir"])
@pytest.mark.parametrize("at", range(1, 5))
def test_a_process_killed_at_any_moment_leaves_what_the_next_start_completes(
    daily: Supplier, monkeypatch: pytest.MonkeyPatch, operation: str, at: int
) -> None:
    before = daily.rows("meter_readings")

    class Killed(BaseException):
        """The process ends here."""

    real = getattr(Path, operation)
    calls = [0]

    def die(self: Path, *arguments: object, **options: object) -> object:
        if self.is_relative_to(daily.landing):
            calls[0] += 1
            if calls[0] == at:
                raise Killed
        return real(self, *arguments, **options)

    with monkeypatch.context() as patched:
        patched.setattr(Path, operation, die)
        with contextlib.suppress(Killed):
            compact_readings(daily.landing, from_files=2)
    finish_compaction(daily.landing)
    assert daily.rows("meter_readings") == before
    assert not (daily.landing / JOURNAL).exists()


def test_a_landing_completes_a_killed_compaction_before_it_cleans_up(
    daily: Supplier, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = daily.rows("meter_readings")
    with monkeypatch.context() as patched:
        patched.setattr(compaction, "_finish", lambda _landing_dir: None)
        compact_readings(daily.landing, from_files=2)
    assert (daily.landing / JOURNAL).exists()
    daily.land()
    assert daily.rows("meter_readings") == before
    assert [path.parts[-4] for path in files(daily)] == [COMPACTED]


def test_nothing_is_compacted_while_somebody_lands(daily: Supplier) -> None:
    with locked(daily.landing), pytest.raises(LandingLockedError):
        compact_readings(daily.landing, from_files=2)


def test_a_home_without_a_landing_has_nothing_to_compact(tmp_path: Path) -> None:
    assert compact_readings(tmp_path / "landing", from_files=2) == ()
    assert list(tmp_path.iterdir()) == []


def test_content_that_would_differ_is_refused(daily: Supplier, monkeypatch: pytest.MonkeyPatch) -> None:
    contents = iter([(1, "a"), (1, "b")])
    monkeypatch.setattr(compaction, "_content", lambda _connection, _relation: next(contents))
    shutil.rmtree(daily.landing / ".incoming")
    with pytest.raises(compaction.CompactionError, match="nothing was changed"):
        compact_readings(daily.landing, from_files=2)
    assert len(files(daily)) == 6
