"""Refusals: every answer that is not a result, in one shape and with a sentence the caller can act on."""

from collections.abc import Sequence

from pydantic import ValidationError
from pydantic_core import ErrorDetails

_LONGEST_ECHO = 120


class ApiError(Exception):
    """A request that is answered with an error status.

    Args:
        status: HTTP status.
        kind: Stable identifier of the kind of error, for programs.
        detail: What is wrong and what to change, for people.
        field: Path of the offending field, such as ``features.tenure_months``.
        allowed: Values that would have been accepted.
        retry_after_seconds: When to try again, for 429 and 503.
    """

    def __init__(
        self,
        status: int,
        kind: str,
        detail: str,
        *,
        field: str | None = None,
        allowed: Sequence[str] | None = None,
        retry_after_seconds: int | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.kind = kind
        self.detail = detail
        self.field = field
        self.allowed = list(allowed) if allowed else None
        self.retry_after_seconds = retry_after_seconds

    def body(self, request_id: str) -> dict[str, object]:
        """Return the error as the API answers it."""
        return {
            "type": self.kind,
            "title": TITLES[self.kind],
            "detail": self.detail,
            "field": self.field,
            "allowed": self.allowed,
            "request_id": request_id,
        }


TITLES = {
    "invalid_json": "The body is not valid JSON",
    "incomplete_request": "The request ended before its body was complete",
    "unauthorized": "The API key is missing or unknown",
    "not_found": "There is no such page",
    "unknown_customer": "The customer is not known",
    "method_not_allowed": "The method is not allowed here",
    "body_timeout": "The body did not arrive in time",
    "body_too_large": "The body is too large",
    "unsupported_media_type": "The body is not sent as JSON",
    "invalid_request": "The request does not fit its schema",
    "cannot_score": "The model cannot judge this customer",
    "too_many_requests": "The server is busy",
    "no_release": "No model is released for this",
    "internal": "The server failed",
}
"""Title by error type; also the list of all error types."""


def error_from_validation(error: ValidationError) -> ApiError:
    """Return the refusal for a body that is no JSON or does not fit its schema."""
    problems = error.errors(include_url=False, include_input=False, include_context=True)
    # An unknown field is usually the misspelt name of one that is then reported as missing: it comes first.
    first = min(problems, key=lambda problem: problem["type"] != "extra_forbidden")
    if first["type"] == "json_invalid":
        return ApiError(400, "invalid_json", f"{first['msg']}; send one JSON object in UTF-8")
    field = _field_path(first)
    sentence = _sentence(first, field)
    if len(problems) > 1:
        sentence += f" ({len(problems) - 1} more problem(s) in this request)"
    return ApiError(422, "invalid_request", sentence, field=field, allowed=_allowed(first))


def _field_path(problem: ErrorDetails) -> str | None:
    path = ""
    for part in problem["loc"]:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else str(part)
    return path[:_LONGEST_ECHO] or None


def _sentence(problem: ErrorDetails, field: str | None) -> str:
    if problem["type"] == "extra_forbidden":
        return f"{field} is not a field of this request; remove it or correct its name (see /docs)"
    if problem["type"] == "missing":
        return f"{field} is required and missing"
    message = problem["msg"].removeprefix("Value error, ")
    if field is None:
        return message
    return f"{field}: {message[:1].lower()}{message[1:]}"


def _allowed(problem: ErrorDetails) -> list[str] | None:
    expected = problem.get("ctx", {}).get("expected")
    if problem["type"] != "literal_error" or not isinstance(expected, str):
        return None
    return [value.strip().strip("'") for value in expected.replace(" or ", ", ").split(", ")]
