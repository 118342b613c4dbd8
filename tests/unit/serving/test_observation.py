"""What an operator sees of requests: lines, spans and metrics, none of which tells a customer, a body or a key."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from serving.logs import JsonFormatter
from serving.runtime import Runtime
from serving.settings import ServingSettings
from serving.tracing import RequestTracer
from tests.unit.serving.builders import customer_id
from tests.unit.serving.conftest import client_of

CREDIT = "/v1/credit_risk/score"


@pytest.fixture
def observed(released_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Runtime]:
    monkeypatch.delenv("OTEL_SDK_DISABLED", raising=False)
    runtime = Runtime(ServingSettings(_env_file=None, home=released_home, log_predictions=False, log_requests=True))
    runtime.start()
    yield runtime
    runtime.stop()


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Lines of requests as a collector gets them."""
    found: list[str] = []
    logger = logging.getLogger("serving.requests")
    handler = logging.Handler()
    handler.emit = lambda record: found.append(JsonFormatter().format(record))
    monkeypatch.setattr(logger, "handlers", [handler])
    monkeypatch.setattr(logger, "level", logging.INFO)
    return found


def test_each_request_is_one_line_that_names_no_customer(observed: Runtime, lines: list[str]) -> None:
    client = client_of(observed)

    scored = client.post(CREDIT, json={"customer_id": customer_id(1)}, headers={"Authorization": "Bearer secret-key"})
    client.get(f"/v1/nothing/{customer_id(2)}?name={customer_id(3)}")

    first, second = (json.loads(line) for line in lines)
    assert (first["method"], first["route"], first["status"]) == ("POST", CREDIT, 200)
    assert first["request_id"] == scored.headers["X-Request-Id"]
    assert (second["route"], second["status"]) == ("other", 404)
    assert not any(word in "".join(lines) for word in (customer_id(1), customer_id(2), customer_id(3), "secret-key"))


def test_a_call_that_is_refused_before_it_finds_a_route_has_none(observed: Runtime, lines: list[str]) -> None:
    answer = client_of(observed).get("/v1/releases", headers={"X-Filler": "x" * 20_000})

    assert answer.status_code == 431

    assert json.loads(lines[0])["route"] == "other"


def test_request_lines_are_off_by_default(runtime: Runtime, lines: list[str]) -> None:
    client_of(runtime).get("/v1/releases")

    assert lines == []


def test_a_span_tells_route_and_release_and_no_customer(observed: Runtime) -> None:
    exporter = InMemorySpanExporter()
    observed.tracer = RequestTracer(exporter)

    answer = client_of(observed).post(CREDIT, json={"customer_id": customer_id(1)}).json()

    observed.tracer.stop()
    (span,) = exporter.get_finished_spans()
    assert span.name == f"POST {CREDIT}"
    attributes = dict(span.attributes or {})
    assert attributes["kilowise.release"] == answer["release"]
    assert attributes["kilowise.request_id"] == answer["request_id"]
    assert customer_id(1) not in span.to_json()
