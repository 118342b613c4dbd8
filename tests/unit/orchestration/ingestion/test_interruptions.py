"""A landing that dies: by SIGKILL at any moment, or because the disk takes no more."""

import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from orchestration.ingestion.errors import DiskFullError
from tests.unit.orchestration.ingestion.supplier import CUSTOMERS, METERS, PSEUDONYM_KEY, Supplier, hourly, readings_csv

REPOSITORY = Path(__file__).resolve().parents[4]

LAND = f"""
import sys
from pathlib import Path
from orchestration.ingestion.landing import land_deliveries
from orchestration.ingestion.mapping import load_mapping
import duckdb, pyarrow
print("ready", flush=True)
land_deliveries(Path(sys.argv[1]), load_mapping(), Path(sys.argv[2]), pseudonym_key={PSEUDONYM_KEY!r},
                time_zone="Asia/Shanghai", progress=lambda message: print(message, flush=True))
"""

TABLES = ("customers", "meters", "bills", "payments", "meter_readings")


def fill(supplier: Supplier, deliveries: int = 3) -> None:
    supplier.basics()
    for number in range(1, deliveries + 1):
        rows = [
            row
            for day in range(1, 29)
            for row in hourly("M1", f"2024-{number:02d}-{day:02d}") + hourly("M2", f"2024-{number:02d}-{day:02d}")
        ]
        rows.append(("MX", "2024-01-01 00:00", 1))
        supplier.deliver(
            f"2025-{number:02d}",
            {"customers.csv": CUSTOMERS, "meters.csv": METERS, "meter_readings.csv": readings_csv(rows)},
            f"2025-{number:02d}-02T00:00:00Z",
        )


@contextmanager
def landing_process(supplier: Supplier) -> Iterator["subprocess.Popen[str]"]:
    arguments = [sys.executable, "-c", LAND, str(supplier.inbox), str(supplier.landing)]
    with subprocess.Popen(arguments, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process


def everything(supplier: Supplier) -> dict[str, list[tuple[object, ...]]]:
    # Only the bare 2024-09 folder has no time of delivery; all else is equal to the last byte.
    state = {table: supplier.rows(table, "* exclude (known_at)") for table in TABLES}
    state["known_at"] = supplier.rows("meter_readings", "distinct known_at")
    state["quarantine"] = supplier.quarantine()
    state["published"] = [(name,) for name in supplier.published()]
    return state


def is_complete(folder: Path) -> bool:
    return (folder / "delivery.json").exists() and (folder / "deliveries" / "delivery.parquet").exists()


def test_killed_at_any_moment_the_next_run_ends_as_if_nothing_had_happened(tmp_path: Path) -> None:
    suppliers = []
    for name in ("calm", "killed"):
        (tmp_path / name).mkdir()
        suppliers.append(Supplier(tmp_path / name))
        fill(suppliers[-1])
    calm, killed = suppliers
    with landing_process(calm) as process:
        started = time.monotonic()
        assert process.wait() == 0
        duration = time.monotonic() - started

    kills = 0
    for fraction in (0.15, 0.3, 0.5, 0.7, 0.85):
        with landing_process(killed) as process:
            try:
                process.wait(timeout=fraction * duration)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                kills += 1
        for folder in (killed.landing / "deliveries").glob("*"):
            assert is_complete(folder) or folder.name.startswith("0000")
    assert kills > 0
    with landing_process(killed) as process:
        assert process.wait() == 0

    assert everything(killed) == everything(calm)
    assert list((killed.landing / ".incoming").iterdir()) == []


@pytest.mark.parametrize("place", ["identities", "quarantine", ".incoming"])
def test_leftovers_of_a_killed_run_are_removed(supplier: Supplier, place: str) -> None:
    supplier.basics()
    supplier.land()
    leftover = supplier.landing / place / ("dead-0123456789.parquet" if place == "identities" else "dead-0123456789")
    if place == "identities":
        leftover.write_bytes(b"half of it")
    else:
        leftover.mkdir()
        (leftover / "bills.parquet").write_bytes(b"half of it")

    supplier.land()

    assert not leftover.exists()


def test_full_disk_is_named_and_publishes_nothing_of_the_delivery(supplier: Supplier) -> None:
    supplier.basics()
    supplier.land()
    rows = [
        (meter, f"2024-09-{day:02d} {hour:02d}:00", (day * hour * 7919 % 997) / 1000)
        for meter in ("M1", "M2")
        for day in range(1, 29)
        for hour in range(24)
    ]
    supplier.deliver("2024-10", {"meter_readings.csv": readings_csv(rows)})
    before = supplier.published()
    # The system answers a write beyond this limit as it answers one to a full disk: with an error, not with a signal.
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2048, limit[1]))
    try:
        with pytest.raises(DiskFullError) as caught:
            supplier.land()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, handler)

    assert str(supplier.landing) in str(caught.value)
    assert "free some space or set KILOWISE_HOME to a larger disk and run again" in str(caught.value)
    assert supplier.published() == before
    assert supplier.land().rows_loaded == len(rows)
