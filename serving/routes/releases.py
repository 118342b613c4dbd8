"""``GET /v1/releases``: what is served, since when and with which metrics."""

from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import Response

from serving import schemas
from serving.openapi import documented_errors
from serving.responses import json_response
from serving.runtime import Runtime


def add_routes(app: FastAPI) -> None:
    """Add the routes that tell what is served."""

    @app.get(
        "/v1/releases",
        summary="What is served now / 当前在线发布",
        response_model=schemas.ServedReleases,
        tags=["releases"],
        responses=documented_errors(401, 429),
    )
    async def releases(request: Request) -> Response:
        return json_response(served_releases(request.app.state.runtime, request.scope["request_id"]))


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
