from datetime import date
from pathlib import Path

import pandas as pd
import pytest

from monitoring.segment_stability import segment_stability

MONTH = date(2026, 1, 1)


def write(directory: Path, month: date, segments: dict[str, str | None], release: str = "0001") -> Path:
    path = directory / f"as_of_month={month.isoformat()}" / "predictions.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    frame = pd.DataFrame({"customer_key": list(segments), "segment_id": list(segments.values()), "release": release})
    frame.to_parquet(path)
    return path


def stability(directory: Path, release: str = "0001"):
    return segment_stability(MONTH, directory, release=release, column="segment_id")


def test_who_stayed_moved_came_and_went_is_counted(tmp_path) -> None:
    before = {"a": "R1", "b": "R1", "c": "R2", "d": "R2", "gone": "R1", "unread": "unknown"}
    write(tmp_path, date(2025, 12, 1), before)
    write(tmp_path, MONTH, {"a": "R1", "b": "R2", "c": "R2", "d": "R2", "new": "R1", "unassigned": None})
    found = stability(tmp_path)
    assert (found.customers, found.customers_stayed, found.customers_new, found.customers_lost) == (4, 3, 1, 1)
    assert found.moved_pct == 25
    assert found.is_same_release
    assert [one.model_dump() for one in found.segments] == [
        {"segment_id": "R2", "customers_before": 2, "customers_now": 3, "customers_stayed": 2},
        {"segment_id": "R1", "customers_before": 2, "customers_now": 1, "customers_stayed": 1},
    ]


def test_the_first_segment_of_a_customer_who_had_too_little_history_is_no_move(tmp_path) -> None:
    write(tmp_path, date(2025, 12, 1), {"a": "R1", "b": "unknown"})
    write(tmp_path, MONTH, {"a": "R1", "b": "R2"})
    found = stability(tmp_path)
    assert (found.customers, found.customers_new, found.moved_pct) == (1, 1, 0)


def test_the_same_division_agrees_fully(tmp_path) -> None:
    segments = {"a": "R1", "b": "R1", "c": "R2"}
    write(tmp_path, date(2025, 12, 1), segments)
    write(tmp_path, MONTH, segments)
    assert stability(tmp_path).adjusted_rand_index == pytest.approx(1)


def test_segments_of_two_releases_are_marked(tmp_path) -> None:
    write(tmp_path, date(2025, 12, 1), {"a": "R1"}, release="0000")
    write(tmp_path, MONTH, {"a": "R1"})
    assert not stability(tmp_path).is_same_release


def test_without_the_month_before_or_the_release_there_is_nothing_to_compare(tmp_path) -> None:
    write(tmp_path, MONTH, {"a": "R1"})
    assert stability(tmp_path) is None
    write(tmp_path, date(2025, 12, 1), {"a": "R1"}).write_bytes(b"torn")
    assert stability(tmp_path) is None
    write(tmp_path, date(2025, 12, 1), {"b": "R1"})
    assert stability(tmp_path) is None
    assert stability(tmp_path, release="0002") is None
