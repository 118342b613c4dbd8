from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from threading import Thread

import pyarrow.parquet as pq
import pytest
from prometheus_client import REGISTRY

from ml.columns import names
from ml.credit_risk.rating import HISTORY_COLUMNS
from ml.credit_risk.schema import FEATURES, PREDICTIONS
from serving.prediction_log import LoggedPrediction, PredictionLog, log_schema

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
    log = PredictionLog(tmp_path / "log", capacity_rows=1000, flush_seconds=60)
    log.start()
    yield log
    log.stop()


def counted(outcome: str) -> float:
    return REGISTRY.get_sample_value("kilowise_prediction_log_rows_total", {"outcome": outcome}) or 0.0


def read(directory: Path) -> list[dict[str, object]]:
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
    ]


def test_a_normal_stop_loses_nothing(tmp_path: Path) -> None:
    log = PredictionLog(tmp_path, capacity_rows=100_000, flush_seconds=0.01)
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
    assert not [path for path in tmp_path.rglob("*") if path.name.startswith(".")]


def test_what_does_not_fit_is_dropped_and_counted(tmp_path: Path) -> None:
    log = PredictionLog(tmp_path, capacity_rows=10, flush_seconds=60)
    before = counted("dropped")

    log.record([row(n) for n in range(8)])
    log.record([row(n) for n in range(8, 16)])
    log.stop()

    assert [record["request_id"] for record in read(tmp_path)] == [f"r{n}" for n in range(10)]
    assert counted("dropped") - before == 6


def test_rows_survive_a_disk_that_refuses_and_are_written_later(tmp_path: Path) -> None:
    blocked = tmp_path / "log"
    blocked.write_text("a file where the folder should be")
    log = PredictionLog(blocked, capacity_rows=10, flush_seconds=60)
    log.record([row(1), row(2)])

    assert log.flush() == 0

    blocked.unlink()
    log.record([row(3)])

    assert log.flush() == 3
    assert [record["request_id"] for record in read(blocked)] == ["r1", "r2", "r3"]


def test_rows_lost_at_the_stop_are_counted(tmp_path: Path) -> None:
    blocked = tmp_path / "log"
    blocked.write_text("a file where the folder should be")
    log = PredictionLog(blocked, capacity_rows=10, flush_seconds=60)
    before = counted("lost")
    log.record([row(1), row(2)])

    log.stop()

    assert counted("lost") - before == 2


def test_a_half_full_log_is_written_before_the_interval_ends(tmp_path: Path) -> None:
    log = PredictionLog(tmp_path, capacity_rows=10, flush_seconds=3600)
    log.start()

    log.record([row(n) for n in range(5)])
    for _ in range(200):
        if read(tmp_path):
            break
        log._stopping.wait(0.02)

    assert len(read(tmp_path)) == 5
    log.stop()
