"""Answers as HTTP: orjson writes them, numpy scalars included, which models leave in their explanations."""

import hashlib
from collections.abc import Mapping
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

RELEASE_HEADER = "Kilowise-Release"
"""Names the release that answered; in a request, the one that shall."""

REVALIDATE = "private, no-cache"


def json_response(content: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Response:
    """Return an answer."""
    return Response(
        orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY),
        media_type="application/json",
        headers=None if headers is None else dict(headers),
    )


def conditional_response(request: Request, content: Mapping[str, Any] | bytes, *, media_type: str) -> Response:
    """Return a document, or 304 when the caller holds it already.

    Args:
        request: Its ``If-None-Match`` says what the caller holds.
        content: The document; of a mapping the ``request_id`` is left out of the comparison, because it always differs.
        media_type: Of the document.
    """
    if isinstance(content, bytes):
        body = compared = content
        weak = ""
    else:
        body = orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY)
        compared = orjson.dumps(
            {name: value for name, value in content.items() if name != "request_id"},
            option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_SORT_KEYS,
        )
        weak = "W/"
    opaque = f'"{hashlib.sha256(compared).hexdigest()[:32]}"'
    headers = {"ETag": weak + opaque, "Cache-Control": REVALIDATE}
    if _is_held(request.headers.get("if-none-match", ""), opaque):
        return Response(status_code=304, headers=headers)
    return Response(body, media_type=media_type, headers=headers)


def _is_held(if_none_match: str, opaque: str) -> bool:
    held = [tag.strip().removeprefix("W/") for tag in if_none_match.split(",")]
    return "*" in held or opaque in held
