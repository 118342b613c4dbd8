"""Answers as HTTP: orjson writes them, numpy scalars included, which models leave in their explanations."""

from typing import Any

import orjson
from starlette.responses import Response


def json_response(content: dict[str, Any]) -> Response:
    """Return an answer."""
    return Response(orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY), media_type="application/json")
