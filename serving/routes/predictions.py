"""``POST /v1/<use case>/<verb>``: what the released models say of one customer or many.

Bodies are parsed by the request models straight from bytes and answers are written by orjson: FastAPI routes and
documents, and the hot path stays free of its per-field work.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import anyio
import anyio.to_thread
import orjson
from fastapi import FastAPI, Request
from fastapi.responses import Response, StreamingResponse
from pydantic import BaseModel, ValidationError

from serving import schemas
from serving.api_keys import Caller
from serving.errors import ApiError, error_from_validation
from serving.idempotency import idempotency_key
from serving.ndjson import LastLine, NumberedCustomer, answer_lines, line_model, numbered_blocks, parsed_blocks
from serving.openapi import (
    ANSWER_HEADERS,
    IDEMPOTENCY_PARAMETER,
    PIN_PARAMETER,
    document_models,
    documented_errors,
    reference,
    secured_by,
)
from serving.released_model import ReleasedModel
from serving.request_body import JSON, NDJSON, media_type, read_json_body, read_lines
from serving.responses import RELEASE_HEADER, json_response
from serving.routes.direct import DirectRoute
from serving.runtime import Runtime
from serving.scoring import (
    CREDIT_RISK,
    RequestedCustomer,
    requested_customers,
    score_many,
    score_one,
    with_customer_ids,
    without_customer_ids,
)
from serving.settings import ServingSettings

_DESCRIPTION = (
    "Send exactly one of the fields of the body. A batch may also be sent with `Content-Type: application/x-ndjson`, "
    "one customer per line, and is then answered line by line, as is a JSON batch with `Accept: application/x-ndjson`."
)
_EXAMPLE_TITLES = {
    "customer_id": "One customer / 单个客户",
    "customer_ids": "Many customers / 多个客户",
    "features": "Features instead of an id / 直接给出特征",
    "items": "Ids and features / 混合",
    "raw": "Raw data instead of an id / 直接给出原始数据",
}

IDEMPOTENCY_HEADER = "Idempotency-Key"
REPLAYED_HEADER = "Idempotency-Replayed"

# Waiting for the worker thread; BentoML would end the request after 60 seconds, in words of its own.
_LONGEST_WAIT_SECONDS = 25.0

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
        answers = (single, batch, line_model(single), LastLine)
        document_models(app, [(route.request_model, "validation"), *((model, "serialization") for model in answers)])


def _add_prediction_route(app: FastAPI, route: Route) -> None:
    async def endpoint(request: Request) -> Response:
        runtime: Runtime = request.app.state.runtime
        model = _answering_model(runtime, route.use_case, request.headers.get(RELEASE_HEADER))
        if media_type(request) == NDJSON:
            return await _answer_sent_lines(request, route, model)
        settings = runtime.settings
        data = await read_json_body(
            request, largest_bytes=settings.max_body_bytes, timeout_seconds=settings.body_timeout_seconds
        )
        try:
            if len(data) > _PARSE_IN_THREAD_BYTES:
                body = await runtime.in_worker(
                    lambda: route.request_model.model_validate_json(data), longest_wait_seconds=_LONGEST_WAIT_SECONDS
                )
            else:
                body = route.request_model.model_validate_json(data)
        except ValidationError as error:
            raise error_from_validation(error) from None
        customers, is_batch = requested_customers(body, largest_batch=settings.max_batch_items)
        if is_batch and NDJSON in request.headers.get("accept", ""):
            return _streamed(request, numbered_blocks(customers), model, close=lambda: None)
        key = request.headers.get(IDEMPOTENCY_HEADER)
        if key is not None:
            return await _answer_once(request, model, customers, is_batch=is_batch, key=key, data=data)
        return await _answer(request, model, customers, is_batch=is_batch)

    app.router.add_api_route(
        route.path,
        endpoint,
        methods=["POST"],
        route_class_override=DirectRoute,
        name=route.use_case,
        summary=route.summary,
        description=_DESCRIPTION,
        tags=[route.use_case],
        response_class=Response,
        responses={
            200: _documented_answer(route),
            **documented_errors(400, 401, 403, 404, 408, 409, 413, 415, 422, 429, 503),
        },
        openapi_extra={
            "parameters": [PIN_PARAMETER, IDEMPOTENCY_PARAMETER],
            "requestBody": _documented_body(route),
            **secured_by(route.use_case),
        },
    )


def _documented_body(route: Route) -> dict[str, Any]:
    item = route.request_model.item_model
    return {
        "required": True,
        "description": "One customer or many / 单个或多个客户",
        "content": {
            JSON: {
                "schema": reference(route.request_model),
                "examples": {
                    next(iter(example)): {"summary": _EXAMPLE_TITLES[next(iter(example))], "value": example}
                    for example in route.request_model.examples
                },
            },
            NDJSON: {
                "schema": {
                    "type": "string",
                    "description": f"One JSON object per line, each a `{item.__name__}`",
                    "contentMediaType": NDJSON,
                },
                "examples": {
                    "lines": {
                        "summary": "Many customers by the line / 逐行批量",
                        "value": '{"customer_id": "C0000001"}\n{"customer_id": "C0000002"}\n',
                    }
                },
            },
        },
    }


def _documented_answer(route: Route) -> dict[str, Any]:
    single, batch = route.answers
    line = single.__name__.replace("Answer", "Line")
    return {
        "description": "One answer, or one per customer in the order of the request / 应答",
        "headers": ANSWER_HEADERS,
        "content": {
            JSON: {"schema": {"oneOf": [reference(single), reference(batch)]}},
            NDJSON: {
                "schema": {
                    "type": "string",
                    "description": f"One JSON object per line, each a `{line}`; the last one is a `LastLine`",
                    "contentMediaType": NDJSON,
                }
            },
        },
    }


def _answering_model(runtime: Runtime, use_case: str, wanted: str | None) -> ReleasedModel:
    model = runtime.board.get(use_case)
    if model is None:
        raise ApiError(503, "no_release", runtime.no_release_sentence(use_case), retry_after_seconds=60)
    if wanted is None or wanted == model.identity.release:
        return model
    loaded = runtime.board.loaded(use_case)
    active = runtime.trials.of(model)
    if active is not None and active.trial.mode == "share":
        # Its answers name the challenger's release, so callers may hold on to it.
        loaded[active.model.identity.release] = active.model
    if wanted not in loaded:
        raise ApiError(
            409,
            "release_not_served",
            f"the release in the header {RELEASE_HEADER} cannot answer for {use_case}; {model.identity.release} is "
            "served. Name one of `allowed`, or leave the header out",
            field=RELEASE_HEADER,
            allowed=list(loaded),
        )
    return loaded[wanted]


async def _answer(
    request: Request, model: ReleasedModel, customers: Sequence[RequestedCustomer], *, is_batch: bool
) -> Response:
    runtime: Runtime = request.app.state.runtime
    request_id: str = request.scope["request_id"]
    # Not before: what was answered once is not charged again when it is asked again.
    runtime.access.charge(request.scope, len(customers))
    if is_batch:
        return await runtime.in_worker(
            lambda: _released(score_many(model, customers, runtime, request_id)),
            longest_wait_seconds=_LONGEST_WAIT_SECONDS,
        )
    is_pinned = RELEASE_HEADER in request.headers

    def answered() -> Response:
        return _released(score_one(model, customers[0], runtime, request_id, is_pinned=is_pinned))

    if model.runs_in_event_loop and customers[0].raw is None:
        return answered()
    return await runtime.in_worker(answered, longest_wait_seconds=_LONGEST_WAIT_SECONDS)


def _released(answer: dict[str, Any]) -> Response:
    """Return an answer with the release that gave it, which a trial may have chosen."""
    return json_response(answer, {RELEASE_HEADER: answer["release"]})


async def _answer_once(
    request: Request,
    model: ReleasedModel,
    customers: Sequence[RequestedCustomer],
    *,
    is_batch: bool,
    key: str,
    data: bytes,
) -> Response:
    """Answer a request that has an idempotency key: anew, or as it was answered before."""
    store = request.app.state.runtime.idempotency
    what = b"\0".join((request.url.path.encode(), request.headers.get(RELEASE_HEADER, "").encode(), data))
    caller: Caller = request.scope["caller"]
    claim = await anyio.to_thread.run_sync(store.claim, caller.name, idempotency_key(key), what)
    if isinstance(claim, bytes):
        answer = with_customer_ids(orjson.loads(claim), customers)
        return json_response(answer, {RELEASE_HEADER: answer["release"], REPLAYED_HEADER: "true"})
    try:
        response = await _answer(request, model, customers, is_batch=is_batch)
        kept = orjson.dumps(without_customer_ids(orjson.loads(response.body)))
        await anyio.to_thread.run_sync(store.finish, claim, kept)
    except BaseException:
        # Shielded: a caller who goes away must not leave the key blocked.
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(store.withdraw, claim)
        raise
    return response


async def _answer_sent_lines(request: Request, route: Route, model: ReleasedModel) -> Response:
    settings: ServingSettings = request.app.state.runtime.settings
    lines = await read_lines(
        request,
        largest_bytes=settings.max_stream_bytes,
        most_lines=settings.max_stream_lines,
        timeout_seconds=settings.stream_timeout_seconds,
    )
    blocks = parsed_blocks(lines, route.request_model.item_model, largest_line_bytes=settings.max_body_bytes)
    return _streamed(request, blocks, model, close=lines.close)


def _streamed(
    request: Request,
    blocks: Iterator[list[NumberedCustomer]],
    model: ReleasedModel,
    *,
    close: Callable[[], None],
) -> Response:
    if IDEMPOTENCY_HEADER in request.headers:
        close()
        raise ApiError(
            400,
            "invalid_header",
            "an answer in lines is not kept under an Idempotency-Key; send the lines that were not answered again",
            field=IDEMPOTENCY_HEADER,
        )
    answer = answer_lines(blocks, model, request, close=close)
    return StreamingResponse(answer, media_type=NDJSON, headers={RELEASE_HEADER: model.identity.release})
