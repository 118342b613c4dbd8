"""The HTTP contract, without a socket."""

import json
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow.dataset as ds
import pytest
from fastapi.testclient import TestClient

from ml.credit_risk.schema import DIMENSIONS
from serving import schemas
from serving.errors import ERROR_TYPES
from serving.model_store import ModelStore
from serving.release_schemas import ServedModels, ServedReleases
from serving.runtime import Runtime
from serving.settings import ServingSettings
from tests.unit.serving.builders import customer_id, key_of, publish
from tests.unit.serving.conftest import client_of, what_was_decided

SEGMENTATION = "/v1/segmentation/assign"
TARIFF = "/v1/tariff_matching/recommend"
CREDIT = "/v1/credit_risk/score"

ONE_AND_MANY = [
    (SEGMENTATION, schemas.SEGMENTATION_EXAMPLE, schemas.SegmentationAnswer, schemas.SegmentationBatchAnswer),
    (CREDIT, schemas.CREDIT_RISK_EXAMPLE, schemas.CreditRiskAnswer, schemas.CreditRiskBatchAnswer),
]


def refusal(response: Any, status: int, kind: str) -> dict[str, Any]:
    """Check that an answer has the one shape of errors and return it."""
    assert response.status_code == status, response.text
    body: dict[str, Any] = response.json()
    schemas.Problem.model_validate(body)
    assert body["type"] == kind
    assert body["request_id"] == response.headers["X-Request-Id"]
    return body


@pytest.mark.parametrize(("path", "_example", "answer", "_batch"), ONE_AND_MANY)
def test_one_customer_by_id(client: TestClient, path: str, _example: Any, answer: Any, _batch: Any) -> None:
    response = client.post(path, json={"customer_id": customer_id(3)})

    assert response.status_code == 200
    body = response.json()
    answer.model_validate_json(response.content)
    assert body["request_id"] == response.headers["X-Request-Id"]
    assert body["release"].startswith("0001-")
    assert body["release"].endswith(body["model_version"])
    assert body["result"]["customer_id"] == customer_id(3)
    assert body["result"]["features_as_of_month"] == "2026-08-01"


@pytest.mark.parametrize(("path", "example", "answer", "_batch"), ONE_AND_MANY)
def test_one_customer_by_features(client: TestClient, path: str, example: Any, answer: Any, _batch: Any) -> None:
    response = client.post(path, json={"features": example})

    answer.model_validate_json(response.content)
    assert response.json()["result"]["features_as_of_month"] is None


@pytest.mark.parametrize(("path", "_example", "_answer", "batch"), ONE_AND_MANY)
def test_many_customers_keep_their_order(
    client: TestClient, path: str, _example: Any, _answer: Any, batch: Any
) -> None:
    wanted = [customer_id(5), customer_id(2), "unknown", customer_id(5)]

    response = client.post(path, json={"customer_ids": wanted})

    batch.model_validate_json(response.content)
    results = response.json()["results"]
    assert [result["customer_id"] for result in results] == wanted
    assert [("error" in result) for result in results] == [False, False, True, False]
    assert results[2]["error"]["type"] == "unknown_customer"
    assert results[0].pop("decision_id") != results[3].pop("decision_id")
    assert results[0] == results[3]


@pytest.mark.parametrize(("path", "example", "_answer", "batch"), ONE_AND_MANY)
def test_items_mix_ids_and_features(client: TestClient, path: str, example: Any, _answer: Any, batch: Any) -> None:
    items = [{"customer_id": customer_id(1)}, {"features": example}, {"customer_id": "new", "features": example}]

    response = client.post(path, json={"items": items})

    batch.model_validate_json(response.content)
    results = response.json()["results"]
    assert [result["customer_id"] for result in results] == [customer_id(1), None, "new"]
    assert results[1]["prediction"] == results[2]["prediction"]
    assert [result["features_as_of_month"] for result in results] == ["2026-08-01", None, None]


@pytest.mark.parametrize(("path", "_example", "_answer", "_batch"), ONE_AND_MANY)
def test_a_batch_says_the_same_as_single_requests(
    client: TestClient, path: str, _example: Any, _answer: Any, _batch: Any
) -> None:
    ids = [customer_id(number) for number in range(30)]

    together = client.post(path, json={"customer_ids": ids}).json()["results"]
    alone = [client.post(path, json={"customer_id": one}).json()["result"] for one in ids]

    assert what_was_decided(together) == what_was_decided(alone)


@pytest.mark.parametrize(("path", "_example", "_answer", "_batch"), ONE_AND_MANY)
def test_the_snapshot_and_the_same_features_inline_give_the_same_answer(
    client: TestClient, runtime: Runtime, path: str, _example: Any, _answer: Any, _batch: Any
) -> None:
    model = runtime.board.get(path.split("/")[2])
    assert model is not None
    features = model.many_from_snapshot([key_of(4)])[key_of(4)].features

    by_id = client.post(path, json={"customer_id": customer_id(4)}).json()["result"]["prediction"]
    inline = client.post(path, json={"features": features}).json()["result"]["prediction"]

    assert inline == by_id


def test_credit_reasons_say_why(client: TestClient) -> None:
    late = {**schemas.CREDIT_RISK_EXAMPLE, "late_bills_12m_count": 9, "late_bills_3m_count": 3}

    result = client.post(CREDIT, json={"features": late}).json()["result"]

    assert result["reasons"]
    assert [reason["code"] for reason in result["reasons"]] == [
        result["prediction"][f"reason_{rank}_code"] for rank in range(1, len(result["reasons"]) + 1)
    ]
    assert all(reason["text"] and reason["text_zh"] for reason in result["reasons"])
    assert all(reason["improvement"] and reason["points_lost"] >= 0 for reason in result["reasons"])
    assert [entry["dimension"] for entry in result["dimensions"]] == list(DIMENSIONS)
    # The card of the small bundle by hand: 560 to start, 30 less for three late bills or more.
    assert result["prediction"]["scorecard_points"] == 530


def test_an_unknown_customer_is_404_with_what_to_do(client: TestClient) -> None:
    error = refusal(client.post(CREDIT, json={"customer_id": "nobody"}), 404, "unknown_customer")

    assert error["field"] == "customer_id"
    assert "features instead" in error["detail"]
    assert "nobody" not in json.dumps(error)


def test_a_use_case_without_release_is_503(client: TestClient) -> None:
    response = client.post(TARIFF, json={"customer_id": customer_id(1)})

    error = refusal(response, 503, "no_release")
    assert "make run" in error["detail"]
    assert response.headers["Retry-After"] == "60"


def test_a_release_that_cannot_be_loaded_is_named_in_the_503(tmp_path: Path) -> None:
    store = ModelStore(tmp_path / "home")
    release = publish(store, tmp_path, "credit_risk")
    (store.release_dir("credit_risk", release.name) / "features.sqlite").write_bytes(b"half")
    runtime = Runtime(ServingSettings(home=tmp_path / "home", log_predictions=False))
    runtime.board.refresh()

    error = refusal(client_of(runtime).post(CREDIT, json={"customer_id": customer_id(1)}), 503, "no_release")

    assert f"release {release.name} of credit_risk cannot be loaded" in error["detail"]


@pytest.mark.parametrize(
    ("body", "field", "words"),
    [
        ({}, None, "exactly one of"),
        ({"customer_id": "a", "customer_ids": ["a"]}, None, "customer_id and customer_ids"),
        ({"customer_id": 7}, "customer_id", "valid string"),
        ({"customer_ids": []}, "customer_ids", "at least 1"),
        ({"features": {"tenure": 3}}, "features.tenure", "correct its name"),
        ({"features": {"bills_12m_count": 12}}, "features.customer_class", "required"),
        (
            {"features": {**schemas.CREDIT_RISK_EXAMPLE, "recovery_rate_due_3m_pct": 101}},
            "features.recovery_rate_due_3m_pct",
            "less than or equal to 100",
        ),
        ({"items": [{"customer_id": "a"}, {"customer_id": ""}]}, "items[1].customer_id", "at least 1 character"),
        ([], None, "object"),
        ("text", None, "object"),
    ],
)
def test_what_does_not_fit_is_422_and_names_the_field(
    client: TestClient, body: object, field: str | None, words: str
) -> None:
    error = refusal(client.post(CREDIT, json=body), 422, "invalid_request")

    assert error["field"] == field
    assert words in error["detail"]


def test_a_wrong_category_lists_the_allowed_ones(client: TestClient) -> None:
    features = {**schemas.CREDIT_RISK_EXAMPLE, "customer_class": "municipal"}

    error = refusal(client.post(CREDIT, json={"features": features}), 422, "invalid_request")

    assert error["allowed"] == ["residential", "commercial", "industrial", "agricultural"]


def test_a_batch_beyond_the_limit_is_422(client: TestClient) -> None:
    error = refusal(client.post(CREDIT, json={"customer_ids": ["a"] * 51}), 422, "invalid_request")

    assert error["field"] == "customer_ids"
    assert "at most 50" in error["detail"]


JSON_HEADERS = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b'{"customer_id": "a"',
        b'{"customer_id": "\xff"}',
        b'{"customer_id": "\\ud800"}',
        b"\xff\xfe{\x00}\x00",
        b"[" * 100_000,
        b'{"features": {"bills_12m_count": ' + b"1" * 5000 + b"}}",
    ],
)
def test_broken_json_is_400(client: TestClient, content: bytes) -> None:
    error = refusal(client.post(CREDIT, content=content, headers=JSON_HEADERS), 400, "invalid_json")

    assert "send one JSON object" in error["detail"]


def test_of_a_name_that_stands_twice_the_last_counts(client: TestClient) -> None:
    content = f'{{"customer_id": "unknown", "customer_id": "{customer_id(3)}"}}'

    response = client.post(CREDIT, content=content, headers=JSON_HEADERS)

    assert response.json()["result"]["customer_id"] == customer_id(3)


@pytest.mark.parametrize(
    "number", ["NaN", "Infinity", "-Infinity", "1e400", "1" * 300, "1e13", '"3"', "true", "null", "{}", "[]"]
)
def test_odd_numbers_are_422(client: TestClient, number: str) -> None:
    content = json.dumps({"features": schemas.CREDIT_RISK_EXAMPLE}).replace(
        '"bills_12m_count": 12', f'"bills_12m_count": {number}'
    )

    response = client.post(CREDIT, content=content.encode(), headers=JSON_HEADERS)

    assert refusal(response, 422, "invalid_request")["field"] == "features.bills_12m_count"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "application/json; charset=gb18030"},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
    ],
)
def test_another_media_type_is_415(client: TestClient, headers: dict[str, str]) -> None:
    refusal(client.post(CREDIT, content=b'{"customer_id": "a"}', headers=headers), 415, "unsupported_media_type")


def test_charset_utf8_is_accepted(client: TestClient) -> None:
    headers = {"Content-Type": "application/json; charset=UTF-8"}
    content = json.dumps({"customer_id": customer_id(1)}).encode()

    assert client.post(CREDIT, content=content, headers=headers).status_code == 200


def test_a_large_body_is_413_with_or_without_a_declared_length(client: TestClient) -> None:
    content = b" " * 200_001

    refusal(client.post(CREDIT, content=content, headers=JSON_HEADERS), 413, "body_too_large")
    refusal(client.post(CREDIT, content=iter([content]), headers=JSON_HEADERS), 413, "body_too_large")


def test_another_method_is_405_and_another_page_404(client: TestClient) -> None:
    wrong_method = client.get(CREDIT)

    assert refusal(wrong_method, 405, "method_not_allowed")["allowed"] == ["POST"]
    assert wrong_method.headers["Allow"] == "POST"
    refusal(client.post("/v1/forecast"), 404, "not_found")


def test_head_is_known_where_get_is(client: TestClient) -> None:
    assert client.head("/v1/releases").headers["ETag"] == client.get("/v1/releases").headers["ETag"]
    assert client.head(CREDIT).status_code == 405


def test_releases_tell_what_is_served(client: TestClient) -> None:
    response = client.get("/v1/releases")

    served = ServedReleases.model_validate_json(response.content)
    assert [release.use_case for release in served.releases] == ["credit_risk", "segmentation"]
    assert served.missing == ["tariff_matching"]
    assert served.releases[0].features_as_of_month == date(2026, 8, 1)
    assert served.releases[0].metrics[0].name == "quality"


def test_predictions_are_logged_by_key_and_never_by_id(released_home: Path, tmp_path: Path) -> None:
    runtime = Runtime(ServingSettings(home=released_home))
    assert runtime.log is not None
    runtime.log._directory = tmp_path
    runtime.start()
    client = client_of(runtime)

    answers = [
        client.post(CREDIT, json={"customer_id": customer_id(1)}).json(),
        client.post(CREDIT, json={"features": schemas.CREDIT_RISK_EXAMPLE}).json(),
        client.post(CREDIT, json={"customer_ids": [customer_id(2), "unknown-person"]}).json(),
    ]
    runtime.stop()

    rows = ds.dataset(tmp_path / "credit_risk", partitioning="hive").to_table().to_pylist()
    assert [row["customer_key"] for row in rows] == [key_of(1), None, key_of(2)]
    assert [row["request_id"] for row in rows] == [answer["request_id"] for answer in answers]
    assert rows[0]["default_probability"] == answers[0]["result"]["prediction"]["default_probability"]
    assert rows[0]["district"] == "district 1"
    stored = b"".join(path.read_bytes() for path in tmp_path.rglob("*.parquet"))
    assert customer_id(1).encode() not in stored
    assert b"unknown-person" not in stored


def test_metrics_count_by_route_and_never_by_what_callers_type(client: TestClient) -> None:
    client.post(CREDIT, json={"customer_id": customer_id(1)})
    client.get("/secret-customer-0001")

    text = client.get("/metrics").text

    assert 'kilowise_requests_total{route="/v1/credit_risk/score",status="200"}' in text
    assert 'kilowise_predictions_total{release="0001-' in text
    assert 'kilowise_requests_total{route="other",status="404"}' in text
    assert "secret-customer" not in text


def test_the_api_page_needs_no_network(client: TestClient) -> None:
    page = client.get("/docs").text

    assert "http://" not in page
    assert "https://" not in page
    for path in (SEGMENTATION, TARIFF, CREDIT, "/v1/releases"):
        assert path in page
    assert "recovery_rate_due_3m_pct" in page
    assert "近三月到期电费按期回收率" in page
    assert all(f'id="error-{kind}"' in page for kind in ERROR_TYPES)


def test_the_front_page_leads_to_the_api_page(client: TestClient) -> None:
    response = client.get("/")

    assert (response.status_code, response.headers["location"]) == (307, "/docs")


def test_answers_carry_security_headers(client: TestClient) -> None:
    headers = client.post(CREDIT, json={"customer_id": customer_id(1)}).headers

    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-store"


def test_an_answer_names_its_release_in_a_header_and_can_be_pinned_to_it(client: TestClient) -> None:
    body = {"customer_id": customer_id(1)}
    release = client.post(CREDIT, json=body).headers["Kilowise-Release"]

    pinned = client.post(CREDIT, json=body, headers={"Kilowise-Release": release})

    assert pinned.json()["release"] == pinned.headers["Kilowise-Release"] == release


def test_the_release_before_answers_who_pins_it(tmp_path: Path) -> None:
    store = ModelStore(tmp_path / "home")
    runtime = Runtime(ServingSettings(home=tmp_path / "home", log_predictions=False))
    names = []
    for variant in range(3):
        names.append(publish(store, tmp_path, "segmentation", variant=variant).name)
        runtime.board.refresh()
    client = client_of(runtime)

    answers = [
        client.post(SEGMENTATION, json={"customer_id": customer_id(1)}, headers={"Kilowise-Release": name})
        for name in names
    ]

    error = refusal(answers[0], 409, "release_not_served")
    assert error["allowed"] == [names[2], names[1]]
    assert error["field"] == "Kilowise-Release"
    for answer, variant in ((answers[1], 1), (answers[2], 2)):
        assert answer.json()["release"] == answer.headers["Kilowise-Release"] == names[variant]
        assert answer.json()["result"]["prediction"]["segment_name"].endswith(f" {variant}")


def test_a_rollback_is_visible_in_the_history(tmp_path: Path) -> None:
    store = ModelStore(tmp_path / "home")
    names = [publish(store, tmp_path, "segmentation", variant=variant).name for variant in range(2)]
    store.rollback("segmentation", names[0], by="the operator", reason="names are wrong")
    runtime = Runtime(ServingSettings(home=tmp_path / "home", log_predictions=False))
    runtime.board.refresh()

    served = ServedReleases.model_validate_json(client_of(runtime).get("/v1/releases").content)

    (release,) = served.releases
    assert release.release == names[0]
    assert [(event.action, event.from_release, event.to_release) for event in served.history] == [
        ("rollback", names[1], names[0]),
        ("publish", names[0], names[1]),
        ("publish", None, names[0]),
    ]
    assert (served.history[0].by, served.history[0].reason) == ("the operator", "names are wrong")
    assert release.served_since == served.history[0].at > release.released_at


def test_models_tell_what_they_read_and_how_they_were_trained(client: TestClient) -> None:
    served = ServedModels.model_validate_json(client.get("/v1/models").content)

    credit = served.models[0]
    assert (credit.use_case, credit.path) == ("credit_risk", CREDIT)
    assert [column.name for column in credit.features] == list(schemas.CreditRiskFeatures.model_fields)
    assert (credit.training_first_month, credit.training_last_month) == (date(2025, 9, 1), date(2026, 8, 1))
    assert credit.key_metric.name == "quality"
    assert served.missing == ["tariff_matching"]
    card = client.get(credit.card)
    assert card.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "Small model" in card.text


def test_a_card_of_no_use_case_is_404_and_one_without_release_503(client: TestClient) -> None:
    error = refusal(client.get("/v1/models/forecast/card"), 404, "not_found")

    assert error["allowed"] == ["segmentation", "tariff_matching", "credit_risk"]
    refusal(client.get("/v1/models/tariff_matching/card"), 503, "no_release")


@pytest.mark.parametrize("path", ["/v1/releases", "/v1/models", "/v1/models/credit_risk/card", "/openapi.json"])
def test_what_the_caller_holds_is_not_sent_again(client: TestClient, path: str) -> None:
    first = client.get(path)

    again = client.get(path, headers={"If-None-Match": f'"other", {first.headers["ETag"]}'})
    other = client.get(path, headers={"If-None-Match": '"other"'})

    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["ETag"] == first.headers["ETag"] == other.headers["ETag"]
    assert other.status_code == 200


def test_a_method_that_nobody_knows_is_405_in_the_one_shape(client: TestClient) -> None:
    refusal(client.request("BREW", CREDIT), 405, "method_not_allowed")
    assert refusal(client.post("/v1/models/credit_risk/card"), 405, "method_not_allowed")["allowed"] == ["GET"]
    assert refusal(client.request("TRACE", CREDIT), 405, "method_not_allowed")["allowed"] == ["POST"]
    refusal(client.request("TRACE", "/v1/forecast"), 404, "not_found")
