"""Registers are private, lose no line to a second writer, and are replaced whole."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ml.append_only import append_line, exclusive, replace_private


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_register_and_its_folder_are_the_owners_only(tmp_path: Path) -> None:
    path = tmp_path / "register" / "lines.jsonl"
    with exclusive(path):
        append_line(path, "one")

    assert path.read_text(encoding="utf-8") == "one\n"
    assert (_mode(path), _mode(path.parent)) == (0o600, 0o700)


def test_writers_at_the_same_time_lose_no_line(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"

    def count_and_append(_: int) -> None:
        with exclusive(path):
            append_line(path, str(len(path.read_text(encoding="utf-8").splitlines())))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(count_and_append, range(40)))

    assert path.read_text(encoding="utf-8").splitlines() == [str(number) for number in range(40)]


def test_a_replaced_file_has_the_new_content_and_stays_private(tmp_path: Path) -> None:
    path = tmp_path / "members.parquet"
    path.write_bytes(b"old")
    replace_private(path, b"new")

    assert path.read_bytes() == b"new"
    assert _mode(path) == 0o600
    assert list(tmp_path.iterdir()) == [path]
