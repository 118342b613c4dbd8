"""Batch predictions as sources: no pattern is empty, no column is missing, and a damaged file is named."""

from datetime import date
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from ml.columns import USE_CASES
from ml.credit_risk.rating import HISTORY_COLUMNS
from orchestration.predictions import (
    UnreadablePredictionsError,
    check_batch_files,
    prediction_columns,
    source_schema,
    write_source_contracts,
    write_typed_predictions,
)
from orchestration.settings import DBT_PROJECT_DIR
from orchestration.use_cases import USE_CASES as ADAPTERS
from orchestration.use_cases import UseCase

STAGING = DBT_PROJECT_DIR / "models" / "staging"
VIEW_BY_SOURCE = {
    "customer_segments": "stg_predictions__segments",
    "tariff_recommendations": "stg_predictions__tariff_recommendations",
    "credit_scores": "stg_predictions__credit_scores",
}
SOURCE_TYPES = {"string": "varchar", "double": "double", "bool": "boolean", "date32[day]": "date"}


def batch_file(predictions_dir: Path, use_case: str = "segmentation") -> Path:
    path = predictions_dir / "batch" / use_case / "as_of_month=2026-08-01" / "predictions.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def read(predictions_dir: Path, use_case: str) -> duckdb.DuckDBPyRelation:
    files = predictions_dir / "*" / use_case / "*" / "predictions.parquet"
    return duckdb.sql(f"from read_parquet('{files}', union_by_name = true, hive_partitioning = false)")


@pytest.mark.parametrize("use_case", USE_CASES)
def test_use_case_without_a_release_has_every_column_and_no_row(use_case: str, tmp_path: Path) -> None:
    write_source_contracts(tmp_path, USE_CASES)

    found = read(tmp_path, use_case)

    assert found.columns == source_schema(use_case).names
    assert len(found) == 0


def test_predictions_of_an_older_release_lack_a_new_column_and_are_read_all_the_same(tmp_path: Path) -> None:
    write_source_contracts(tmp_path, USE_CASES)
    old = pa.table({"customer_key": ["k"], "as_of_month": [date(2026, 8, 1)], "segment_id": ["R1"]})
    pq.write_table(old, batch_file(tmp_path))

    rows = read(tmp_path, "segmentation").project("customer_key, segment_id, life_cycle_stage").fetchall()

    assert rows == [("k", "R1", None)]


def test_contract_is_written_again_only_when_its_columns_change(tmp_path: Path) -> None:
    write_source_contracts(tmp_path, ["segmentation"])
    [path] = tmp_path.rglob("*.parquet")
    written_at = path.stat().st_mtime_ns

    write_source_contracts(tmp_path, ["segmentation"])
    assert path.stat().st_mtime_ns == written_at

    pq.write_table(pa.table({"customer_key": pa.array([], pa.string())}), path)
    write_source_contracts(tmp_path, ["segmentation"])
    assert pq.read_schema(path).equals(source_schema("segmentation"))


def test_months_with_other_types_become_files_of_one_schema(tmp_path: Path) -> None:
    write_source_contracts(tmp_path, ["segmentation"])
    keys = ["a", "b"]
    without_answer = pa.table(
        {"customer_key": keys, "as_of_month": [date(2026, 8, 1)] * 2, "leaving_reason_code": pa.nulls(2)}
    )
    pq.write_table(without_answer, batch_file(tmp_path))

    write_typed_predictions(tmp_path, tmp_path / "typed", ["segmentation"])
    write_typed_predictions(tmp_path, tmp_path / "typed", ["segmentation"])

    written = pq.read_table(tmp_path / "typed" / "segmentation")
    assert written.schema.remove_metadata().equals(source_schema("segmentation"))
    assert sorted(written["customer_key"].to_pylist()) == keys


def test_damaged_file_is_named_with_its_remedy(tmp_path: Path) -> None:
    batch_file(tmp_path).write_bytes(b"cut off")

    with pytest.raises(UnreadablePredictionsError) as caught:
        check_batch_files(tmp_path)

    message = str(caught.value)
    assert message.startswith("The predictions of segmentation for 2026-08-01 in ")
    assert message.endswith(
        "cannot be read: delete the file and run the job score_customers for 2026-08-01, or `make run`."
    )


def test_file_without_the_key_is_named(tmp_path: Path) -> None:
    pq.write_table(pa.table({"segment_id": ["R1"]}), batch_file(tmp_path))

    with pytest.raises(UnreadablePredictionsError, match="has no column customer_key and no column as_of_month"):
        check_batch_files(tmp_path)


def test_rating_history_is_part_of_the_credit_scores() -> None:
    assert set(HISTORY_COLUMNS) <= set(source_schema("credit_risk").names)


@pytest.mark.parametrize("adapter", ADAPTERS, ids=lambda adapter: adapter.name)
def test_sources_of_dbt_declare_what_is_predicted(adapter: UseCase) -> None:
    document = yaml.safe_load((STAGING / "_predictions__sources.yml").read_text(encoding="utf-8"))
    [table] = [table for table in document["sources"][0]["tables"] if table["name"] == adapter.prediction]

    declared = {column["name"]: column["data_type"] for column in table["columns"]}

    assert declared == {field.name: SOURCE_TYPES[str(field.type)] for field in source_schema(adapter.name)}
    assert f"/{adapter.name}/" in table["config"]["meta"]["external_location"]


@pytest.mark.parametrize("adapter", ADAPTERS, ids=lambda adapter: adapter.name)
def test_staging_shows_every_prediction(adapter: UseCase) -> None:
    sql = (STAGING / "predictions" / f"{VIEW_BY_SOURCE[adapter.prediction]}.sql").read_text(encoding="utf-8")

    assert [c.name for c in prediction_columns(adapter.name) if f" as {c.name}," not in sql] == []
