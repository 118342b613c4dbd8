"""The API page: the OpenAPI document as one HTML page that needs no network; FastAPI's loads scripts from afar."""

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from serving.errors import ERROR_TYPES
from serving.schemas import LARGEST_NUMBER

TEMPLATES_DIR = Path(__file__).resolve().parent / "templates"
_LONGEST_LINE = 100
_EXAMPLE_TITLES = {
    "customer_id": "One customer",
    "customer_ids": "Many customers",
    "features": "Features instead of an id",
    "raw": "Raw data instead of an id",
    "items": "Ids and features",
}


def render_docs_page(document: Mapping[str, Any]) -> str:
    """Return the page for an OpenAPI document."""
    environment = Environment(loader=FileSystemLoader(TEMPLATES_DIR), autoescape=True, undefined=StrictUndefined)
    schemas: Mapping[str, Any] = document["components"]["schemas"]
    operations = [
        _operation(path, method, operation, schemas)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    return environment.get_template("docs.html.j2").render(
        info=document["info"], operations=operations, error_types=ERROR_TYPES
    )


def _operation(path: str, method: str, operation: Mapping[str, Any], schemas: Mapping[str, Any]) -> dict[str, Any]:
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    request = _resolve(body, schemas) if body else None
    answer = operation["responses"]["200"]["content"].get("application/json", {}).get("schema", {})
    answers = [_resolve(choice, schemas) for choice in answer.get("oneOf", [answer]) if choice]
    return {
        "path": path,
        "parameters": operation.get("parameters", []),
        "example_path": _example_path(path, operation),
        "method": method.upper(),
        "summary": operation["summary"],
        "examples": [_example(example) for example in (request or {}).get("examples", [])],
        "tables": _tables([request] if request else [], schemas),
        "answers": _tables(answers, schemas),
        "errors": [
            {"status": status, "description": response["description"].split("\n")[0], "kinds": _kinds(response)}
            for status, response in sorted(operation["responses"].items())
            if status >= "400"
        ],
    }


def _example_path(path: str, operation: Mapping[str, Any]) -> str:
    """Return a path with examples in the place of its parameters, so that it can be sent."""
    for parameter in operation.get("parameters", []):
        if parameter["in"] == "path":
            path = path.replace(f"{{{parameter['name']}}}", quote(str(parameter["example"]), safe=""))
    return path


def _kinds(response: Mapping[str, Any]) -> list[str]:
    return list(response.get("content", {}).get("application/json", {}).get("examples", {}))


def _example(body: Mapping[str, Any]) -> dict[str, str]:
    """Return an example with the title of its button; short bodies stay on one line."""
    text = json.dumps(body, ensure_ascii=False)
    return {
        "title": _EXAMPLE_TITLES.get(name := next(iter(body)), name),
        "body": text if len(text) <= _LONGEST_LINE else json.dumps(body, ensure_ascii=False, indent=2),
    }


def _tables(roots: list[Mapping[str, Any]], schemas: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return one table of fields per model that the roots reach, the roots first."""
    waiting, tables, seen = list(roots), [], set()
    while waiting:
        model = waiting.pop(0)
        if model["title"] in seen or "properties" not in model:
            continue
        seen.add(model["title"])
        rows = [_row(name, field, model) for name, field in model["properties"].items()]
        tables.append({"title": model["title"], "rows": rows})
        waiting += [schemas[name] for field in model["properties"].values() for name in _references(field)]
    return tables


def content_security_policy(page: str) -> str:
    """Return a policy under which a page's own script and styles run, and nothing else does.

    Args:
        page: The page as it is sent: the policy holds the hashes of what stands in it.
    """
    hashes = {
        element: " ".join(
            f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"
            for content in re.findall(f"<{element}>(.*?)</{element}>", page, re.DOTALL)
        )
        for element in ("script", "style")
    }
    return (
        f"default-src 'none'; script-src {hashes['script']}; style-src {hashes['style']}; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def _row(name: str, field: Mapping[str, Any], model: Mapping[str, Any]) -> dict[str, Any]:
    choices = field.get("anyOf", [field])
    bounds = []
    for choice in choices:
        low, high = (_bound(choice.get(name)) for name in ("minimum", "maximum"))
        if low or high:
            bounds.append(f"{low} … {high}".strip())
        if choice.get("enum"):
            bounds.append(" | ".join(map(str, choice["enum"])))
    return {
        "name": name,
        "type": " or ".join(_type(choice) for choice in choices),
        "is_required": name in model.get("required", []),
        "bounds": "; ".join(bounds),
        "description": field.get("description", ""),
        "example": json.dumps(field["examples"][0], ensure_ascii=False) if field.get("examples") else "",
    }


def _bound(value: float | None) -> str:
    # The technical limit of all numbers says nothing about this one.
    return "" if value is None or abs(value) >= LARGEST_NUMBER else f"{value:g}"


def _type(schema: Mapping[str, Any]) -> str:
    if "$ref" in schema:
        return str(schema["$ref"].rsplit("/", 1)[-1])
    if schema.get("type") == "array":
        return f"list of {_type(schema['items'])}"
    return str(schema.get("format") or schema.get("type", "object"))


def _references(schema: Any) -> list[str]:
    if isinstance(schema, Mapping):
        own = [schema["$ref"].rsplit("/", 1)[-1]] if "$ref" in schema else []
        return own + [name for value in schema.values() for name in _references(value)]
    if isinstance(schema, list):
        return [name for value in schema for name in _references(value)]
    return []


def _resolve(schema: Mapping[str, Any], schemas: Mapping[str, Any]) -> Mapping[str, Any]:
    if "$ref" not in schema:
        return schema
    resolved: Mapping[str, Any] = schemas[schema["$ref"].rsplit("/", 1)[-1]]
    return resolved
