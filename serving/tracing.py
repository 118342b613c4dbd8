"""OpenTelemetry spans of the API: one per request, off unless the operator switches them on.

A span carries the route's template, the status, the request id and the release, and continues the caller's trace
(W3C ``traceparent``). BentoML's own spans are not exported: they hold raw paths, which may name a customer.
"""

import importlib
import os
from collections.abc import Mapping
from typing import Literal

from opentelemetry.context import Context
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SpanExporter
from opentelemetry.trace import Span, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from ml.errors import KilowiseError

Traces = Literal["off", "console", "otlp"]

OTLP_MODULE = "opentelemetry.exporter.otlp.proto.http.trace_exporter"
OTLP_PACKAGE = "opentelemetry-exporter-otlp-proto-http"

_PROPAGATOR = TraceContextTextMapPropagator()


class TracingError(KilowiseError):
    """The spans could not be sent as the settings demand."""


class RequestTracer:
    """Makes a span per request.

    Args:
        exporter: Where spans go. Standard ``OTEL_*`` variables set the address, the service's name and the sampling.
    """

    def __init__(self, exporter: SpanExporter) -> None:
        # What the environment says about the service wins.
        resource = Resource.create({} if "OTEL_SERVICE_NAME" in os.environ else {SERVICE_NAME: "kilowise"})
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("serving")

    def begin(self, headers: Mapping[str, str]) -> Span:
        """Return a span that continues the caller's trace, or begins one."""
        parent = _PROPAGATOR.extract(headers, context=Context())
        return self._tracer.start_span("request", context=parent, kind=SpanKind.SERVER)

    def end(self, span: Span, *, method: str, route: str, status: int, request_id: str, release: str | None) -> None:
        """Finish a span with what became of the request."""
        span.update_name(f"{method} {route}")
        span.set_attributes(
            {
                "http.request.method": method,
                "http.route": route,
                "http.response.status_code": status,
                "kilowise.request_id": request_id,
                **({} if release is None else {"kilowise.release": release}),
            }
        )
        if status >= 500:
            span.set_status(Status(StatusCode.ERROR))
        span.end()

    def stop(self) -> None:
        """Send what waits."""
        self._provider.shutdown()


def check_traces(traces: Traces) -> None:
    """Raise a `TracingError` when the operator's choice needs a package that is not installed."""
    if traces == "otlp":
        _otlp_exporter()


def tracer_of(traces: Traces) -> RequestTracer | None:
    """Return the tracer that the operator chose, or None when traces are off.

    Raises:
        TracingError: The exporter is not installed.
    """
    if traces == "off":
        return None
    if traces == "console":
        return RequestTracer(ConsoleSpanExporter(formatter=lambda span: span.to_json(indent=None) + "\n"))
    return RequestTracer(_otlp_exporter())


def _otlp_exporter() -> SpanExporter:
    try:
        module = importlib.import_module(OTLP_MODULE)
    except ImportError as error:
        raise TracingError(
            f"KILOWISE_TRACES=otlp needs the package {OTLP_PACKAGE} in the version of opentelemetry-sdk; "
            "install it, or set KILOWISE_TRACES to console or off"
        ) from error
    exporter: SpanExporter = module.OTLPSpanExporter()
    return exporter
