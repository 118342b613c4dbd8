"""Small files that other processes read: whole or not at all."""

import threading
from pathlib import Path

import pytest

from orchestration.files import replace_text


def test_text_is_replaced_and_nothing_else_is_left(tmp_path: Path) -> None:
    pointer = tmp_path / "folder" / "CURRENT"

    replace_text(pointer, "first")
    replace_text(pointer, "电价 second")

    assert pointer.read_text(encoding="utf-8") == "电价 second"
    assert [path.name for path in pointer.parent.iterdir()] == ["CURRENT"]


def test_reader_never_sees_a_part(tmp_path: Path) -> None:
    pointer = tmp_path / "CURRENT"
    texts = ["a" * 50_000, "b" * 80_000]
    replace_text(pointer, texts[0])
    seen: set[str] = set()
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            seen.add(pointer.read_text(encoding="utf-8"))

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(200):
        replace_text(pointer, texts[number % 2])
    stop.set()
    reader.join()

    assert seen <= set(texts)
    assert seen


def test_failed_write_keeps_the_old_text(tmp_path: Path) -> None:
    pointer = tmp_path / "CURRENT"
    replace_text(pointer, "old")

    with pytest.raises(UnicodeEncodeError):
        replace_text(pointer, "\ud800")

    assert pointer.read_text(encoding="utf-8") == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["CURRENT"]
