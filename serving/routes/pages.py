"""Pages for people and machines beside the API itself, and the answer to every path that is none of its own."""

from datetime import UTC, datetime

import anyio.to_thread
import orjson
from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Match
from starlette.routing import Route as StarletteRoute

from serving import metrics
from serving.docs_page import content_security_policy, render_docs_page
from serving.errors import ApiError
from serving.guard import method_not_allowed
from serving.model_verdicts import expose_model_verdicts
from serving.openapi import openapi
from serving.responses import conditional_response
from serving.runtime import Runtime

_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"]


def add_routes(app: FastAPI) -> None:
    """Add the pages; call it last, because its final route takes every path that is left."""

    @app.get("/metrics", include_in_schema=False)
    async def metrics_page(request: Request) -> Response:
        runtime: Runtime = request.app.state.runtime
        return Response(await anyio.to_thread.run_sync(_exposition, runtime), media_type=metrics.CONTENT_TYPE)

    @app.get("/openapi.json", include_in_schema=False)
    async def openapi_document(request: Request) -> Response:
        return conditional_response(request, orjson.dumps(openapi(app)), media_type="application/json")

    @app.get("/docs", include_in_schema=False)
    async def docs_page() -> HTMLResponse:
        page = render_docs_page(openapi(app))
        return HTMLResponse(page, headers={"Content-Security-Policy": content_security_policy(page)})

    @app.get("/", include_in_schema=False)
    async def front_page() -> RedirectResponse:
        return RedirectResponse("/docs")

    known_routes = [route for route in app.routes if isinstance(route, StarletteRoute)]

    # Last, and for every method: BentoML would answer unknown pages in its own shape.
    @app.api_route("/{path:path}", methods=_METHODS, include_in_schema=False)
    async def unknown_page(request: Request) -> Response:
        matching = (route for route in known_routes if route.matches(request.scope)[0] is not Match.NONE)
        allowed = sorted({method for route in matching for method in route.methods or ()})
        if allowed:
            return method_not_allowed(request.url.path, allowed, request.scope["request_id"])
        routes = ", ".join(route.path for route in known_routes if route.path.startswith("/v1/"))
        raise ApiError(404, "not_found", f"the routes are {routes}; see /docs")


def _exposition(runtime: Runtime) -> bytes:
    """Return the metrics, with those that are looked up when somebody asks."""
    metrics.STATE_FREE_BYTES.set(runtime.free_bytes())
    releases = {use_case: manifest.name for use_case, manifest in runtime.board.manifests().items()}
    expose_model_verdicts(runtime.settings.home, releases, datetime.now(UTC).date())
    return metrics.exposition()
