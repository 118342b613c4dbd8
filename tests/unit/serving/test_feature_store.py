from concurrent.futures import ThreadPoolExecutor
from datetime import date
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from ml.columns import Column
from ml.segmentation.schema import FEATURES
from serving.feature_store import FeatureRow, FeatureSnapshotError, SnapshotFile, write_feature_snapshot
from tests.unit.serving.builders import feature_table, key_of

COLUMNS = (
    Column("annual_kwh", "numeric", "", "", nullable=True),
    Column("customer_class", "categorical", "", "", nullable=True),
    Column("is_open", "boolean", "", "", nullable=True),
)


def small_table() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "customer_key": ["b", "a", "b", "c"],
            "as_of_month": [date(2026, 7, 1), date(2026, 8, 1), date(2026, 8, 1), date(2026, 6, 1)],
            "district": ["north", None, "south", "east"],
            "annual_kwh": [1.5, np.nan, 2.5, np.inf],
            "customer_class": ["residential", None, "residential", "industrial"],
            "is_open": [True, None, False, True],
        }
    )


def test_a_customer_has_its_latest_month(tmp_path: Path) -> None:
    write_feature_snapshot(tmp_path / "s.sqlite", small_table(), COLUMNS)

    row = SnapshotFile(tmp_path / "s.sqlite").get("b")

    features = {"annual_kwh": 2.5, "customer_class": "residential", "is_open": False}
    assert row == FeatureRow(date(2026, 8, 1), "south", features)


def test_missing_and_infinite_values_become_none(tmp_path: Path) -> None:
    write_feature_snapshot(tmp_path / "s.sqlite", small_table(), COLUMNS)

    rows = SnapshotFile(tmp_path / "s.sqlite").get_many(["a", "c", "unknown"])

    assert set(rows) == {"a", "c"}
    assert rows["a"] == FeatureRow(
        date(2026, 8, 1), None, {"annual_kwh": None, "customer_class": None, "is_open": None}
    )
    assert rows["c"].features["annual_kwh"] is None


def test_context_is_kept_beside_the_features_where_there_is_one(tmp_path: Path) -> None:
    table = small_table().assign(
        since_month=[date(2026, 7, 1), None, date(2026, 8, 1), None], why=["x", None, None, None]
    )
    write_feature_snapshot(tmp_path / "s.sqlite", table, COLUMNS, context_columns=["since_month", "why"])
    write_feature_snapshot(tmp_path / "plain.sqlite", table, COLUMNS)

    row = SnapshotFile(tmp_path / "s.sqlite").get("b")

    assert row is not None
    assert row.context == {"since_month": "2026-08-01", "why": None}
    assert set(row.features) == {column.name for column in COLUMNS}
    for store, key in ((SnapshotFile(tmp_path / "s.sqlite"), "a"), (SnapshotFile(tmp_path / "plain.sqlite"), "b")):
        assert store.get_many([key])[key].context == {}


def test_values_survive_to_the_last_bit(tmp_path: Path) -> None:
    table = feature_table("segmentation", 200)
    write_feature_snapshot(tmp_path / "s.sqlite", table, FEATURES)
    store = SnapshotFile(tmp_path / "s.sqlite")

    rows = store.get_many(list(table["customer_key"]))

    restored = pd.DataFrame([rows[key].features for key in table["customer_key"]])
    names = [column.name for column in FEATURES]
    pd.testing.assert_frame_equal(restored[names], table[names], check_exact=True)


def test_more_keys_than_one_query_takes(tmp_path: Path) -> None:
    table = feature_table("segmentation", 2000)
    write_feature_snapshot(tmp_path / "s.sqlite", table, FEATURES)

    assert len(SnapshotFile(tmp_path / "s.sqlite").get_many(list(table["customer_key"]))) == 2000


def test_customer_tables_come_back_as_they_went_in(tmp_path: Path) -> None:
    cube = pa.table(
        {
            "customer_key": ["b", "a", "b"],
            "month": pa.array([date(2026, 7, 1)] * 3),
            "kwh": pa.array([Decimal("1.2345"), Decimal("0.0001"), None], pa.decimal128(18, 4)),
        }
    )
    write_feature_snapshot(tmp_path / "s.sqlite", small_table(), COLUMNS, customer_tables={"cube": cube})
    store = SnapshotFile(tmp_path / "s.sqlite")

    rows = store.table("cube", ["a", "b", "unknown"])

    assert rows is not None
    assert rows.schema == cube.schema
    assert rows.sort_by([("customer_key", "ascending"), ("kwh", "ascending")]).to_pylist() == [
        {"customer_key": "a", "month": date(2026, 7, 1), "kwh": Decimal("0.0001")},
        {"customer_key": "b", "month": date(2026, 7, 1), "kwh": Decimal("1.2345")},
        {"customer_key": "b", "month": date(2026, 7, 1), "kwh": None},
    ]
    assert store.table("cube", ["unknown"]) is None
    assert store.table("other", ["a"]) is None


def test_an_empty_customer_table_is_allowed(tmp_path: Path) -> None:
    empty = pa.table({"customer_key": pa.array([], pa.string())})

    write_feature_snapshot(tmp_path / "s.sqlite", small_table(), COLUMNS, customer_tables={"cube": empty})

    assert SnapshotFile(tmp_path / "s.sqlite").table("cube", ["a"]) is None


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    with pytest.raises(FeatureSnapshotError, match="annual_kwh"):
        write_feature_snapshot(tmp_path / "s.sqlite", small_table().drop(columns="annual_kwh"), COLUMNS)


def test_two_rows_for_one_month_are_refused(tmp_path: Path) -> None:
    table = small_table()

    with pytest.raises(FeatureSnapshotError, match="more than one row"):
        write_feature_snapshot(tmp_path / "s.sqlite", pd.concat([table, table]), COLUMNS)


def test_a_snapshot_is_never_overwritten(tmp_path: Path) -> None:
    write_feature_snapshot(tmp_path / "s.sqlite", small_table(), COLUMNS)

    with pytest.raises(FeatureSnapshotError, match="exists already"):
        write_feature_snapshot(tmp_path / "s.sqlite", small_table(), COLUMNS)


@pytest.mark.parametrize("content", [b"", b"not a database", b"SQLite format 3\x00 and no more"])
def test_a_damaged_file_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "s.sqlite").write_bytes(content)

    with pytest.raises(FeatureSnapshotError, match=r"s\.sqlite is not a complete feature snapshot"):
        SnapshotFile(tmp_path / "s.sqlite")


def test_a_missing_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(FeatureSnapshotError, match="does not exist"):
        SnapshotFile(tmp_path / "s.sqlite")


def test_the_snapshot_cannot_be_written_through_the_store(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    write_feature_snapshot(path, small_table(), COLUMNS)
    before = path.read_bytes()
    store = SnapshotFile(path)
    store.get("a")
    store.sample_keys(3)

    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["s.sqlite"]


def test_many_threads_read_one_store(tmp_path: Path) -> None:
    write_feature_snapshot(tmp_path / "s.sqlite", feature_table("segmentation", 100), FEATURES)
    store = SnapshotFile(tmp_path / "s.sqlite")
    keys = [key_of(number % 100) for number in range(2000)]

    with ThreadPoolExecutor(8) as pool:
        rows = list(pool.map(store.get, keys))

    assert all(row is not None for row in rows)
    assert rows[0] == rows[100]
