"""``GET /v1/customers/{customer_id}``: the portrait of one customer, as far as the key may see it."""

from fastapi import FastAPI, Request
from fastapi.responses import Response

from serving.errors import ApiError
from serving.identity import customer_key
from serving.openapi import (
    CONDITIONAL_HEADERS,
    IF_NONE_MATCH,
    NOT_MODIFIED,
    document_models,
    documented_errors,
    reference,
    secured_by,
)
from serving.portrait_schema import CustomerPortrait, may_read_portraits, portrait_parts
from serving.responses import conditional_response
from serving.runtime import Runtime

_CUSTOMER_PARAMETER = {
    "name": "customer_id",
    "in": "path",
    "required": True,
    "description": "The supplier's own customer id, exactly as in its files / 供电企业客户编号",
    "schema": {"type": "string"},
    "example": "C0000001",
}


def add_routes(app: FastAPI) -> None:
    """Add the route of the portraits."""
    document_models(app, [(CustomerPortrait, "serialization")])

    @app.get(
        "/v1/customers/{customer_id}",
        name="customer_portrait",
        summary="Portrait of a customer with segment, best tariff and rating / 客户画像",
        description="Every section has the day up to which its facts reach, their source, and how far they can be "
        "relied upon. A key sees the sections of its scopes; `withheld` names the others. The `ETag` stays the same "
        "until the portrait is made anew: send it as `If-None-Match` and the answer is 304 while nothing changed.",
        tags=["customers"],
        response_class=Response,
        responses={
            200: {
                "description": "The portrait",
                "content": {"application/json": {"schema": reference(CustomerPortrait)}},
                "headers": CONDITIONAL_HEADERS,
            },
            **NOT_MODIFIED,
            **documented_errors(401, 403, 404, 429, 503),
        },
        openapi_extra={"parameters": [_CUSTOMER_PARAMETER, IF_NONE_MATCH], **secured_by(None)},
    )
    async def customer_portrait(request: Request) -> Response:
        customer_id: str = request.path_params["customer_id"]
        runtime: Runtime = request.app.state.runtime
        scopes: frozenset[str] = request.scope["caller"].scopes
        if not may_read_portraits(scopes):
            raise ApiError(
                403,
                "forbidden",
                "a portrait needs a key with the scope of a use case",
                allowed=["credit_risk", "segmentation", "tariff_matching"],
            )
        portraits = runtime.portraits.current()
        if portraits is None:
            raise ApiError(
                503, "no_release", "no portraits are published yet: run `make run` once", retry_after_seconds=60
            )
        row = portraits.get(customer_key(customer_id, runtime.pseudonym_key))
        if row is None:
            raise ApiError(
                404,
                "unknown_customer",
                "there is no portrait of a customer with this id; check the id",
                field="customer_id",
            )
        answer = {
            "request_id": request.scope["request_id"],
            "customer_id": customer_id,
            "portrait_version": portraits.version,
            **portrait_parts(row, scopes),
        }
        return conditional_response(request, answer, media_type="application/json")
