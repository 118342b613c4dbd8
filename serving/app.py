"""The HTTP application: which modules make it. What it answers with comes from ``app.state.runtime``."""

from fastapi import FastAPI, Request
from fastapi.responses import Response

from serving.errors import ApiError
from serving.guard import RequestGuard, error_response
from serving.routes import pages, predictions, releases

API_VERSION = "1.0"
DESCRIPTION = (
    "Answers of the released models, for one customer or many.\n\n"
    "Send exactly one of `customer_id`, `customer_ids`, `features`, `raw`, `items`. By id, the features come from the "
    "snapshot that was released with the model, and the answer says from which month. Every answer names the release "
    "and the request. Errors have one shape, with a sentence that says what to change."
)


def build_app() -> FastAPI:
    """Return the application; whoever runs it sets ``app.state.runtime`` to a started `Runtime` first."""
    app = FastAPI(
        title="Kilowise",
        version=API_VERSION,
        description=DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
    )
    app.add_middleware(RequestGuard)
    app.add_exception_handler(ApiError, _answer_api_error)
    app.add_exception_handler(Exception, _answer_crash)
    predictions.add_routes(app)
    releases.add_routes(app)
    pages.add_routes(app)
    return app


async def _answer_api_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, ApiError):
        raise error
    return error_response(error, request.scope["request_id"])


async def _answer_crash(request: Request, _error: Exception) -> Response:
    crash = ApiError(500, "internal", "this is a fault of the server, not of the request; report the request_id")
    return error_response(crash, request.scope["request_id"])
