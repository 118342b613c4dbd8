"""The record of retrainings: only added to, torn lines left out, damaged ones named."""

from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from monitoring.retrainings import (
    Retraining,
    RetrainingRecordError,
    RetrainingStatus,
    read_retraining_lines,
    read_retrainings,
    record_retraining,
)


def line(retraining_id: str, status: RetrainingStatus) -> Retraining:
    return Retraining(
        retraining_id=retraining_id,
        use_case="credit_risk",
        month=date(2026, 8, 1),
        release="0001",
        status=status,
        at=datetime(2026, 9, 5, tzinfo=UTC),
        why_en="Act.",
        why_zh="需处理。",
    )


@pytest.fixture
def record(tmp_path: Path) -> Path:
    for written in (line("a", "opened"), line("b", "refused"), line("a", "released")):
        record_retraining(written, tmp_path)
    return tmp_path / "credit_risk" / "retrainings.jsonl"


def test_last_line_says_how_a_retraining_stands(tmp_path: Path, record: Path) -> None:
    assert record.exists()
    assert len(read_retraining_lines(tmp_path, "credit_risk")) == 3
    assert [(one.retraining_id, one.status) for one in read_retrainings(tmp_path, "credit_risk")] == [
        ("a", "released"),
        ("b", "refused"),
    ]


def test_without_a_record_there_are_none(tmp_path: Path) -> None:
    assert read_retrainings(tmp_path, "credit_risk") == ()


def test_line_of_a_killed_writer_is_left_out(tmp_path: Path, record: Path) -> None:
    record.write_text(record.read_text()[:-20])

    assert [one.status for one in read_retraining_lines(tmp_path, "credit_risk")] == ["opened", "refused"]
    record_retraining(line("c", "opened"), tmp_path)
    assert [one.retraining_id for one in read_retraining_lines(tmp_path, "credit_risk")] == ["a", "b", "c"]


def test_damaged_line_is_named_with_what_to_do(tmp_path: Path, record: Path) -> None:
    record.write_text(record.read_text().replace('"refused"', '"perhaps"'))

    with pytest.raises(RetrainingRecordError, match=r"retrainings\.jsonl: line 2 is not readable .* restore the file"):
        read_retrainings(tmp_path, "credit_risk")
