"""What a reader is told when a document is no tariff: one line per problem, each with the path of the field.

A line reads ``components[2].tiers.limits_kwh[1]: must be larger than 400, found 300``.
"""

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

_STARTS_WITH_PATH = re.compile(r"[\w.\[\]]+: ")
_SHOULD = re.compile(r"^[\w ]*?should ")
_SHOWN_LENGTH = 60
_LISTED_FIELDS = 12


def refusals_of(error: ValidationError, model: type[BaseModel]) -> list[str]:
    """Return one message for every problem that validation found.

    Args:
        error: What validation of a document by ``model`` raised.
        model: Names the fields that a reader may have meant.
    """
    schema = model.model_json_schema()
    details = error.errors(include_url=False)
    return [line for detail in details if not _is_echo(detail, details) for line in _lines(detail, schema)]


def prefixed(messages: str | Iterable[str], *labels: str) -> str:
    """Return messages one per line, each beginning with where it comes from: file, then tariff."""
    lines = messages.splitlines() if isinstance(messages, str) else messages
    start = "".join(f"{label}: " for label in labels)
    return "\n".join(start + line for line in lines)


def _is_echo(detail: ErrorDetails, details: Sequence[ErrorDetails]) -> bool:
    """Return whether a list counts as too short only because its items were refused."""
    location = detail["loc"]
    return detail["type"] == "too_short" and any(
        len(other["loc"]) > len(location) and other["loc"][: len(location)] == location for other in details
    )


def _lines(detail: ErrorDetails, schema: Mapping[str, Any]) -> list[str]:
    path = _path(detail["loc"])
    if detail["type"] != "value_error":
        return [_message(detail, path, schema)]
    # A rule over several fields says one line per problem, and names the field at fault from its own level downwards.
    texts = detail["msg"].removeprefix("Value error, ").splitlines()
    return [f"{path}{'.' if path and _STARTS_WITH_PATH.match(text) else ': ' if path else ''}{text}" for text in texts]


def _message(detail: ErrorDetails, path: str, schema: Mapping[str, Any]) -> str:
    match detail["type"]:
        case "extra_forbidden":
            return f"{path}: unknown field{_suggestion(detail['loc'], schema)}"
        case "missing":
            return f"{path}: missing"
        case "union_tag_not_found":
            return f"{path}.kind: missing; choose one of {_kinds(detail['loc'], schema)}"
        case "union_tag_invalid":
            found = str(detail["ctx"]["tag"])
            return f"{path}.kind: `{found}` is not one of {_kinds(detail['loc'], schema)}"
    return f"{path}: {_SHOULD.sub('must ', detail['msg'])}, found {_shown(detail['input'])}"


def _path(location: Sequence[int | str]) -> str:
    path = ""
    for position, part in enumerate(location):
        is_union_tag = position >= 2 and location[position - 2] == "components" and isinstance(part, str)
        if isinstance(part, int):
            path += f"[{part}]"
        elif not is_union_tag:
            path += f".{part}" if path else part
    return path


def _shown(value: object) -> str:
    text = f"`{value}`" if isinstance(value, str) else str(value)
    return text if len(text) <= _SHOWN_LENGTH else f"{text[:_SHOWN_LENGTH]}…"


def _suggestion(location: Sequence[int | str], schema: Mapping[str, Any]) -> str:
    known = list(_node(location[:-1], schema).get("properties", {}))
    nearest = difflib.get_close_matches(str(location[-1]), known, n=1)
    if nearest:
        return f"; did you mean `{nearest[0]}`?"
    return f"; known here are {', '.join(known)}" if len(known) <= _LISTED_FIELDS else ""


def _kinds(location: Sequence[int | str], schema: Mapping[str, Any]) -> str:
    return ", ".join(_node(location, schema)["discriminator"]["mapping"])


def _node(location: Sequence[int | str], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the JSON Schema of the object at a location of a document."""
    node: Mapping[str, Any] = schema
    for part in location:
        if "discriminator" in node:
            node = _resolved({"$ref": node["discriminator"]["mapping"][part]}, schema)
        elif isinstance(part, int):
            node = _resolved(node["items"], schema)
        else:
            node = _resolved(node.get("properties", {}).get(part, node.get("additionalProperties")), schema)
    return node


def _resolved(node: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a node without the reference, or the absence that is allowed beside it."""
    for choice in node.get("anyOf", ()):
        if choice.get("type") != "null":
            return _resolved(choice, schema)
    if "$ref" in node:
        return _resolved(schema["$defs"][node["$ref"].rpartition("/")[2]], schema)
    return node
