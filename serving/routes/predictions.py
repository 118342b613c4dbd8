"""``POST /v1/<use case>/<verb>``: what the released models say of one customer or many.

Bodies are parsed by the request models straight from bytes and answers are written by orjson: FastAPI routes and
documents, and the hot path stays free of its per-field work.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import anyio.to_thread
from fastapi import FastAPI, Request
from fastapi.responses import Response
from pydantic import BaseModel, ValidationError

from serving import schemas
from serving.errors import ApiError, error_from_validation
from serving.openapi import document_models, documented_errors, reference
from serving.request_body import read_json_body
from serving.responses import json_response
from serving.runtime import Runtime
from serving.scoring import CREDIT_RISK, requested_customers, score_many, score_one

T = TypeVar("T")

# Parsing more than this takes longer than a hand-over to the worker thread.
_PARSE_IN_THREAD_BYTES = 50_000


@dataclass(frozen=True, slots=True)
class Route:
    """One prediction route.

    Attributes:
        use_case: Whose model answers.
        path: Public path.
        request_model: Body.
        answers: Answer for one customer and for many.
        summary: Line in the API page.
    """

    use_case: str
    path: str
    request_model: type[schemas.CustomerRequest]
    answers: tuple[type[BaseModel], type[BaseModel]]
    summary: str


ROUTES = (
    Route(
        "segmentation",
        "/v1/segmentation/assign",
        schemas.SegmentationRequest,
        (schemas.SegmentationAnswer, schemas.SegmentationBatchAnswer),
        "Segment, value tier and life-cycle stage of customers / 客户分群",
    ),
    Route(
        "tariff_matching",
        "/v1/tariff_matching/recommend",
        schemas.TariffMatchingRequest,
        (schemas.TariffMatchingAnswer, schemas.TariffMatchingBatchAnswer),
        "Best tariff and what it saves / 电价匹配",
    ),
    Route(
        CREDIT_RISK,
        "/v1/credit_risk/score",
        schemas.CreditRiskRequest,
        (schemas.CreditRiskAnswer, schemas.CreditRiskBatchAnswer),
        "Probability of default, points, rating, reasons and what follows / 电费信用评估",
    ),
)


def add_routes(app: FastAPI) -> None:
    """Add one route per use case."""
    for route in ROUTES:
        _add_prediction_route(app, route)
        single, batch = route.answers
        document_models(app, [(route.request_model, "validation"), (single, "serialization"), (batch, "serialization")])


def _add_prediction_route(app: FastAPI, route: Route) -> None:
    async def endpoint(request: Request) -> Response:
        runtime: Runtime = request.app.state.runtime
        request_id: str = request.scope["request_id"]
        model = runtime.board.get(route.use_case)
        if model is None:
            raise ApiError(
                503,
                "no_release",
                runtime.no_release_sentence(route.use_case),
                retry_after_seconds=60,
            )
        settings = runtime.settings
        data = await read_json_body(
            request, largest_bytes=settings.max_body_bytes, timeout_seconds=settings.body_timeout_seconds
        )
        try:
            if len(data) > _PARSE_IN_THREAD_BYTES:
                body = await _in_worker(runtime, lambda: route.request_model.model_validate_json(data))
            else:
                body = route.request_model.model_validate_json(data)
        except ValidationError as error:
            raise error_from_validation(error) from None
        customers, is_batch = requested_customers(body, largest_batch=settings.max_batch_items)
        if is_batch:
            return await _in_worker(runtime, lambda: json_response(score_many(model, customers, runtime, request_id)))
        if model.runs_in_event_loop:
            return json_response(score_one(model, customers[0], runtime, request_id))
        return await _in_worker(runtime, lambda: json_response(score_one(model, customers[0], runtime, request_id)))

    single, batch = route.answers
    app.post(
        route.path,
        name=route.use_case,
        summary=route.summary,
        tags=[route.use_case],
        response_class=Response,
        responses={
            200: {
                "description": "One answer, or one per customer in the order of the request",
                "content": {
                    "application/json": {
                        "schema": {"oneOf": [reference(single), reference(batch)]},
                    }
                },
            },
            **documented_errors(400, 401, 404, 408, 413, 415, 422, 429, 503),
        },
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {"application/json": {"schema": reference(route.request_model)}},
            }
        },
    )(endpoint)


async def _in_worker(runtime: Runtime, work: Callable[[], T]) -> T:
    return await anyio.to_thread.run_sync(work, limiter=runtime.worker_limiter)
