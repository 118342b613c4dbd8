import zipfile
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest

from orchestration.traces import CustomerTrace, UnsearchableFileError

KEY = "0123456789abcdef0123456789abcdef"
TRACE = CustomerTrace("1000042", KEY)


@pytest.mark.parametrize("content", [f"key={KEY}", "call 1000042.", '{"id": "1000042"}'])
def test_text_that_names_the_customer_is_found(tmp_path: Path, content: str) -> None:
    (tmp_path / "note.txt").write_text(content)

    assert TRACE.is_in(tmp_path / "note.txt")


@pytest.mark.parametrize("content", ["", "0.1000042", "1000042.5", "11000042", "10000421"])
def test_figures_that_contain_the_digits_of_the_id_are_no_trace(tmp_path: Path, content: str) -> None:
    (tmp_path / "note.txt").write_text(content)

    assert not TRACE.is_in(tmp_path / "note.txt")


@pytest.mark.parametrize("kind", ["object", "category"])
def test_compressed_column_is_opened(tmp_path: Path, kind: str) -> None:
    for name, keys in (("with", [KEY, "other", None]), ("without", ["another", "other", None])):
        frame = pd.DataFrame({"customer_key": pd.Series(keys, dtype=kind)})
        frame.to_parquet(tmp_path / f"{name}.parquet", compression="zstd")

    assert list(TRACE.below(tmp_path)) == [tmp_path / "with.parquet"]


def test_warehouse_and_archive_are_opened(tmp_path: Path) -> None:
    with duckdb.connect(str(tmp_path / "kilowise.duckdb")) as connection:
        connection.execute(f"create table t as select repeat('x', 10) as a, '{KEY}' as customer_key from range(5000)")
    np.savez_compressed(tmp_path / "keys.npz", keys=np.array([KEY]))
    with zipfile.ZipFile(tmp_path / "model.skops", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("schema.json", "nobody")

    assert {path.name for path in TRACE.below(tmp_path)} == {"kilowise.duckdb", "keys.npz"}


def test_file_that_cannot_be_opened_is_no_proof(tmp_path: Path) -> None:
    (tmp_path / "mart.parquet").write_bytes(b"no parquet at all")

    with pytest.raises(UnsearchableFileError, match=r"mart\.parquet cannot be searched"):
        list(TRACE.below(tmp_path))


def test_left_out_folders_are_not_searched(tmp_path: Path) -> None:
    (tmp_path / "inbox").mkdir()
    (tmp_path / "inbox" / "customers.csv").write_text("1000042")

    assert list(TRACE.below(tmp_path, without=frozenset({tmp_path / "inbox"}))) == []


def test_short_id_is_not_searched_since_it_would_be_found_everywhere(tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("42")

    assert not CustomerTrace("42", KEY).is_in(tmp_path / "note.txt")
