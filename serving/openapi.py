"""The OpenAPI document: FastAPI's, with the models of the bodies and answers that the routes handle themselves.

A route that parses its own body or writes its own answer names the models here with `document_models`, and refers to
them with `reference`.
"""

from collections.abc import Iterable
from typing import Any, Literal

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from serving import schemas

DocumentedModel = tuple[type[BaseModel], Literal["validation", "serialization"]]


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
            title=app.title, version=app.version, description=app.description, routes=app.routes, summary=None
        )
        _, definitions = models_json_schema(
            [*app.state.documented_models, (schemas.Problem, "serialization")],
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


def documented_errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the documentation of error statuses for ``responses`` of a route."""
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
    content = {"application/json": {"schema": reference(schemas.Problem)}}
    return {status: {"description": words[status], "content": content} for status in statuses}


def reference(model: type[BaseModel]) -> dict[str, str]:
    """Return the reference to a model of the document."""
    return {"$ref": f"#/components/schemas/{model.__name__}"}
