"""What an operator reads when dbt fails, and when the step is tried again."""

import json
from pathlib import Path

import dagster as dg
import pytest
from dagster_dbt.errors import DagsterDbtCliRuntimeError

from orchestration.dbt import RESULTS_FILE, explained_failure, sentence_of_dbt_test


class DbtEndedError(DagsterDbtCliRuntimeError):
    """An error as dagster-dbt raises it; its own class is abstract."""


def write_results(folder: Path, *results: tuple[str, str, str | None]) -> None:
    (folder / RESULTS_FILE).write_text(
        json.dumps(
            {"results": [{"unique_id": node, "status": status, "message": text} for node, status, text in results]}
        )
    )


def test_failed_tests_and_models_are_named_and_not_tried_again(tmp_path: Path) -> None:
    write_results(
        tmp_path,
        ("model.kilowise.stg_billing__bills", "success", "OK"),
        ("test.kilowise.unique_bill_id.0a1b2c", "fail", "Got 300 results, configured to fail if != 0"),
        ("model.kilowise.customer_portrait", "error", "Runtime Error in model x\n  Binder Error: no column y"),
        ("model.kilowise.customer_load_cube", "skipped", None),
    )

    failure = explained_failure(DbtEndedError("dbt ended with 1"), tmp_path, tmp_path)

    assert isinstance(failure, dg.Failure)
    assert failure.description == (
        "unique_bill_id: Got 300 results, configured to fail if != 0\n"
        "customer_portrait: Binder Error: no column y\n"
        f"dbt's log: {tmp_path / 'dbt.log'}"
    )
    assert failure.allow_retries is False


def test_full_disk_comes_with_its_remedy(tmp_path: Path) -> None:
    message = 'Runtime Error\n  IO Error: Could not write file "kilowise.duckdb": No space left on device'
    write_results(tmp_path, ("model.kilowise.customer_load_cube", "error", message))

    failure = explained_failure(DbtEndedError("dbt ended with 1"), tmp_path, tmp_path)

    assert isinstance(failure, dg.Failure)
    assert f"The disk of {tmp_path} took no more: free some space" in str(failure.description)


def test_dbt_that_did_not_get_to_work_may_be_tried_again(tmp_path: Path) -> None:
    locked = DbtEndedError("IO Error: Could not set lock on file")
    assert explained_failure(locked, tmp_path, tmp_path) is locked

    write_results(tmp_path, ("model.kilowise.customer_portrait", "success", "OK"))
    assert explained_failure(locked, tmp_path, tmp_path) is locked


@pytest.mark.parametrize(
    ("name", "arguments", "sentence"),
    [
        ("unique", {"column_name": "month"}, "No two rows have the same month."),
        (
            "unique_combination",
            {"columns": ["customer_key", "month"]},
            "No two rows have the same customer_key, month.",
        ),
        ("not_null", {"column_name": "month"}, "month has a value in every row."),
        ("accepted_values", {"column_name": "season", "values": ["summer", 1]}, "season is one of summer, 1."),
        ("accepted_range", {"column_name": "hour", "minimum": 0, "maximum": 23}, "hour is at least 0 and at most 23."),
        ("accepted_range", {"column_name": "unpaid_amount", "minimum": 0}, "unpaid_amount is at least 0."),
        (
            "relationships",
            {"column_name": "customer_key", "field": "customer_key", "to": "ref('customer_portrait')"},
            "Each customer_key is a customer_key of customer_portrait.",
        ),
        ("holds", {"condition": "kwh >= 0"}, "In every row: kwh >= 0."),
        (
            "reconciles",
            {
                "expression": "sum(kwh)",
                "other": "ref('bills')",
                "other_expression": "sum(billed_kwh)",
                "group_by": {"month": "bill_month"},
            },
            "sum(kwh) equals sum(billed_kwh) of bills for each month.",
        ),
        ("row_count_matches", {"other": "ref('bills')"}, "The table has as many rows as bills."),
    ],
)
def test_dbt_test_says_what_it_demands(name: str, arguments: dict[str, object], sentence: str) -> None:
    assert sentence_of_dbt_test({"test_metadata": {"name": name, "kwargs": arguments}}) == sentence


def test_own_description_of_a_dbt_test_counts_before_the_made_one() -> None:
    test = {"description": "Hours add up.", "test_metadata": {"name": "holds", "kwargs": {"condition": "a = b"}}}

    assert sentence_of_dbt_test(test) == "Hours add up."


def test_description_of_a_singular_test_stands_in_its_meta() -> None:
    assert (
        sentence_of_dbt_test({"description": "", "meta": {"description": "No reading is lost."}})
        == "No reading is lost."
    )
