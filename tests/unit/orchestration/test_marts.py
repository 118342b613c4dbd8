"""Published marts: a version appears whole, equal content keeps its version, readers keep what they opened."""

from collections.abc import Callable
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from orchestration.marts import (
    KEPT_VERSIONS,
    MARTS,
    MARTS_AFTER_MODELS,
    MartsNotPublishedError,
    MartsVersion,
    current_marts,
)
from tests.unit.orchestration.published import publish_file

Publish = Callable[[], MartsVersion]


@pytest.fixture
def warehouse(tmp_path: Path) -> Path:
    """A warehouse with every mart, two rows each."""
    path = tmp_path / "kilowise.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute("create schema marts")
        for mart, order in {**MARTS, **MARTS_AFTER_MODELS}.items():
            columns = ", ".join(f"'{column}' || number as {column}" for column in order)
            connection.execute(f"create table marts.{mart} as select {columns}, number from range(2) as t(number)")
    return path


@pytest.fixture
def publish(warehouse: Path, tmp_path: Path) -> Publish:
    return lambda: publish_file(warehouse, tmp_path / "marts")


def change(warehouse: Path, number: int) -> None:
    with duckdb.connect(str(warehouse)) as connection:
        connection.execute(f"update marts.customer_monthly_load set number = {number}")


def test_nothing_published_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(MartsNotPublishedError, match="Run the job refresh_data first"):
        current_marts(tmp_path / "marts")


def test_version_holds_every_mart_with_its_rows(publish: Publish, tmp_path: Path) -> None:
    version = publish()

    assert version == current_marts(tmp_path / "marts")
    assert version.row_counts == dict.fromkeys(MARTS, 2)
    assert sorted(version.read("customer_monthly_load")["customer_key"]) == ["customer_key0", "customer_key1"]


def test_equal_content_keeps_its_version_whatever_the_order_of_rows(publish: Publish, warehouse: Path) -> None:
    first = publish()
    with duckdb.connect(str(warehouse)) as connection:
        for mart in MARTS:
            connection.execute(f"create or replace table marts.{mart} as from marts.{mart} order by number desc")
    before = {path: path.stat().st_mtime_ns for path in first.directory.iterdir()}

    second = publish()

    assert second == first
    assert {path: path.stat().st_mtime_ns for path in first.directory.iterdir()} == before
    assert [path.name for path in first.directory.parent.iterdir()] == [first.name]


def test_one_changed_mart_changes_its_fingerprint_only(publish: Publish, warehouse: Path) -> None:
    first = publish()
    change(warehouse, 7)

    second = publish()

    assert second.name != first.name
    assert [mart for mart in MARTS if second.fingerprint(mart) != first.fingerprint(mart)] == ["customer_monthly_load"]


def test_marts_that_did_not_change_are_taken_over(publish: Publish, warehouse: Path) -> None:
    first = publish()
    marker = first.path("customer_load_cube")
    marker.write_bytes(marker.read_bytes() + b"kept")
    change(warehouse, 7)

    second = publish()

    assert second.path("customer_load_cube").read_bytes() == marker.read_bytes()


def test_mart_with_a_renamed_column_is_written_anew(publish: Publish, warehouse: Path) -> None:
    publish()
    with duckdb.connect(str(warehouse)) as connection:
        connection.execute("alter table marts.customer_monthly_load rename number to amount")

    assert "amount" in publish().read("customer_monthly_load").columns


def test_reader_keeps_a_consistent_set_while_the_next_version_appears(publish: Publish, warehouse: Path) -> None:
    reader = publish()
    change(warehouse, 7)
    publish()

    assert reader.read("customer_monthly_load")["number"].tolist() == [0, 1]
    assert reader.read("customer_credit_features")["number"].tolist() == [0, 1]


def test_old_versions_are_removed_but_never_the_current_one(publish: Publish, warehouse: Path, tmp_path: Path) -> None:
    names = []
    for number in range(KEPT_VERSIONS + 2):
        change(warehouse, number)
        names.append(publish().name)

    kept = {path.name for path in (tmp_path / "marts" / "versions").iterdir()}

    assert kept == set(names[-KEPT_VERSIONS:])


def test_return_to_earlier_content_keeps_that_version(publish: Publish, warehouse: Path, tmp_path: Path) -> None:
    change(warehouse, 0)
    first = publish()
    for number in (1, 2, 0):
        change(warehouse, number)
        last = publish()
    change(warehouse, 5)
    publish()

    assert last.name == first.name
    assert (tmp_path / "marts" / "versions" / first.name).exists()


def test_failure_halfway_leaves_the_current_version_and_is_cleaned_up_by_the_next(
    publish: Publish, warehouse: Path, tmp_path: Path
) -> None:
    first = publish()
    with duckdb.connect(str(warehouse)) as connection:
        connection.execute("alter table marts.tariff_catalogue rename to hidden")

    with pytest.raises(duckdb.Error, match="tariff_catalogue"):
        publish()
    assert current_marts(tmp_path / "marts") == first

    with duckdb.connect(str(warehouse)) as connection:
        connection.execute("alter table marts.hidden rename to tariff_catalogue")
    publish()
    assert [path.name for path in (tmp_path / "marts" / "versions").iterdir()] == [first.name]


def test_marts_after_the_models_have_versions_of_their_own(publish: Publish, warehouse: Path, tmp_path: Path) -> None:
    first = publish()
    folder = tmp_path / "marts" / "after_models"

    after = publish_file(warehouse, folder, marts=MARTS_AFTER_MODELS)

    assert set(after.row_counts) == set(MARTS_AFTER_MODELS)
    assert current_marts(folder) == after
    assert publish() == first == current_marts(tmp_path / "marts")


def test_columns_and_rows_can_be_chosen(publish: Publish) -> None:
    frame = publish().read("customer_monthly_load", columns=["customer_key"], filters=[("number", "==", 1)])

    assert frame.to_dict("list") == {"customer_key": ["customer_key1"]}


@pytest.mark.parametrize("rows_in_group", [1, 2, 3, 5, 100])
def test_a_mart_is_read_by_customers_who_are_never_divided(tmp_path: Path, rows_in_group: int) -> None:
    keys = list("aaabccccdee")
    whole = pa.table({"customer_key": keys, "slot": range(len(keys))})
    pq.write_table(whole, tmp_path / "customer_load_cube.parquet", row_group_size=rows_in_group)

    parts = list(MartsVersion("v", tmp_path, {}, {}).parts_by_customer("customer_load_cube"))

    assert pa.concat_tables(parts).equals(whole)
    held = [set(part.column("customer_key").to_pylist()) for part in parts]
    assert sum(map(len, held)) == len(set(keys))
    assert len(parts) == {1: 5, 100: 2}.get(rows_in_group, len(parts))
