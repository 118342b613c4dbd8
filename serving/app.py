"""The HTTP application: which modules make it. What it answers with comes from ``app.state.runtime``."""

from collections.abc import Mapping

from fastapi import FastAPI, Request
from fastapi.responses import Response
from starlette.exceptions import HTTPException as StarletteHTTPException

from serving.deprecation import DEPRECATIONS, Deprecation, DeprecationHeaders
from serving.errors import ApiError
from serving.guard import RequestGuard, error_response
from serving.routes import customers, pages, predictions, releases

API_VERSION = "1.0"
DESCRIPTION = (
    "Answers of the released models, for one customer or many.\n\n"
    "Send exactly one of `customer_id`, `customer_ids`, `features`, `raw`, `items`. By id, the features come from the "
    "snapshot that was released with the model, and the answer says from which month. Every answer names the release "
    "and the request. Errors have one shape, with a sentence that says what to change."
)


def build_app(deprecations: Mapping[str, Deprecation] = DEPRECATIONS) -> FastAPI:
    """Return the application; whoever runs it sets ``app.state.runtime`` to a started `Runtime` first.

    Args:
        deprecations: Routes that will go, by path.
    """
    app = FastAPI(
        title="Kilowise",
        version=API_VERSION,
        description=DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
    )
    app.state.deprecations = deprecations
    if deprecations:
        app.add_middleware(DeprecationHeaders, deprecations=deprecations)
    app.add_middleware(RequestGuard)
    app.add_exception_handler(ApiError, _answer_api_error)
    app.add_exception_handler(StarletteHTTPException, _answer_http_error)
    app.add_exception_handler(Exception, _answer_crash)
    predictions.add_routes(app)
    customers.add_routes(app)
    releases.add_routes(app)
    pages.add_routes(app)
    return app


async def _answer_api_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, ApiError):
        raise error
    return error_response(error, request.scope["request_id"])


async def _answer_http_error(request: Request, error: Exception) -> Response:
    """Answer what Starlette refuses by itself, such as a method that no route has."""
    if not isinstance(error, StarletteHTTPException):
        raise error
    known = {
        405: ApiError(405, "method_not_allowed", f"{request.url.path} does not know this method; see /docs"),
        404: ApiError(404, "not_found", "there is no such page; see /docs"),
    }
    refusal = known.get(error.status_code, ApiError(400, "incomplete_request", str(error.detail)))
    response = error_response(refusal, request.scope["request_id"])
    response.headers.update(error.headers or {})
    return response


async def _answer_crash(request: Request, _error: Exception) -> Response:
    crash = ApiError(500, "internal", "this is a fault of the server, not of the request; report the request_id")
    return error_response(crash, request.scope["request_id"])
