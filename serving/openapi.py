"""The OpenAPI document: FastAPI's, with what the routes handle themselves.

A route that parses its own body or writes its own answer names the models here with `document_models`, and refers to
them with `reference`. Headers, parameters and errors that several routes share are described here once.
"""

from collections.abc import Iterable
from typing import Any, Literal

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from serving import schemas
from serving.deprecation import mark_deprecated
from serving.errors import ERROR_TYPES
from serving.runtime import Runtime

DocumentedModel = tuple[type[BaseModel], Literal["validation", "serialization"]]

TAGS = [
    {"name": "segmentation", "description": "Who the customer is / 客户分群"},
    {"name": "tariff_matching", "description": "Which tariff suits the customer / 电价匹配"},
    {"name": "credit_risk", "description": "Whether bills will be paid, and what follows / 电费信用评估"},
    {"name": "customers", "description": "What is known of a customer / 客户画像"},
    {"name": "releases", "description": "What is served, since when, with which figures / 模型与发布"},
]


def _header(description: str, example: str, **schema: Any) -> dict[str, Any]:
    return {"description": description, "schema": {"type": "string", **schema}, "example": example}


REQUEST_ID_HEADER = {
    "X-Request-Id": _header("Names the request; quote it when you ask for help / 请求编号", "8794b89bc01e4e6b91a93c1e")
}
RETRY_AFTER_HEADER = {
    "Retry-After": {
        "description": "Seconds to wait before the request is sent again / 重试等待秒数",
        "schema": {"type": "integer", "minimum": 1},
        "example": 1,
    }
}
LIMIT_HEADERS = {
    "RateLimit": _header(
        "What is left of the key's rate and quota; absent without limits / 剩余额度", '"rate";r=99;t=1'
    ),
    "RateLimit-Policy": _header("The key's rate and quota; absent without limits / 额度", '"rate";q=100;w=10'),
}
ANSWER_HEADERS = {
    **REQUEST_ID_HEADER,
    **LIMIT_HEADERS,
    "Kilowise-Release": _header("The release that answered / 应答发布", "0003-202608-1a2b3c4d5e"),
    "Idempotency-Replayed": _header("`true` when this is the answer given before / 重放应答", "true", enum=["true"]),
}
CONDITIONAL_HEADERS = {
    **REQUEST_ID_HEADER,
    **LIMIT_HEADERS,
    "ETag": _header("Version of the answer, for `If-None-Match` / 应答版本", 'W/"0f3a91c2"'),
    "Cache-Control": _header("It may be kept, and is asked for again before use / 缓存方式", "private, no-cache"),
}

PIN_PARAMETER = {
    "name": "Kilowise-Release",
    "in": "header",
    "required": False,
    "description": "Release that shall answer: the one that is served or the one before; another is 409 / 指定发布",
    "schema": {"type": "string", "minLength": 1, "maxLength": 128},
}
IDEMPOTENCY_PARAMETER = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "Your name of this request, such as a UUID: sent again with the same body within 24 hours, it is "
    "answered with the first answer. Not for answers in lines / 幂等键",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[ -~]+$"},
}
IF_NONE_MATCH = {
    "name": "If-None-Match",
    "in": "header",
    "required": False,
    "description": "`ETag` of the answer that you hold: 304 without a body when it is still true / 条件请求",
    "schema": {"type": "string"},
}
NOT_MODIFIED: dict[int | str, dict[str, Any]] = {
    304: {"description": "What you hold is still true / 未变化", "headers": CONDITIONAL_HEADERS}
}

# What the title of an error type leaves out, by status.
_ERROR_WORDS = {
    400: "The request is broken / 请求格式错误",
    401: "No valid API key / 密钥缺失或无效",
    403: "The key lacks the scope / 权限不足",
    404: "Not found / 未找到",
    408: "The body came too slowly / 请求体超时",
    409: "In conflict with what is served or in work / 冲突",
    413: "The body is too large / 请求体过大",
    415: "Not sent as JSON / 媒体类型不支持",
    422: "Not what the schema asks for / 请求内容不符合要求",
    429: "Too many requests / 请求过多",
    431: "The headers are too large / 请求头过大",
    500: "A fault of the server / 服务器故障",
    503: "Nothing can answer now / 暂不可用",
}
_WITH_RETRY_AFTER = (409, 429, 503)


def document_models(app: FastAPI, models: Iterable[DocumentedModel]) -> None:
    """Take models into the document of an application.

    Args:
        app: The application.
        models: Each with ``validation`` for what is sent and ``serialization`` for what is answered.
    """
    app.state.documented_models = [*getattr(app.state, "documented_models", []), *models]


def openapi(app: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI document, with the models of bodies that the routes parse themselves."""
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title,
            version=app.version,
            description=app.description,
            routes=app.routes,
            tags=TAGS,
            license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
            servers=[{"url": "/", "description": "This server"}],
        )
        _, definitions = models_json_schema(
            [*app.state.documented_models, (schemas.Problem, "serialization")],
            ref_template="#/components/schemas/{model}",
        )
        components = document.setdefault("components", {})
        components["schemas"] = {**components.get("schemas", {}), **definitions["$defs"]}
        for model in components["schemas"].values():
            for field in ("customer_ids", "items"):
                _state_limit(model.get("properties", {}).get(field, {}), app)
        components["securitySchemes"] = {
            "apiKey": {
                "type": "apiKey",
                "in": "header",
                "name": "X-API-Key",
                "description": "The key of the caller; each route says which scope the key needs / 接口密钥",
            },
            "bearer": {"type": "http", "scheme": "bearer", "description": "The same key as a bearer token / 同上"},
        }
        _complete_examples(document)
        mark_deprecated(document, app.state.deprecations)
        app.openapi_schema = document
    return app.openapi_schema


def _state_limit(batch: dict[str, Any], app: FastAPI) -> None:
    """Say how long a batch may be on this server, which may take less than the schema."""
    runtime: Runtime | None = getattr(app.state, "runtime", None)
    for choice in batch.get("anyOf", []):
        if runtime is not None and "maxItems" in choice:
            choice["maxItems"] = runtime.settings.max_batch_items


def secured_by(scope: str | None) -> dict[str, Any]:
    """Return what ``openapi_extra`` says of a route's keys.

    Args:
        scope: Scope that the key needs; None where any key will do.
    """
    scopes = [] if scope is None else [scope]
    # The empty requirement: a server in development asks for no key.
    return {"security": [{"apiKey": scopes}, {"bearer": scopes}, {}]}


def documented_errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the documentation of error statuses for ``responses`` of a route; 431 and 500 are added to each."""
    return {status: _documented_error(status) for status in (*statuses, 431, 500)}


def _documented_error(status: int) -> dict[str, Any]:
    kinds = {kind: error for kind, error in ERROR_TYPES.items() if status in error.statuses}
    return {
        "description": "\n".join(
            [_ERROR_WORDS[status], *(f"- `{kind}`: {error.title}. {error.remedy}" for kind, error in kinds.items())]
        ),
        "headers": {**REQUEST_ID_HEADER, **(RETRY_AFTER_HEADER if status in _WITH_RETRY_AFTER else {})},
        "content": {
            "application/json": {
                "schema": reference(schemas.Problem),
                "examples": {
                    kind: {"summary": error.title, "value": _example_problem(kind)} for kind, error in kinds.items()
                },
            }
        },
    }


def _complete_examples(document: dict[str, Any]) -> None:
    """Give the examples of errors their empty fields again, which FastAPI leaves out."""
    for operations in document["paths"].values():
        for operation in operations.values():
            for response in operation["responses"].values():
                content = response.get("content", {}).get("application/json", {})
                for kind, example in content.get("examples", {}).items():
                    example["value"] = _example_problem(kind)


def _example_problem(kind: str) -> dict[str, Any]:
    return {
        "type": kind,
        "title": ERROR_TYPES[kind].title,
        "detail": ERROR_TYPES[kind].remedy,
        "field": None,
        "allowed": None,
        "request_id": "8794b89bc01e4e6b91a93c1ed020a4b6",
    }


def reference(model: type[BaseModel]) -> dict[str, str]:
    """Return the reference to a model of the document."""
    return {"$ref": f"#/components/schemas/{model.__name__}"}
