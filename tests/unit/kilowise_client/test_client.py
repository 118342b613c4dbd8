"""The client against the API itself, and against answers that the API gives seldom."""

import json
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import httpx
import pytest

from kilowise_client import (
    ConflictError,
    ForbiddenError,
    IncompleteAnswerError,
    InvalidRequestError,
    KilowiseClient,
    ServerError,
    TooManyRequestsError,
    UnauthorizedError,
    UnavailableError,
    UnknownCustomerError,
)
from kilowise_client.answers import CreditRiskPrediction, SegmentationPrediction, TariffMatchingPrediction
from kilowise_client.errors import error_of
from serving import schemas
from serving.errors import ERROR_TYPES
from serving.runtime import Runtime
from serving.settings import ServingSettings
from tests.unit.serving.builders import customer_id
from tests.unit.serving.conftest import client_of, released_home  # noqa: F401  # a fixture

API = "http://testserver"


@pytest.fixture(scope="module")
def kilowise(released_home: Path) -> Iterator[KilowiseClient]:  # noqa: F811
    runtime = Runtime(ServingSettings(home=released_home, log_predictions=False))
    runtime.start()
    with KilowiseClient(API, http=client_of(runtime), retries_count=0) as client:
        yield client
    runtime.stop()


def test_one_customer_by_id_and_by_features(kilowise: KilowiseClient) -> None:
    answer = kilowise.credit_risk.for_customer(customer_id(1))
    inline = kilowise.credit_risk.for_features(schemas.CREDIT_RISK_EXAMPLE)

    assert (answer.use_case, answer.currency) == ("credit_risk", "CNY")
    assert answer.result.customer_id == customer_id(1)
    assert answer.result.features_as_of_month == date(2026, 8, 1)
    assert answer.result.prediction is not None
    assert 0 <= answer.result.prediction["default_probability"] <= 1
    assert answer.result.details["policy"]["measures"] is not None
    assert inline.result.customer_id is inline.result.features_as_of_month is None


def test_a_batch_and_the_same_lines_say_the_same(kilowise: KilowiseClient) -> None:
    ids = [customer_id(1), "nobody", customer_id(2)]

    batch = kilowise.segmentation.for_customers(ids)
    lines = list(kilowise.segmentation.stream({"customer_id": one} for one in ids))

    assert [result.prediction for result in lines] == [result.prediction for result in batch.results]
    assert [result.line for result in lines] == [1, 2, 3]
    assert batch.results[1].error is not None
    assert batch.results[1].error.type == "unknown_customer"


def test_a_release_can_be_pinned(kilowise: KilowiseClient) -> None:
    release = kilowise.releases()["releases"][0]["release"]

    assert kilowise.credit_risk.for_customer(customer_id(1), release=release).release == release
    with pytest.raises(ConflictError) as caught:
        kilowise.credit_risk.for_customer(customer_id(1), release="0099-unknown")
    assert caught.value.allowed == [release]


def test_errors_say_what_to_change(kilowise: KilowiseClient) -> None:
    with pytest.raises(UnknownCustomerError, match="check the id"):
        kilowise.credit_risk.for_customer("nobody")
    with pytest.raises(InvalidRequestError) as caught:
        kilowise.credit_risk.for_features({"customer_class": "municipal"})
    assert caught.value.field == "features.customer_class"
    assert caught.value.allowed == ["residential", "commercial", "industrial", "agricultural"]
    with pytest.raises(UnavailableError, match="make run"):
        kilowise.tariff_matching.for_customer(customer_id(1))


def test_models_are_told(kilowise: KilowiseClient) -> None:
    assert [model["use_case"] for model in kilowise.models()["models"]] == ["credit_risk", "segmentation"]


@pytest.mark.parametrize(
    ("name", "typed"),
    [
        ("SegmentationPrediction", SegmentationPrediction),
        ("TariffMatchingPrediction", TariffMatchingPrediction),
        ("CreditRiskPrediction", CreditRiskPrediction),
    ],
)
def test_typed_predictions_are_those_of_the_api(name: str, typed: Any) -> None:
    words = {float: "number", str: "string", bool: "boolean", type(None): "null"}
    single = getattr(schemas, name.replace("Prediction", "Answer"))
    model = single.model_json_schema()["$defs"][name]
    expected = {
        field: {choice["type"] for choice in schema.get("anyOf", [schema])}
        for field, schema in model["properties"].items()
    }

    found = {
        field: {words[choice] for choice in getattr(annotation, "__args__", (annotation,))}
        for field, annotation in typed.__annotations__.items()
    }

    assert found == expected


Handler = Callable[[httpx.Request], httpx.Response]


def answering(*responses: httpx.Response | Exception) -> tuple[KilowiseClient, list[httpx.Request], list[float]]:
    """Return a client of an API that answers this, with the requests it gets and the waits between them."""
    left, requests, waits = list(responses), [], []

    def handle(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        response = left.pop(0)
        if isinstance(response, Exception):
            raise response
        return response

    http = httpx.Client(transport=httpx.MockTransport(handle))
    return KilowiseClient(API, api_key="key", http=http, sleep=waits.append), requests, waits


def busy(seconds: int) -> httpx.Response:
    return httpx.Response(429, headers={"Retry-After": str(seconds)}, json={"type": "too_many_requests"})


DONE = {"releases": []}


def test_a_busy_api_is_asked_again_after_the_time_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("random.random", lambda: 0.5)
    client, requests, waits = answering(busy(2), busy(1), httpx.Response(200, json=DONE))

    assert client.releases() == DONE
    assert waits == [2.5, 1.5]
    assert [request.headers["X-API-Key"] for request in requests] == ["key"] * 3


def test_a_long_wait_and_the_last_attempt_are_errors() -> None:
    client, requests, waits = answering(busy(3_600))
    with pytest.raises(TooManyRequestsError):
        client.releases()
    assert (len(requests), waits) == (1, [])

    client, requests, _ = answering(*[busy(1)] * 5)
    with pytest.raises(TooManyRequestsError):
        client.releases()
    assert len(requests) == 5


def test_a_batch_is_sent_again_under_one_key() -> None:
    answer = {
        "request_id": "r",
        "use_case": "credit_risk",
        "release": "0001-a",
        "model_version": "a",
        "released_at": "2026-09-01T00:00:00+00:00",
        "decided_at": "2026-09-02T00:00:00+00:00",
        "currency": "CNY",
        "results": [],
    }
    in_use = httpx.Response(409, headers={"Retry-After": "1"}, json={"type": "idempotency_key_in_use"})
    client, requests, _ = answering(httpx.ReadTimeout("slow"), in_use, httpx.Response(200, json=answer))

    client.credit_risk.for_customers(["a"])

    keys = {request.headers["Idempotency-Key"] for request in requests}
    assert (len(requests), len(keys)) == (3, 1)


def test_only_what_may_be_repeated_is_sent_again_when_a_connection_breaks() -> None:
    client, requests, _ = answering(httpx.ReadTimeout("slow"))
    with pytest.raises(httpx.ReadTimeout):
        client.credit_risk.for_customer("a")
    assert len(requests) == 1

    client, requests, _ = answering(httpx.ConnectError("down"), httpx.Response(404, json={"type": "unknown_customer"}))
    with pytest.raises(UnknownCustomerError):
        client.credit_risk.for_customer("a")
    assert len(requests) == 2


def test_lines_without_a_summary_are_incomplete() -> None:
    line = json.dumps({"line": 1, "result": {"customer_id": "a", "prediction": {}}})
    client, requests, _ = answering(busy(1), httpx.Response(200, text=line + "\n"))

    results = client.credit_risk.stream([{"customer_id": "a"}])

    assert next(results).customer_id == "a"
    with pytest.raises(IncompleteAnswerError):
        next(results)
    assert len(requests) == 2


@pytest.mark.parametrize(
    ("status", "kind", "expected"),
    [
        (400, "invalid_json", InvalidRequestError),
        (401, "unauthorized", UnauthorizedError),
        (403, "forbidden", ForbiddenError),
        (404, "not_found", InvalidRequestError),
        (404, "unknown_customer", UnknownCustomerError),
        (409, "release_not_served", ConflictError),
        (429, "too_many_requests", TooManyRequestsError),
        (500, "internal", ServerError),
        (503, "no_release", UnavailableError),
    ],
)
def test_every_status_has_its_error(status: int, kind: str, expected: type[Exception]) -> None:
    assert status in ERROR_TYPES[kind].statuses
    assert type(error_of(status, {"type": kind})) is expected


def test_an_answer_of_something_in_between_is_an_error_too() -> None:
    client, _, _ = answering(httpx.Response(502, text="<html>Bad Gateway</html>"))

    with pytest.raises(ServerError, match="HTTP 502: <html>"):
        client.releases()
