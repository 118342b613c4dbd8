"""``GET /v1/releases`` and ``GET /v1/models``: what is served, since when, with which figures, and why."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import anyio.to_thread
from fastapi import FastAPI, Request
from fastapi.responses import Response
from pydantic import BaseModel

from ml.bundle import MANIFEST_FILE, BundleManifest
from ml.columns import USE_CASES, Column
from ml.evaluation import Metric
from serving import release_schemas as schemas
from serving.errors import ApiError
from serving.model_store import MODEL_CARD_FILE, ModelStore, ReleaseError, ReleaseManifest
from serving.model_verdicts import ModelVerdict, read_model_verdict
from serving.openapi import (
    CONDITIONAL_HEADERS,
    IF_NONE_MATCH,
    NOT_MODIFIED,
    documented_errors,
    secured_by,
)
from serving.responses import conditional_response
from serving.routes.predictions import ROUTES
from serving.runtime import Runtime
from serving.use_cases import feature_columns, prediction_columns

T = TypeVar("T")

LONGEST_HISTORY = 100

_PATHS = {route.use_case: route.path for route in ROUTES}

_USE_CASE_PARAMETER = {
    "name": "use_case",
    "in": "path",
    "required": True,
    "description": "Use case / 业务场景",
    "schema": {"type": "string", "enum": list(USE_CASES)},
    "example": "credit_risk",
}


def add_routes(app: FastAPI) -> None:
    """Add the routes that tell what is served."""

    @app.get(
        "/v1/releases",
        summary="What is served now, and how it came about / 当前在线发布与变更历史",
        response_model=schemas.ServedReleases,
        response_description="The releases that answer now",
        tags=["releases"],
        responses={
            200: {"headers": CONDITIONAL_HEADERS},
            **NOT_MODIFIED,
            **documented_errors(401, 429),
        },
        openapi_extra={"parameters": [IF_NONE_MATCH], **secured_by(None)},
    )
    async def releases(request: Request) -> Response:
        return await _answer(request, served_releases)

    @app.get(
        "/v1/models",
        summary="The models that answer now: what they read, answer and are worth / 当前在线模型",
        response_model=schemas.ServedModels,
        response_description="The models that answer now",
        tags=["releases"],
        responses={
            200: {"headers": CONDITIONAL_HEADERS},
            **NOT_MODIFIED,
            **documented_errors(401, 429),
        },
        openapi_extra={"parameters": [IF_NONE_MATCH], **secured_by(None)},
    )
    async def models(request: Request) -> Response:
        return await _answer(request, served_models)

    @app.get(
        "/v1/models/{use_case}/card",
        summary="The model card as a page for people / 模型卡",
        response_class=Response,
        tags=["releases"],
        responses={
            200: {
                "description": "The card of the model that answers now, in one HTML page",
                "content": {"text/html": {"schema": {"type": "string"}}},
                "headers": CONDITIONAL_HEADERS,
            },
            **NOT_MODIFIED,
            **documented_errors(401, 404, 429, 503),
        },
        openapi_extra={"parameters": [_USE_CASE_PARAMETER, IF_NONE_MATCH], **secured_by(None)},
    )
    async def model_card(request: Request) -> Response:
        runtime: Runtime = request.app.state.runtime
        use_case: str = request.path_params["use_case"]
        if use_case not in USE_CASES:
            raise ApiError(404, "not_found", "there is no such use case", field="use_case", allowed=USE_CASES)
        manifest = runtime.board.manifests().get(use_case)
        if manifest is None:
            raise ApiError(503, "no_release", runtime.no_release_sentence(use_case), retry_after_seconds=60)
        path = ModelStore(runtime.settings.home).release_dir(use_case, manifest.name) / MODEL_CARD_FILE
        page = await anyio.to_thread.run_sync(_from_files, runtime, lambda _: path.read_bytes())
        response = conditional_response(request, page, media_type="text/html; charset=utf-8")
        # The card is one file with its pictures and styles in it; nothing else may run or load.
        response.headers["Content-Security-Policy"] = (
            "default-src 'none'; img-src data:; style-src 'unsafe-inline'; frame-ancestors 'none'"
        )
        return response


async def _answer(request: Request, told: Callable[[Runtime], BaseModel]) -> Response:
    runtime: Runtime = request.app.state.runtime
    answer = await anyio.to_thread.run_sync(_from_files, runtime, told)
    content = {**answer.model_dump(mode="json"), "request_id": request.scope["request_id"]}
    return conditional_response(request, content, media_type="application/json")


def _from_files(runtime: Runtime, told: Callable[[Runtime], T]) -> T:
    try:
        return told(runtime)
    except (OSError, ReleaseError) as error:
        raise ApiError(
            503,
            "no_release",
            "files of a release that still answers were removed, as an erasure does; `make run` releases anew",
            retry_after_seconds=60,
        ) from error


def served_releases(runtime: Runtime) -> schemas.ServedReleases:
    """Return what is served now; the request id is left to the caller."""
    store = ModelStore(runtime.settings.home)
    histories = {use_case: list(reversed(store.history(use_case))) for use_case in USE_CASES}
    return schemas.ServedReleases(
        request_id="",
        releases=[
            _served_release(manifest, histories[use_case])
            for use_case, manifest in sorted(runtime.board.manifests().items())
        ],
        missing=runtime.missing_use_cases(),
        history=[
            schemas.ReleaseEvent(
                use_case=use_case,
                at=entry["at"],
                action=entry["action"],
                from_release=entry["from"],
                to_release=entry["to"],
                by=entry["by"],
                reason=entry["reason"],
            )
            for use_case, history in histories.items()
            for entry in history[:LONGEST_HISTORY]
        ],
    )


def served_models(runtime: Runtime) -> schemas.ServedModels:
    """Return the models that answer now; the request id is left to the caller."""
    store = ModelStore(runtime.settings.home)
    return schemas.ServedModels(
        request_id="",
        models=[
            _served_model(
                manifest,
                store.bundle_dir(use_case, manifest.bundle_version),
                read_model_verdict(runtime.settings.home, use_case, manifest.name),
            )
            for use_case, manifest in sorted(runtime.board.manifests().items())
        ],
        missing=runtime.missing_use_cases(),
    )


def _served_release(manifest: ReleaseManifest, newest_first: list[dict[str, Any]]) -> schemas.ServedRelease:
    # The history is written after the pointer, so the newest entry may not be there yet.
    since = next((entry["at"] for entry in newest_first if entry["to"] == manifest.name), manifest.released_at)
    return schemas.ServedRelease(
        use_case=manifest.use_case,
        release=manifest.name,
        model_version=manifest.bundle_version,
        released_at=manifest.released_at,
        served_since=since,
        approved_by=manifest.approved_by,
        marts_version=manifest.marts_version,
        features_as_of_month=manifest.feature_as_of_month,
        customers_count=manifest.customers_count,
        metrics=[schemas.metric_figure(Metric.model_validate(metric)) for metric in manifest.metrics],
        card=f"/v1/models/{manifest.use_case}/card",
    )


def _served_model(manifest: ReleaseManifest, bundle_dir: Path, verdict: ModelVerdict | None) -> schemas.ServedModel:
    bundle = BundleManifest.model_validate_json((bundle_dir / MANIFEST_FILE).read_bytes())
    return schemas.ServedModel(
        use_case=manifest.use_case,
        path=_PATHS[manifest.use_case],
        release=manifest.name,
        model_version=manifest.bundle_version,
        training_first_month=bundle.data_window.first_month,
        training_last_month=bundle.data_window.last_month,
        training_data_fingerprint=bundle.data_fingerprint,
        key_metric=schemas.metric_figure(bundle.key_metric),
        metrics=[schemas.metric_figure(Metric.model_validate(metric)) for metric in manifest.metrics],
        features=[_column(column) for column in feature_columns(manifest.use_case)],
        predictions=[_column(column) for column in prediction_columns(manifest.use_case)],
        verdict=None if verdict is None else _review_verdict(verdict),
        card=f"/v1/models/{manifest.use_case}/card",
    )


def _review_verdict(verdict: ModelVerdict) -> schemas.ReviewVerdict:
    return schemas.ReviewVerdict(
        outcome=verdict.outcome,
        month=verdict.month,
        sentence=verdict.sentence,
        sentence_zh=verdict.sentence_zh,
        silenced_until=verdict.silenced_until,
        reviewed_at=verdict.reviewed_at,
    )


def _column(column: Column) -> schemas.ModelColumn:
    return schemas.ModelColumn(
        name=column.name,
        kind=column.kind,
        unit=column.unit,
        minimum=column.minimum,
        maximum=column.maximum,
        allowed=list(column.allowed) or None,
        is_required=not column.nullable,
        description=column.description,
        description_zh=column.description_zh,
    )
