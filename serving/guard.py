"""The outermost layer of the API: request id, access, concurrency limit, metrics, headers and the shape of errors."""

import secrets
from collections.abc import Iterable, Sequence
from time import perf_counter
from typing import TYPE_CHECKING

import orjson
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving import metrics
from serving.access import API_PREFIX, UNKNOWN_ROUTE, Header, limit_headers
from serving.errors import ApiError
from serving.logs import REQUEST_ID, log_request

if TYPE_CHECKING:
    from serving.runtime import Runtime

RETRY_AFTER_SECONDS = 1
SECURITY_HEADERS: tuple[Header, ...] = (
    (b"x-content-type-options", b"nosniff"),
    # A route that may be cached, or a page with a script of its own, says so itself.
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"referrer-policy", b"no-referrer"),
)

PROBES = ("/livez", "/readyz", "/healthz")
_PROBE_METHODS = ("GET", "HEAD")
_BENTOML_PAGES = frozenset((*PROBES, "/schema.json"))


class RequestGuard:
    """ASGI middleware around the whole application.

    Attributes:
        app: The application inside.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or refuse it before it costs anything."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        runtime: Runtime = scope["app"].state.runtime
        request_id = secrets.token_hex(16)
        scope["request_id"] = request_id
        if scope["method"] == "HEAD":
            # Whatever answers GET; of an answer to HEAD the server sends the headers only.
            scope = {**scope, "method": "GET"}
        REQUEST_ID.set(request_id)
        span = None if runtime.tracer is None else runtime.tracer.begin(Headers(scope=scope))
        started_at = perf_counter()
        # A crash inside leaves this value for the metrics; the server's last resort answers it.
        status = 500
        release = None
        decision = runtime.access.decide(scope, request_id)
        scope["caller"] = decision.caller

        async def send_with_headers(message: Message) -> None:
            nonlocal status, release
            if message["type"] == "http.response.start":
                status = message["status"]
                if span is not None:
                    release = Headers(raw=list(message.get("headers", ()))).get("kilowise-release")
                message["headers"] = with_security_headers(message.get("headers", ()), request_id, limit_headers(scope))
            await send(message)

        try:
            refusal = decision.refusal or _busy(scope, runtime)
            if refusal is not None:
                await error_response(refusal, request_id)(scope, receive, send_with_headers)
                return
            runtime.requests_in_flight_count += 1
            try:
                await self.app(scope, receive, send_with_headers)
            finally:
                runtime.requests_in_flight_count -= 1
        finally:
            # Only known routes become labels; everything else is one, whatever a caller types.
            endpoint = scope.get("route")
            route = UNKNOWN_ROUTE if endpoint is None or endpoint.name == "unknown_page" else endpoint.path
            seconds = perf_counter() - started_at
            metrics.REQUESTS.labels(route, status).inc()
            metrics.REQUEST_SECONDS.labels(route).observe(seconds)
            if runtime.settings.log_requests:
                caller = None if decision.caller is None else decision.caller.name
                log_request(method=scope["method"], route=route, status=status, seconds=seconds, caller=caller)
            if runtime.tracer is not None and span is not None:
                runtime.tracer.end(
                    span, method=scope["method"], route=route, status=status, request_id=request_id, release=release
                )


class ServerPagesGuard:
    """ASGI middleware that keeps BentoML's own pages apart from ours.

    Its probes get the security headers, its other pages are not shown. Requests to us go past its router and its
    context of a request, which took a tenth of the time of a credit score and are of no use to us.

    Attributes:
        app: BentoML's application.
        api: Ours.
    """

    def __init__(self, app: ASGIApp, api: ASGIApp) -> None:
        self.app = app
        self.api = api

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on to whom it is for."""
        path = scope.get("path")
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if path not in _BENTOML_PAGES:
            await self.api(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = with_security_headers(message.get("headers", ()))
            await send(message)

        if path not in PROBES:
            response = error_response(
                ApiError(404, "not_found", "there is no such page; see /docs"), secrets.token_hex(16)
            )
            await response(scope, receive, send)
        elif scope["method"] not in _PROBE_METHODS:
            await method_not_allowed(path, _PROBE_METHODS, secrets.token_hex(16))(scope, receive, send)
        else:
            await self.app(scope, receive, send_with_headers)


def with_security_headers(
    headers: Iterable[Header], request_id: str | None = None, further: tuple[Header, ...] = ()
) -> list[Header]:
    """Return the headers of an answer with those that every answer has; what a route has set stays."""
    complete = list(headers)
    present = {name for name, _ in complete}
    complete += [header for header in SECURITY_HEADERS if header[0] not in present]
    if request_id is not None and b"x-request-id" not in present:
        complete.append((b"x-request-id", request_id.encode()))
    complete += further
    return complete


def error_response(error: ApiError, request_id: str) -> Response:
    """Return a refusal as HTTP; it is complete in itself, as nothing adds headers to the answer to a crash."""
    response = Response(orjson.dumps(error.body(request_id)), status_code=error.status, media_type="application/json")
    response.raw_headers = with_security_headers(response.raw_headers, request_id)
    if error.retry_after_seconds is not None:
        response.headers["Retry-After"] = str(error.retry_after_seconds)
    if error.status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def method_not_allowed(path: str, allowed: Sequence[str], request_id: str) -> Response:
    """Return the refusal of a method that a page does not have."""
    error = ApiError(405, "method_not_allowed", f"send {' or '.join(allowed)} to {path}", allowed=list(allowed))
    response = error_response(error, request_id)
    response.headers["Allow"] = ", ".join(allowed)
    return response


def _busy(scope: Scope, runtime: "Runtime") -> ApiError | None:
    limit = runtime.settings.max_concurrent_requests
    # Pages stay reachable: metrics are needed most when the server is busy.
    if runtime.requests_in_flight_count < limit or not scope["path"].startswith(API_PREFIX):
        return None
    return ApiError(
        429,
        "too_many_requests",
        f"{limit} requests are in work already; try again after {RETRY_AFTER_SECONDS} second(s)",
        retry_after_seconds=RETRY_AFTER_SECONDS,
    )
