"""Portraits are published at once, taken up without a restart, and gone when they are removed."""

from pathlib import Path

import pytest

from serving.portrait_store import (
    FOLDER,
    PortraitBoard,
    PortraitError,
    PortraitStore,
    current_version,
    publish_portraits,
    remove_portraits,
)

COLUMNS = ("district", "annual_kwh")


def publish(home: Path, version: str, **kwh: float) -> None:
    publish_portraits(home, version, COLUMNS, [(key, ("D1", value)) for key, value in kwh.items()])


def test_a_new_version_replaces_the_old_one_and_who_reads_the_old_one_reads_on(tmp_path: Path) -> None:
    publish(tmp_path, "v1", a=1.0)
    held = PortraitStore(tmp_path, "v1")

    publish(tmp_path, "v2", a=2.0, b=3.0)

    assert held.get("a") == {"district": "D1", "annual_kwh": 1.0}
    assert PortraitStore(tmp_path, "v2").get("b") == {"district": "D1", "annual_kwh": 3.0}
    assert [path.name for path in sorted((tmp_path / FOLDER).glob("*.sqlite"))] == ["v2.sqlite"]


def test_the_board_follows_the_pointer_no_more_often_than_it_may(tmp_path: Path) -> None:
    now = 0.0
    board = PortraitBoard(tmp_path, poll_seconds=1.0, clock=lambda: now)
    assert board.current() is None
    publish(tmp_path, "v1", a=1.0)
    assert board.current() is None

    now = 1.0
    served = board.current()
    assert served is not None
    assert served.version == "v1"

    remove_portraits(tmp_path)
    now = 2.0
    assert board.current() is None
    assert current_version(tmp_path) is None


def test_damaged_portraits_are_refused_and_the_old_ones_stay(tmp_path: Path) -> None:
    publish(tmp_path, "v1", a=1.0)
    board = PortraitBoard(tmp_path, poll_seconds=0.0)
    before = board.current()
    (tmp_path / FOLDER / "v2.sqlite").write_bytes(b"half a file")
    (tmp_path / FOLDER / "CURRENT").write_text("v2")

    assert board.current() is before
    with pytest.raises(PortraitError, match="no complete portraits"):
        PortraitStore(tmp_path, "v2")


def test_a_customer_without_portrait_is_not_found(tmp_path: Path) -> None:
    publish(tmp_path, "v1", a=1.0)

    assert PortraitStore(tmp_path, "v1").get("b") is None
