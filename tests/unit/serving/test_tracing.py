import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from serving import tracing
from serving.tracing import RequestTracer, TracingError, tracer_of

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"


def traced(status: int = 200, headers: dict[str, str] | None = None) -> ReadableSpan:
    exporter = InMemorySpanExporter()
    tracer = RequestTracer(exporter)
    span = tracer.begin(headers or {})
    tracer.end(span, method="POST", route="/v1/credit_risk/score", status=status, request_id="r1", release="0001")
    tracer.stop()
    (finished,) = exporter.get_finished_spans()
    return finished


def test_a_request_is_one_server_span_with_route_status_request_and_release(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OTEL_SDK_DISABLED", raising=False)

    span = traced()

    assert (span.name, span.kind) == ("POST /v1/credit_risk/score", SpanKind.SERVER)
    assert span.attributes == {
        "http.request.method": "POST",
        "http.route": "/v1/credit_risk/score",
        "http.response.status_code": 200,
        "kilowise.request_id": "r1",
        "kilowise.release": "0001",
    }
    assert span.resource.attributes["service.name"] == "kilowise"


def test_the_callers_trace_is_continued(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OTEL_SDK_DISABLED", raising=False)

    span = traced(headers={"traceparent": f"00-{TRACE_ID}-b7ad6b7169203331-01"})

    assert f"{span.context.trace_id:032x}" == TRACE_ID
    assert span.parent is not None


def test_only_faults_of_the_server_are_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OTEL_SDK_DISABLED", raising=False)

    assert traced(422).status.status_code is StatusCode.UNSET
    assert traced(500).status.status_code is StatusCode.ERROR


def test_off_makes_no_tracer() -> None:
    assert tracer_of("off") is None


def test_a_missing_exporter_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracing, "OTLP_MODULE", "opentelemetry.exporter.not_installed")

    with pytest.raises(TracingError, match="opentelemetry-exporter-otlp-proto-http"):
        tracer_of("otlp")
