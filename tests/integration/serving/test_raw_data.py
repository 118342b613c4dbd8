"""Raw rows of a customer give the answer that the batch gave of the same customer and month."""

import warnings
from collections.abc import Iterator
from datetime import date, datetime
from typing import Any

import pandas as pd
import pytest

from ml.columns import USE_CASES
from orchestration.lifecycle import predictions_path
from orchestration.marts import current_marts
from serving.app import build_app
from serving.raw_schemas import RAW_EXAMPLE
from serving.runtime import Runtime
from serving.settings import ServingSettings
from serving.use_cases import prediction_columns
from tests.integration.platform_home import PlatformHome
from tests.integration.raw_rows import raw_request

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from fastapi.testclient import TestClient

MONTH = date(2026, 9, 1)
PATHS = {
    "segmentation": "/v1/segmentation/assign",
    "tariff_matching": "/v1/tariff_matching/recommend",
    "credit_risk": "/v1/credit_risk/score",
}
DELIVERED = (
    "customers",
    "meters",
    "meter_readings",
    "bills",
    "payments",
    "service_contacts",
    "tariff_enrolments",
    "programme_enrolments",
    "inspections",
)


@pytest.fixture(scope="module")
def runtime(finished_home: PlatformHome) -> Iterator[Runtime]:
    runtime = Runtime(ServingSettings(home=finished_home.path, log_predictions=False, _env_file=None))  # type: ignore[call-arg]  # pydantic-settings
    runtime.start()
    yield runtime
    runtime.stop()


@pytest.fixture(scope="module")
def client(runtime: Runtime) -> TestClient:
    app = build_app()
    app.state.runtime = runtime
    return TestClient(app)


@pytest.fixture(scope="module")
def requests(finished_home: PlatformHome) -> dict[str, dict[str, Any]]:
    """Raw data by customer key: a household, a factory, and the newest customer, whose history is short."""
    features = current_marts(finished_home.settings.marts_dir).read("customer_credit_features")
    latest = features[features["as_of_month"] == pd.Timestamp(MONTH)].sort_values(["tenure_months", "customer_key"])
    of_class = latest.groupby("customer_class")["customer_key"].last()
    keys = [latest["customer_key"].iloc[0], of_class["residential"], of_class["industrial"]]
    known_before: datetime = latest["as_of_at"].iloc[0].to_pydatetime()
    landing = finished_home.settings.landing_dir
    return {key: raw_request(landing, key, MONTH, known_before, DELIVERED) for key in dict.fromkeys(keys)}


def batch_predictions(home: PlatformHome, use_case: str) -> pd.DataFrame:
    return pd.read_parquet(predictions_path(home.settings, use_case, MONTH)).set_index("customer_key")


@pytest.mark.parametrize("use_case", USE_CASES)
def test_raw_rows_give_the_answer_of_the_batch(
    finished_home: PlatformHome, client: TestClient, requests: dict[str, dict[str, Any]], use_case: str
) -> None:
    batch = batch_predictions(finished_home, use_case)

    for key, raw in requests.items():
        response = client.post(PATHS[use_case], json={"raw": raw})
        assert response.status_code == 200, response.text
        result = response.json()["result"]
        expected = batch.loc[key]
        assert result["features_as_of_month"] == MONTH.isoformat()
        for column in prediction_columns(use_case):
            value = None if pd.isna(expected[column.name]) else expected[column.name]
            if column.kind == "numeric" and value is not None:
                value = pytest.approx(value, rel=1e-9, abs=1e-9)
            assert result["prediction"][column.name] == value, (key, column.name)


@pytest.mark.parametrize("use_case", USE_CASES)
def test_the_example_of_the_api_page_is_answered(client: TestClient, use_case: str) -> None:
    response = client.post(PATHS[use_case], json={"raw": RAW_EXAMPLE})

    assert response.status_code == 200, response.text
    assert response.json()["result"]["features_as_of_month"] == RAW_EXAMPLE["as_of_month"]


def test_bills_alone_are_enough_for_a_credit_score_and_too_little_is_said(
    client: TestClient, requests: dict[str, dict[str, Any]]
) -> None:
    full = next(iter(requests.values()))
    bills_only = {name: full[name] for name in ("as_of_month", "customer", "bills", "payments")}

    credit = client.post(PATHS["credit_risk"], json={"raw": bills_only})
    segment = client.post(PATHS["segmentation"], json={"raw": bills_only})

    assert credit.status_code == 200, credit.text
    assert credit.json()["result"]["rating_basis"] == "row"
    assert segment.json()["result"]["prediction"]["segment_id"] == "unknown"
    assert "Readings" in segment.json()["result"]["missing"]


def test_a_refused_row_is_named_and_harms_no_other_customer(
    client: TestClient, requests: dict[str, dict[str, Any]]
) -> None:
    full = next(iter(requests.values()))
    broken = {**full, "payments": [{**full["payments"][0], "bill_id": "unknown"}]}

    alone = client.post(PATHS["credit_risk"], json={"raw": broken})
    together = client.post(PATHS["credit_risk"], json={"items": [{"raw": broken}, {"raw": full}]})

    assert alone.status_code == 422
    assert alone.json()["field"] == "raw.payments[0].bill_id"
    assert [("error" in result) for result in together.json()["results"]] == [True, False]


def test_a_month_that_is_not_over_and_too_many_customers_are_refused(
    client: TestClient, requests: dict[str, dict[str, Any]]
) -> None:
    full = {**next(iter(requests.values())), "meter_readings": []}

    future = client.post(PATHS["credit_risk"], json={"raw": {**full, "as_of_month": "2199-01-01"}})
    many = client.post(PATHS["credit_risk"], json={"items": [{"raw": {}}] * 21})

    assert (future.status_code, "not over yet" in future.json()["detail"]) == (422, True)
    assert (many.status_code, many.json()["field"]) == (422, "items")


def test_the_portrait_of_a_customer_is_that_of_the_mart(
    finished_home: PlatformHome, runtime: Runtime, requests: dict[str, dict[str, Any]]
) -> None:
    mart = current_marts(finished_home.settings.after_models_marts_dir).read("customer_portrait")
    portraits = runtime.portraits.current()
    assert portraits is not None

    for key in requests:
        row = portraits.get(key)
        expected = mart.set_index("customer_key").loc[key]
        assert row is not None
        assert row["segment_id"] == expected["segment_id"]
        assert row["credit_rating"] == expected["credit_rating"]
        assert row["annual_kwh"] == (None if pd.isna(expected["annual_kwh"]) else expected["annual_kwh"])
