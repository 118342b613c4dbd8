"""The outermost layer of the API: request id, API key, concurrency limit, metrics, and the one shape of errors."""

import uuid
from time import perf_counter
from typing import TYPE_CHECKING

import orjson
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving import metrics
from serving.errors import ApiError

if TYPE_CHECKING:
    from serving.runtime import Runtime

PROTECTED_PREFIX = "/v1/"
RETRY_AFTER_SECONDS = 1
SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
}


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
        request_id = uuid.uuid4().hex
        scope["request_id"] = request_id
        started_at = perf_counter()
        # A crash inside leaves this value for the metrics; the server's last resort answers it.
        status = 500

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-Id"] = request_id
                for name, value in SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            refusal = self._refusal(scope, runtime)
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
            route = getattr(endpoint, "path", "other") if getattr(endpoint, "name", "") != "unknown_page" else "other"
            metrics.REQUESTS.labels(route, status).inc()
            metrics.REQUEST_SECONDS.labels(route).observe(perf_counter() - started_at)

    def _refusal(self, scope: Scope, runtime: "Runtime") -> ApiError | None:
        if not scope["path"].startswith(PROTECTED_PREFIX):
            return None
        if not runtime.accepts_key(_api_key(Headers(scope=scope))):
            return ApiError(
                401,
                "unauthorized",
                "send a valid API key in the header `X-API-Key` or as `Authorization: Bearer <key>`",
            )
        if runtime.requests_in_flight_count >= runtime.settings.max_concurrent_requests:
            return ApiError(
                429,
                "too_many_requests",
                f"{runtime.settings.max_concurrent_requests} requests are in work already; "
                f"try again after {RETRY_AFTER_SECONDS} second(s)",
                retry_after_seconds=RETRY_AFTER_SECONDS,
            )
        return None


def error_response(error: ApiError, request_id: str) -> Response:
    """Return a refusal as HTTP."""
    response = Response(orjson.dumps(error.body(request_id)), status_code=error.status, media_type="application/json")
    if error.retry_after_seconds is not None:
        response.headers["Retry-After"] = str(error.retry_after_seconds)
    if error.status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def _api_key(headers: Headers) -> str | None:
    key = headers.get("x-api-key")
    if key is not None:
        return key
    scheme, _, credentials = headers.get("authorization", "").partition(" ")
    return credentials.strip() if scheme.lower() == "bearer" else None
