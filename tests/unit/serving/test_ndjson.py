"""Batches as NDJSON: what comes in by the line goes out by the line."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from serving import schemas
from serving.errors import ApiError
from serving.ndjson import BLOCK_LINES, parsed_blocks
from serving.runtime import Runtime
from serving.settings import ServingSettings
from tests.unit.serving.builders import customer_id
from tests.unit.serving.conftest import client_of

CREDIT = "/v1/credit_risk/score"
SEGMENTATION = "/v1/segmentation/assign"
NDJSON = {"Content-Type": "application/x-ndjson"}


def lines_of(response: Any) -> list[dict[str, Any]]:
    assert response.status_code == 200, response.text
    assert response.headers["Content-Type"].startswith("application/x-ndjson")
    return [json.loads(line) for line in response.text.splitlines()]


@pytest.mark.parametrize("path", [CREDIT, SEGMENTATION])
def test_lines_say_what_a_batch_says(client: TestClient, path: str) -> None:
    ids = [customer_id(number) for number in range(20)]
    content = "".join(json.dumps({"customer_id": one}) + "\n" for one in ids)

    *lines, last = lines_of(client.post(path, content=content, headers=NDJSON))
    batch = client.post(path, json={"customer_ids": ids}).json()

    assert [line["line"] for line in lines] == list(range(1, 21))
    assert [line["result"]["prediction"] for line in lines] == [result["prediction"] for result in batch["results"]]
    assert {line["release"] for line in lines} == {batch["release"]}
    assert last["summary"] == {"lines_count": 20, "errors_count": 0}
    assert {line["request_id"] for line in [*lines, last]} == {last["request_id"]}


def test_every_line_is_an_answer_to_one_request_with_its_number(client: TestClient) -> None:
    response = client.post(CREDIT, content=json.dumps({"customer_id": customer_id(1)}), headers=NDJSON)

    line, _ = lines_of(response)
    assert line.pop("line") == 1
    schemas.CreditRiskAnswer.model_validate_json(json.dumps(line))
    assert response.headers["Kilowise-Release"] == line["release"]


def test_a_line_at_fault_harms_no_other(client: TestClient) -> None:
    content = b"\n".join(
        [
            json.dumps({"customer_id": customer_id(1)}).encode(),
            b"",
            b"{half",
            b'{"customer_id": "nobody"}',
            b'{"features": {"customer_class": "municipal"}}',
            b'{"customer_id": "\xff"}',
            json.dumps({"features": schemas.CREDIT_RISK_EXAMPLE}).encode(),
        ]
    )

    *lines, last = lines_of(client.post(CREDIT, content=content, headers=NDJSON))

    kinds = {line["line"]: line["result"].get("error", {}).get("type") for line in lines}
    assert kinds == {
        1: None,
        3: "invalid_json",
        4: "unknown_customer",
        5: "invalid_request",
        6: "invalid_json",
        7: None,
    }
    municipal = lines[3]["result"]["error"]
    assert municipal["field"] == "features.customer_class"
    assert municipal["allowed"] == ["residential", "commercial", "industrial", "agricultural"]
    assert last["summary"] == {"lines_count": 6, "errors_count": 4}


def test_a_json_batch_is_answered_in_lines_on_request(client: TestClient) -> None:
    body = {"customer_ids": [customer_id(1), "nobody"]}

    *lines, last = lines_of(client.post(CREDIT, json=body, headers={"Accept": "application/x-ndjson"}))

    assert [line["result"]["customer_id"] for line in lines] == body["customer_ids"]
    assert last["summary"] == {"lines_count": 2, "errors_count": 1}


def test_an_empty_batch_has_only_a_summary(client: TestClient) -> None:
    (last,) = lines_of(client.post(CREDIT, content=b"\n\n", headers=NDJSON))

    assert last["summary"] == {"lines_count": 0, "errors_count": 0}


@pytest.mark.parametrize(
    ("content", "words"), [(b"{}\n" * 11, "10 lines"), (b" " * 5_000, "4000 bytes")], ids=["lines", "bytes"]
)
def test_more_than_the_limit_is_413_before_anything_is_scored(released_home: Path, content: bytes, words: str) -> None:
    settings = ServingSettings(home=released_home, log_predictions=False, max_stream_lines=10, max_stream_bytes=4_000)
    runtime = Runtime(settings)
    runtime.board.refresh()

    response = client_of(runtime).post(CREDIT, content=content, headers=NDJSON)

    assert (response.status_code, response.json()["type"]) == (413, "body_too_large")
    assert words in response.json()["detail"]


def test_an_idempotency_key_is_refused_rather_than_ignored(client: TestClient) -> None:
    response = client.post(CREDIT, content=b"{}", headers={**NDJSON, "Idempotency-Key": "a"})

    assert (response.status_code, response.json()["type"]) == (400, "invalid_header")


def test_blocks_are_bounded_in_lines_and_a_line_in_bytes() -> None:
    line = b'{"customer_id": "a"}\n'
    content = io.BytesIO(line * 600 + b'{"customer_id": "' + b"x" * 500 + b'"}\n' + line)

    blocks = list(parsed_blocks(content, schemas.CreditRiskRequest.item_model, largest_line_bytes=100))

    assert [len(block) for block in blocks] == [BLOCK_LINES, BLOCK_LINES, 102]
    problems = [(number, found) for number, found in blocks[2] if isinstance(found, ApiError)]
    assert [number for number, _ in problems] == [601]
    assert blocks[2][-1][0] == 602
