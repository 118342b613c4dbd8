"""The HTTP application: routes, bodies and answers. What it answers with comes from ``app.state.runtime``.

Bodies are parsed by the request models straight from bytes and answers are written by orjson: FastAPI routes and
documents, and the hot path stays free of its per-field work.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

import anyio.to_thread
import orjson
from fastapi import FastAPI, Request
from fastapi.openapi.utils import get_openapi
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from pydantic import BaseModel, ValidationError
from pydantic.json_schema import models_json_schema
from starlette.requests import ClientDisconnect
from starlette.routing import Route as StarletteRoute

from ml.errors import KilowiseError
from serving import metrics, schemas
from serving.docs_page import render_docs_page
from serving.errors import TITLES, ApiError, error_from_validation
from serving.guard import RequestGuard, error_response
from serving.identity import customer_key
from serving.prediction_log import LoggedPrediction
from serving.released_model import ReleasedModel, ScoringInput, ScoringResult
from serving.runtime import Runtime
from serving.use_cases import POLICY_VERSION, context_columns

T = TypeVar("T")

CREDIT_RISK = "credit_risk"

API_VERSION = "1.0"
DESCRIPTION = (
    "Answers of the released models, for one customer or many.\n\n"
    "Send exactly one of `customer_id`, `customer_ids`, `features`, `items`. By id, the features come from the "
    "snapshot that was released with the model, and the answer says from which month. Every answer names the release "
    "and the request. Errors have one shape, with a sentence that says what to change."
)

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


@dataclass(frozen=True, slots=True)
class RequestedCustomer:
    """One customer as a request names it."""

    customer_id: str | None
    features: dict[str, Any] | None


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
    for route in ROUTES:
        _add_prediction_route(app, route)

    @app.get(
        "/v1/releases",
        summary="What is served now / 当前在线发布",
        response_model=schemas.ServedReleases,
        tags=["releases"],
        responses=_documented_errors(401, 429),
    )
    async def releases(request: Request) -> Response:
        return _json(served_releases(request.app.state.runtime, request.scope["request_id"]))

    @app.get("/metrics", include_in_schema=False)
    async def metrics_page() -> Response:
        return Response(await anyio.to_thread.run_sync(metrics.exposition), media_type=metrics.CONTENT_TYPE)

    @app.get("/openapi.json", include_in_schema=False)
    async def openapi_document() -> Response:
        return _json(openapi(app))

    @app.get("/docs", include_in_schema=False)
    async def docs_page() -> HTMLResponse:
        return HTMLResponse(render_docs_page(openapi(app)))

    @app.get("/", include_in_schema=False)
    async def front_page() -> RedirectResponse:
        return RedirectResponse("/docs")

    methods_by_path = {route.path: route.methods or set() for route in app.routes if isinstance(route, StarletteRoute)}

    # Last, and for every method: BentoML would answer unknown pages in its own shape.
    @app.api_route(
        "/{path:path}", methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"], include_in_schema=False
    )
    async def unknown_page(request: Request) -> Response:
        allowed = methods_by_path.get(request.url.path)
        if allowed is not None:
            error = ApiError(
                405,
                "method_not_allowed",
                f"send {' or '.join(sorted(allowed))} to {request.url.path}",
                allowed=sorted(allowed),
            )
            response = error_response(error, request.scope["request_id"])
            response.headers["Allow"] = ", ".join(sorted(allowed))
            return response
        raise ApiError(404, "not_found", f"the routes are {', '.join(route.path for route in ROUTES)}; see /docs")

    return app


def openapi(app: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI document, with the models of bodies that the routes parse themselves."""
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title, version=app.version, description=app.description, routes=app.routes, summary=None
        )
        _, definitions = models_json_schema(
            [(route.request_model, "validation") for route in ROUTES]
            + [(answer, "serialization") for route in ROUTES for answer in route.answers]
            + [(schemas.Problem, "serialization")],
            ref_template="#/components/schemas/{model}",
        )
        components = document.setdefault("components", {})
        components["schemas"] = {**components.get("schemas", {}), **definitions["$defs"]}
        components["securitySchemes"] = {
            "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            "bearer": {"type": "http", "scheme": "bearer"},
        }
        document["security"] = [{"apiKey": []}, {"bearer": []}, {}]
        app.openapi_schema = document
    return app.openapi_schema


async def read_json_body(request: Request, *, largest_bytes: int, timeout_seconds: float) -> bytes:
    """Return the body of a request.

    Raises:
        ApiError: It is not sent as JSON, is too large or arrives too slowly.
    """
    media_type, _, parameters = request.headers.get("content-type", "").partition(";")
    if media_type.strip().lower() != "application/json":
        raise ApiError(415, "unsupported_media_type", "send the body with the header `Content-Type: application/json`")
    charset = parameters.strip().lower().removeprefix("charset=").strip('"')
    if charset not in ("", "utf-8", "utf8"):
        raise ApiError(415, "unsupported_media_type", "send the body in UTF-8", allowed=["utf-8"])
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise ApiError(415, "unsupported_media_type", "send the body uncompressed, without `Content-Encoding`")
    too_large = ApiError(
        413, "body_too_large", f"a body may have {largest_bytes} bytes; split the batch into several requests"
    )
    declared = request.headers.get("content-length", "0")
    if declared.isdigit() and int(declared) > largest_bytes:
        raise too_large
    chunks: list[bytes] = []
    received_bytes = 0
    try:
        async with asyncio.timeout(timeout_seconds):
            async for chunk in request.stream():
                received_bytes += len(chunk)
                if received_bytes > largest_bytes:
                    raise too_large
                chunks.append(chunk)
    except TimeoutError:
        raise ApiError(
            408, "body_timeout", f"the body must arrive within {timeout_seconds:g} seconds; send it again"
        ) from None
    except ClientDisconnect:
        raise ApiError(400, "incomplete_request", "the connection closed before the body was complete") from None
    return b"".join(chunks)


def requested_customers(body: schemas.CustomerRequest, *, largest_batch: int) -> tuple[list[RequestedCustomer], bool]:
    """Return the customers that a body names and whether it is a batch.

    Raises:
        ApiError: The batch is larger than this server accepts.
    """
    features: schemas.StrictModel | None = getattr(body, "features", None)
    items: list[Any] | None = getattr(body, "items", None)
    if body.customer_id is not None:
        return [RequestedCustomer(body.customer_id, None)], False
    if features is not None:
        return [RequestedCustomer(None, features.model_dump())], False
    field, batch = ("customer_ids", body.customer_ids) if body.customer_ids is not None else ("items", items)
    if batch is None:
        raise ApiError(422, "invalid_request", "send exactly one of customer_id, customer_ids, features, items")
    if len(batch) > largest_batch:
        raise ApiError(
            422, "invalid_request", f"{field} has {len(batch)} entries; send at most {largest_batch}", field=field
        )
    if field == "customer_ids":
        return [RequestedCustomer(customer_id, None) for customer_id in body.customer_ids or []], True
    return [
        RequestedCustomer(item.customer_id, None if item.features is None else item.features.model_dump())
        for item in items or []
    ], True


def score_one(model: ReleasedModel, customer: RequestedCustomer, runtime: Runtime, request_id: str) -> dict[str, Any]:
    """Return the answer for one customer and log it.

    Raises:
        ApiError: The customer is unknown or cannot be scored.
    """
    decided_at = datetime.now(UTC)
    outcome = _score(model, [customer], runtime, request_id, decided_at)[0]
    if isinstance(outcome, ApiError):
        raise outcome
    return {**_envelope(model, runtime, request_id, decided_at), "result": _result(customer, outcome)}


def score_many(
    model: ReleasedModel, customers: Sequence[RequestedCustomer], runtime: Runtime, request_id: str
) -> dict[str, Any]:
    """Return the answer for a batch and log it; a customer that cannot be scored does not harm the others."""
    decided_at = datetime.now(UTC)
    outcomes = _score(model, customers, runtime, request_id, decided_at)
    results = [_result(customer, outcome) for customer, outcome in zip(customers, outcomes, strict=True)]
    return {**_envelope(model, runtime, request_id, decided_at), "results": results}


def served_releases(runtime: Runtime, request_id: str) -> dict[str, Any]:
    """Return what is served now."""
    return {
        "request_id": request_id,
        "releases": [
            {
                "use_case": manifest.use_case,
                "release": manifest.name,
                "model_version": manifest.bundle_version,
                "released_at": manifest.released_at,
                "approved_by": manifest.approved_by,
                "marts_version": manifest.marts_version,
                "features_as_of_month": manifest.feature_as_of_month,
                "customers_count": manifest.customers_count,
                "metrics": manifest.metrics,
            }
            for _, manifest in sorted(runtime.board.manifests().items())
        ],
        "missing": runtime.missing_use_cases(),
    }


Outcome = tuple[ScoringInput, ScoringResult] | ApiError


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
            return await _in_worker(runtime, lambda: _json(score_many(model, customers, runtime, request_id)))
        if model.runs_in_event_loop:
            return _json(score_one(model, customers[0], runtime, request_id))
        return await _in_worker(runtime, lambda: _json(score_one(model, customers[0], runtime, request_id)))

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
                        "schema": {"oneOf": [_reference(single), _reference(batch)]},
                    }
                },
            },
            **_documented_errors(400, 401, 404, 408, 413, 415, 422, 429, 503),
        },
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {"application/json": {"schema": _reference(route.request_model)}},
            }
        },
    )(endpoint)


def _documented_errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    words = {
        400: "The body is not valid JSON",
        401: "The API key is missing or unknown",
        404: "The customer is not in the released snapshot",
        408: "The body did not arrive in time",
        413: "The body is too large",
        415: "The body is not sent as JSON",
        422: "The body does not fit its schema; `field` says where",
        429: "Busy; try again after `Retry-After` seconds",
        503: "No model of this use case is released",
    }
    content = {"application/json": {"schema": _reference(schemas.Problem)}}
    return {status: {"description": words[status], "content": content} for status in statuses}


def _reference(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{model.__name__}"}


def _score(
    model: ReleasedModel,
    customers: Sequence[RequestedCustomer],
    runtime: Runtime,
    request_id: str,
    decided_at: datetime,
) -> list[Outcome]:
    keys = [
        None if customer.customer_id is None else customer_key(customer.customer_id, runtime.pseudonym_key)
        for customer in customers
    ]
    wanted = [key for key, customer in zip(keys, customers, strict=True) if key and customer.features is None]
    known = model.many_from_snapshot(wanted)
    inputs = [
        known.get(key or "") if customer.features is None else ScoringInput(customer.features, customer_key=key)
        for key, customer in zip(keys, customers, strict=True)
    ]
    results = iter(_predict_each(model, [item for item in inputs if item is not None]))
    outcomes: list[Outcome] = []
    for item in inputs:
        if item is None:
            outcomes.append(_unknown_customer(model))
            continue
        found = next(results)
        outcomes.append(found if isinstance(found, ApiError) else (item, found))
    identity = model.identity
    if identity.use_case == CREDIT_RISK:
        outcomes = _with_policy(outcomes, runtime, decided_at)
    rows: list[LoggedPrediction] = []
    for outcome in outcomes:
        if isinstance(outcome, ApiError):
            continue
        item, result = outcome
        rows.append(
            LoggedPrediction(
                request_id=request_id,
                decided_at=decided_at,
                use_case=identity.use_case,
                release=identity.release,
                model_version=identity.model_version,
                customer_key=item.customer_key,
                as_of_month=item.as_of_month,
                district=item.district,
                features=item.features,
                prediction=result.prediction,
                context=_logged_context(result, identity.use_case),
            )
        )
    metrics.PREDICTIONS.labels(identity.use_case, identity.release).inc(len(rows))
    if runtime.log is not None:
        runtime.log.record(rows)
    return outcomes


def _logged_context(result: ScoringResult, use_case: str) -> dict[str, Any]:
    context = {name: result.details[name] for name in context_columns(use_case)}
    if use_case == CREDIT_RISK:
        context[POLICY_VERSION] = result.details["policy"].policy_version
    return context


def _with_policy(outcomes: Sequence[Outcome], runtime: Runtime, decided_at: datetime) -> list[Outcome]:
    """Add what follows by the policy to the credit scores."""
    scored = [outcome for outcome in outcomes if not isinstance(outcome, ApiError)]
    policies = iter(runtime.policy_desk.outcomes(scored, decided_at))
    return [
        outcome
        if isinstance(outcome, ApiError)
        else (outcome[0], ScoringResult(outcome[1].prediction, {**outcome[1].details, "policy": next(policies)}))
        for outcome in outcomes
    ]


def _predict_each(model: ReleasedModel, inputs: Sequence[ScoringInput]) -> list[ScoringResult | ApiError]:
    """Score customers; when the batch fails, one at a time, so that only those at fault get an error."""
    if not inputs:
        return []
    try:
        return list(model.predict(inputs))
    except KilowiseError as error:
        if len(inputs) == 1:
            return [ApiError(422, "cannot_score", str(error))]
    return [outcome for item in inputs for outcome in _predict_each(model, [item])]


def _unknown_customer(model: ReleasedModel) -> ApiError:
    return ApiError(
        404,
        "unknown_customer",
        f"release {model.identity.release} of {model.identity.use_case} holds no customer with this id; check the id, "
        "or send the customer's features instead",
        field="customer_id",
    )


def _envelope(model: ReleasedModel, runtime: Runtime, request_id: str, decided_at: datetime) -> dict[str, Any]:
    identity = model.identity
    return {
        "request_id": request_id,
        "use_case": identity.use_case,
        "release": identity.release,
        "model_version": identity.model_version,
        "released_at": identity.released_at,
        "decided_at": decided_at,
        "currency": runtime.settings.currency,
    }


def _result(customer: RequestedCustomer, outcome: Outcome) -> dict[str, Any]:
    if isinstance(outcome, ApiError):
        return {
            "customer_id": customer.customer_id,
            "error": {"type": outcome.kind, "title": TITLES[outcome.kind], "detail": outcome.detail},
        }
    item, result = outcome
    return {
        "customer_id": customer.customer_id,
        "features_as_of_month": item.as_of_month,
        "prediction": result.prediction,
        **result.details,
    }


def _json(content: dict[str, Any]) -> Response:
    # Models leave numpy scalars in their explanations.
    return Response(orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY), media_type="application/json")


async def _in_worker(runtime: Runtime, work: Callable[[], T]) -> T:
    return await anyio.to_thread.run_sync(work, limiter=runtime.worker_limiter)


async def _answer_api_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, ApiError):
        raise error
    return error_response(error, request.scope["request_id"])


async def _answer_crash(request: Request, _error: Exception) -> Response:
    crash = ApiError(500, "internal", "this is a fault of the server, not of the request; report the request_id")
    return error_response(crash, request.scope["request_id"])
