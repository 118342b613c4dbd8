import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from threading import Thread
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from prometheus_client import REGISTRY

from ml.columns import names
from ml.credit_risk.rating import HISTORY_COLUMNS
from ml.credit_risk.schema import FEATURES, PREDICTIONS
from serving.log_ledger import Ledger, LedgerEntry, ledger_key
from serving.log_verification import verify_log
from serving.prediction_log import SHADOW, LoggedPrediction, PredictionLog, log_schema, unpacked_tables
from serving.settings import PROJECT_ROOT

KEY = ledger_key(b"a secret of this test")
PREDICTION = {"default_probability": 0.1, "credit_points": 570.0, "credit_rating": "BB", "reason_1_code": None}


def row(number: int, *, decided_at: datetime = datetime(2026, 9, 5, 23, 59, tzinfo=UTC)) -> LoggedPrediction:
    return LoggedPrediction(
        request_id=f"r{number}",
        decision_id=f"d{number}",
        decided_at=decided_at,
        use_case="credit_risk",
        release="0001-x",
        model_version="x",
        customer_key=f"{number:032x}",
        as_of_month=date(2026, 8, 1),
        district="north",
        features={"tenure_months": 12, "customer_class": "residential"},
        prediction=PREDICTION,
    )


@pytest.fixture
def log(tmp_path: Path) -> Iterator[PredictionLog]:
    log = PredictionLog(tmp_path / "log", key=KEY, capacity_rows=1000, flush_seconds=60)
    log.start()
    yield log
    log.stop()


def counted(outcome: str) -> float:
    return REGISTRY.get_sample_value("kilowise_prediction_log_rows_total", {"outcome": outcome}) or 0.0


def read(directory: Path) -> list[dict[str, Any]]:
    return [record for path in sorted(directory.rglob("*.parquet")) for record in pq.read_table(path).to_pylist()]


def test_columns_are_those_of_batch_predictions() -> None:
    assert log_schema("credit_risk").names == [
        "request_id",
        "decision_id",
        "decided_at",
        "use_case",
        "release",
        "model_version",
        "customer_key",
        "source",
        "as_of_month",
        "district",
        *names(FEATURES),
        *names(PREDICTIONS),
        *HISTORY_COLUMNS,
        "policy_version",
        "scoring_ms",
        "arm",
        "error",
        "tables",
        "features_from",
        "raw",
    ]


def test_what_never_happened_is_counted_as_none() -> None:
    """An alert on an increase needs the 0 before it."""
    printed = subprocess.run(
        [sys.executable, "-c", "from serving import metrics; print(metrics.exposition().decode())"],
        cwd=PROJECT_ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout

    for outcome in ("written", "dropped", "lost"):
        assert f'kilowise_prediction_log_rows_total{{outcome="{outcome}"}} 0.0' in printed


def test_a_normal_stop_loses_nothing(tmp_path: Path) -> None:
    log = PredictionLog(tmp_path, key=KEY, capacity_rows=100_000, flush_seconds=0.01)
    log.start()
    writers = [
        Thread(target=lambda start=start: [log.record([row(start + n)]) for n in range(500)])
        for start in (0, 1000, 2000)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    log.stop()

    logged = [record["request_id"] for record in read(tmp_path)]

    assert len(logged) == 1500
    assert len(set(logged)) == 1500


def test_a_row_comes_back_as_it_was_logged(log: PredictionLog, tmp_path: Path) -> None:
    log.record([row(7)])
    log.flush()

    (record,) = read(tmp_path)

    assert record["source"] == "online"
    assert record["decided_at"] == datetime(2026, 9, 5, 23, 59, tzinfo=UTC)
    assert record["as_of_month"] == date(2026, 8, 1)
    assert (record["tenure_months"], record["customer_class"]) == (12.0, "residential")
    assert (record["default_probability"], record["reason_1_code"]) == (0.1, None)
    assert record["late_bills_3m_count"] is None


def test_files_lie_by_use_case_and_day(log: PredictionLog, tmp_path: Path) -> None:
    log.record([row(1), row(2, decided_at=datetime(2026, 9, 6, 0, 1, tzinfo=UTC))])
    log.flush()

    folders = {path.parent.relative_to(tmp_path / "log").as_posix() for path in tmp_path.rglob("*.parquet")}

    assert folders == {"credit_risk/date=2026-09-05", "credit_risk/date=2026-09-06"}
    assert not list(tmp_path.rglob("*.tmp"))


def test_the_queue_is_told_as_it_grows_and_when_it_is_written(log: PredictionLog) -> None:
    log.record([row(number) for number in range(3)])
    assert REGISTRY.get_sample_value("kilowise_prediction_log_pending_rows") == 3

    log.flush()
    assert REGISTRY.get_sample_value("kilowise_prediction_log_pending_rows") == 0


def test_what_does_not_fit_is_dropped_and_counted(tmp_path: Path) -> None:
    log = PredictionLog(tmp_path, key=KEY, capacity_rows=10, flush_seconds=60)
    before = counted("dropped")

    log.record([row(n) for n in range(8)])
    log.record([row(n) for n in range(8, 16)])
    log.stop()

    assert [record["request_id"] for record in read(tmp_path)] == [f"r{n}" for n in range(10)]
    assert counted("dropped") - before == 6


def test_rows_survive_a_disk_that_refuses_and_are_written_later(tmp_path: Path) -> None:
    blocked = tmp_path / "log"
    blocked.write_text("a file where the folder should be")
    log = PredictionLog(blocked, key=KEY, capacity_rows=10, flush_seconds=60)
    log.record([row(1), row(2)])

    assert log.flush() == 0

    blocked.unlink()
    log.record([row(3)])

    assert log.flush() == 3
    assert [record["request_id"] for record in read(blocked)] == ["r1", "r2", "r3"]


def test_rows_lost_at_the_stop_are_counted(tmp_path: Path) -> None:
    blocked = tmp_path / "log"
    blocked.write_text("a file where the folder should be")
    log = PredictionLog(blocked, key=KEY, capacity_rows=10, flush_seconds=60)
    before = counted("lost")
    log.record([row(1), row(2)])

    log.stop()

    assert counted("lost") - before == 2


def test_a_half_full_log_is_written_before_the_interval_ends(tmp_path: Path) -> None:
    log = PredictionLog(tmp_path, key=KEY, capacity_rows=10, flush_seconds=3600)
    log.start()

    log.record([row(n) for n in range(5)])
    for _ in range(200):
        if read(tmp_path):
            break
        time.sleep(0.02)

    assert len(read(tmp_path)) == 5
    log.stop()


def ledger_of(directory: Path) -> list[LedgerEntry]:
    return [entry for entry, _ in Ledger(directory, KEY).read()]


def test_rows_that_a_killed_process_took_with_it_are_counted_at_the_next_start(tmp_path: Path) -> None:
    program = f"""
import os, signal
from pathlib import Path
from serving.prediction_log import PredictionLog
from tests.unit.serving.test_prediction_log import KEY, row

log = PredictionLog(Path({str(tmp_path)!r}), key=KEY, capacity_rows=10, flush_seconds=3600)
log.start()
log.record([row(n) for n in range(5)])
log.flush()
log.record([row(n) for n in range(5, 8)])
os.kill(os.getpid(), signal.SIGKILL)
"""
    killed = subprocess.run([sys.executable, "-c", program], cwd=PROJECT_ROOT, timeout=60, check=False)
    assert killed.returncode == -signal.SIGKILL
    before = counted("lost")

    log = PredictionLog(tmp_path, key=KEY, capacity_rows=10, flush_seconds=60)
    log.start()
    log.stop()

    assert len(read(tmp_path)) == 5
    assert counted("lost") - before == 3
    [closed] = [entry for entry in ledger_of(tmp_path) if entry.kind == "closed"]
    assert (closed.rows, closed.lost, closed.was_killed) == (5, 3, True)
    assert not list(tmp_path.rglob("*.count"))


def test_a_process_that_lives_is_left_alone_by_the_start_of_another(log: PredictionLog, tmp_path: Path) -> None:
    log.record([row(1)])

    other = PredictionLog(tmp_path / "log", key=KEY, capacity_rows=10, flush_seconds=60)
    other.start()
    other.record([row(2)])
    other.stop()
    log.flush()

    assert sorted(str(record["request_id"]) for record in read(tmp_path)) == ["r1", "r2"]
    assert [(entry.kind, entry.rows, entry.lost) for entry in ledger_of(tmp_path / "log")] == [
        ("written", 1, None),
        ("closed", 1, 0),
        ("written", 1, None),
    ]


def test_file_that_could_not_be_renamed_is_written_once_and_put_in_its_place_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = PredictionLog(tmp_path, key=KEY, capacity_rows=10, flush_seconds=60)
    log.record([row(1)])
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", refuse)
        assert log.flush() == 1
    assert read(tmp_path) == []

    log.stop()

    assert [record["request_id"] for record in read(tmp_path)] == ["r1"]
    assert verify_log(tmp_path, KEY).problems == ()


def test_file_of_a_killed_process_that_the_ledger_names_is_put_in_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = PredictionLog(tmp_path, key=KEY, capacity_rows=10, flush_seconds=60)
    log.record([row(1)])
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", refuse)
        log.flush()
    stream = log._stream
    assert stream is not None
    # As the kernel does when a process dies.
    os.close(stream._lock)
    stream._map.close()
    leftover = next(tmp_path.rglob("*.tmp"))
    leftover.with_name(leftover.name.replace("000001", "000002")).write_bytes(b"half a file")

    after = PredictionLog(tmp_path, key=KEY, capacity_rows=10, flush_seconds=60)
    after.start()
    after.stop()

    assert [record["request_id"] for record in read(tmp_path)] == ["r1"]
    assert not list(tmp_path.rglob("*.tmp"))
    assert ledger_of(tmp_path)[-1].lost == 0


def test_row_that_does_not_fit_its_columns_costs_nobody_elses(tmp_path: Path) -> None:
    log = PredictionLog(tmp_path, key=KEY, capacity_rows=10, flush_seconds=60)
    before = counted("lost")

    log.record([row(1), replace(row(2), features={"tenure_months": "long"}), row(3)])
    log.stop()

    assert [record["request_id"] for record in read(tmp_path)] == ["r1", "r3"]
    assert counted("lost") - before == 1
    assert ledger_of(tmp_path)[-1].lost == 1


def test_days_beyond_the_retention_are_deleted_and_the_chain_stays_whole(tmp_path: Path) -> None:
    today = datetime.now(UTC)
    log = PredictionLog(tmp_path, key=KEY, capacity_rows=10, flush_seconds=60, retention_days=30)
    for days in (40, 35, 30, 0):
        log.record([row(days, decided_at=today - timedelta(days=days))])
        log.flush()

    log.start()
    log._writing.wake()
    for _ in range(200):
        if len(list(tmp_path.rglob("*.parquet"))) == 2:
            break
        time.sleep(0.02)
    log.stop()

    assert sorted(str(record["request_id"]) for record in read(tmp_path)) == ["r0", "r30"]
    entries = ledger_of(tmp_path)
    assert [entry.kind for entry in entries] == ["checkpoint", "written", "written", "expired", "closed"]
    assert (entries[0].entries, entries[0].files, entries[0].rows) == (2, 2, 2)
    found = verify_log(tmp_path, KEY)
    assert found.problems == ()
    assert (found.files_count, found.expired_count, found.entries_count) == (2, 2, 6)


def test_what_a_challenger_says_in_shadow_lies_apart(log: PredictionLog, tmp_path: Path) -> None:
    log.record([replace(row(1), arm=SHADOW, prediction={}, error="no"), row(2)])
    log.flush()

    folders = {path.parent.relative_to(tmp_path / "log").as_posix() for path in tmp_path.rglob("*.parquet")}

    assert folders == {"shadow/credit_risk/date=2026-09-05", "credit_risk/date=2026-09-05"}


def test_tables_that_came_with_a_request_come_back_as_they_were(log: PredictionLog, tmp_path: Path) -> None:
    cube = pa.table({"customer_key": ["raw", "raw"], "month": [date(2026, 8, 1)] * 2, "kwh": [1.5, None]})
    nothing = pa.table({"customer_key": pa.array([], pa.string())})

    log.record([replace(row(1), tables={"customer_load_cube": cube, "customer_programmes": nothing}), row(2)])
    log.flush()

    first, second = read(tmp_path)
    assert unpacked_tables(first["tables"]) == {"customer_load_cube": cube, "customer_programmes": nothing}
    assert second["tables"] is None
    assert verify_log(tmp_path / "log", KEY).problems == ()


def refuse(_self: Path, _target: Path) -> None:
    raise OSError(5, "Input/output error")
