import json
import logging
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from serving import denied_calls, metrics
from serving.denied_calls import DeniedCall, DeniedCallLog

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def denied(number: int = 0, at: datetime = NOON) -> DeniedCall:
    return DeniedCall(
        denied_at=at,
        request_id=f"{number:032x}",
        method="POST",
        route="/v1/credit_risk/score",
        reason="unknown_key",
        caller=None,
        key_fingerprint="0a1b2c3d",
        client_network="203.0.113.0/24",
    )


def log_in(directory: Path, **options: int) -> DeniedCallLog:
    return DeniedCallLog(directory, fingerprint_key=b"secret", **{"retention_days": 90, **options})


def lines(directory: Path) -> list[dict[str, object]]:
    return [json.loads(line) for path in sorted(directory.glob("*.jsonl")) for line in path.read_text().splitlines()]


def dropped_count() -> float:
    return float(metrics.DENIED_CALL_LINES.labels("dropped")._value.get())


def test_one_line_per_call_by_day(tmp_path: Path) -> None:
    log = log_in(tmp_path / "denied")
    log.record(denied(1))
    log.record(denied(2, NOON + timedelta(days=1)))
    log.flush()

    assert [path.name for path in sorted((tmp_path / "denied").iterdir())] == ["2026-11-22.jsonl", "2026-11-23.jsonl"]
    assert lines(tmp_path / "denied")[0] == {
        "denied_at": "2026-11-22T12:00:00+00:00",
        "request_id": f"{1:032x}",
        "method": "POST",
        "route": "/v1/credit_risk/score",
        "reason": "unknown_key",
        "caller": None,
        "key_fingerprint": "0a1b2c3d",
        "client_network": "203.0.113.0/24",
    }


def test_only_the_owner_reads_the_audit(tmp_path: Path) -> None:
    log = log_in(tmp_path / "denied")
    log.record(denied())
    log.flush()

    assert (tmp_path / "denied").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "denied" / "2026-11-22.jsonl").stat().st_mode & 0o777 == 0o600


def test_processes_share_a_days_file(tmp_path: Path) -> None:
    one, other = log_in(tmp_path), log_in(tmp_path)
    for number in range(4):
        (one if number % 2 else other).record(denied(number))
        one.flush()
        other.flush()

    assert [int(str(line["request_id"]), 16) for line in lines(tmp_path)] == [0, 1, 2, 3]


def test_a_flood_is_bounded_per_day_and_counted(tmp_path: Path) -> None:
    log = log_in(tmp_path, largest_day_bytes=1_000)
    before = dropped_count()
    for number in range(100):
        log.record(denied(number))
    log.flush()

    written = len(lines(tmp_path))
    assert 0 < written < 10
    assert (tmp_path / "2026-11-22.jsonl").stat().st_size <= 1_000
    assert dropped_count() - before == 100 - written


def test_memory_is_bounded_and_what_is_dropped_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(denied_calls, "CAPACITY_ROWS", 3)
    log = log_in(tmp_path)
    before = dropped_count()
    for number in range(10):
        log.record(denied(number))
    log.flush()

    assert len(lines(tmp_path)) == 3
    assert dropped_count() - before == 7


def test_a_disk_that_refuses_is_said_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(28, os.strerror(28))

    log = log_in(tmp_path)
    before = dropped_count()
    monkeypatch.setattr(denied_calls.os, "write", refuse)
    log.record(denied())
    with caplog.at_level(logging.ERROR, logger="serving.denied_calls"):
        log.flush()

    assert "No space left" in caplog.text
    assert dropped_count() - before == 1


def test_old_files_are_removed_and_nothing_else(tmp_path: Path) -> None:
    today = datetime.now(UTC).date()
    kept = [f"{today - timedelta(days=days)}.jsonl" for days in (0, 29, 30)] + ["notes.txt", "2020-01-01.txt"]
    for name in [*kept, f"{today - timedelta(days=31)}.jsonl", "2020-01-01.jsonl"]:
        (tmp_path / name).write_text("")
    log = log_in(tmp_path, retention_days=30)

    log.start()
    log.stop()

    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(kept)


def test_a_stop_writes_what_waits(tmp_path: Path) -> None:
    log = log_in(tmp_path)
    log.start()
    for number in range(5):
        log.record(denied(number))
    log.stop()

    assert len(lines(tmp_path)) == 5


def test_a_fingerprint_needs_the_secret(tmp_path: Path) -> None:
    log, other = log_in(tmp_path), DeniedCallLog(tmp_path, retention_days=1, fingerprint_key=b"another secret")

    assert log.fingerprint("13800138000") == log.fingerprint("13800138000")
    assert len(log.fingerprint("13800138000")) == 8
    assert log.fingerprint("13800138000") != other.fingerprint("13800138000")


def test_text_from_outside_stays_on_its_line(tmp_path: Path) -> None:
    log = log_in(tmp_path)
    log.record(DeniedCall(NOON, "id", 'GET\n{"reason": "forged"}', "other", "unknown_key", None, None, "local"))
    log.flush()

    assert len(lines(tmp_path)) == 1
