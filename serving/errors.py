"""Refusals: every answer that is not a result, in one shape and with a sentence the caller can act on."""

from collections.abc import Sequence
from dataclasses import dataclass

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
        return {**self.problem(), "request_id": request_id}

    def problem(self) -> dict[str, object]:
        """Return the error as it stands beside the results of a batch."""
        return {
            "type": self.kind,
            "title": TITLES[self.kind],
            "detail": self.detail,
            "field": self.field,
            "allowed": self.allowed,
        }


@dataclass(frozen=True, slots=True)
class ErrorType:
    """One kind of error, as the documentation lists it.

    Attributes:
        statuses: HTTP statuses under which it is answered; none for what stands only beside results of a batch.
        title: What happened, in words.
        remedy: What the caller does about it.
    """

    statuses: tuple[int, ...]
    title: str
    remedy: str


ERROR_TYPES = {
    "invalid_json": ErrorType(
        (400,), "The body is not valid JSON", "Send one JSON object in UTF-8; in NDJSON one object per line."
    ),
    "incomplete_request": ErrorType(
        (400,), "The request ended before its body was complete", "Send it again, with all of its body."
    ),
    "invalid_header": ErrorType(
        (400,), "A header of the request cannot be honoured", "`field` names the header and `detail` what it may say."
    ),
    "unauthorized": ErrorType(
        (401,),
        "The API key is missing or unknown",
        "Send a valid key as `X-API-Key: <key>` or `Authorization: Bearer <key>`; the operator of the API makes keys.",
    ),
    "forbidden": ErrorType(
        (403,),
        "The API key may not ask this",
        "`allowed` names the scope that is needed; ask the operator for a key that has it.",
    ),
    "not_found": ErrorType((404,), "There is no such page", "Correct the path; `detail` lists the routes."),
    "unknown_customer": ErrorType(
        (404,),
        "The customer is not known",
        "Check the id: it is the supplier's own, exactly as in its files. For someone who is no customer yet, or came "
        "after the release, send `features`.",
    ),
    "method_not_allowed": ErrorType(
        (405,), "The method is not allowed here", "Use one of the methods in `allowed` and in the header `Allow`."
    ),
    "body_timeout": ErrorType(
        (408,), "The body did not arrive in time", "Send it again over a faster connection, or in smaller batches."
    ),
    "release_not_served": ErrorType(
        (409,),
        "The release asked for is not served",
        "Drop the header `Kilowise-Release`, or name one of `allowed`: what is served now, or was before.",
    ),
    "idempotency_key_in_use": ErrorType(
        (409,),
        "A request with this key is still in work",
        "Wait `Retry-After` seconds and send the same request again: it is then answered with the first one's answer.",
    ),
    "body_too_large": ErrorType(
        (413,), "The body is too large", "Split the batch into several requests, or send it as NDJSON."
    ),
    "unsupported_media_type": ErrorType(
        (415,),
        "The body is not sent as JSON",
        "Send `Content-Type: application/json` (or `application/x-ndjson`), in UTF-8 and not compressed.",
    ),
    "invalid_request": ErrorType(
        (422,),
        "The request does not fit its schema",
        "`field` names the place, `detail` says what to change, `allowed` lists what would be accepted.",
    ),
    "raw_data_unavailable": ErrorType(
        (409,),
        "The release cannot make features of raw data",
        "Send features or an id, or have the model released again: the release is older than raw data.",
    ),
    "cannot_score": ErrorType(
        (422,),
        "The model cannot judge this customer",
        "`detail` says what is missing or contradictory.",
    ),
    "idempotency_key_reused": ErrorType(
        (422,),
        "The key was used for another request",
        "Make a new key for every new request; the same key belongs to one body, sent once or again.",
    ),
    "too_many_requests": ErrorType(
        (429,), "The server is busy", "Wait `Retry-After` seconds and send the request again."
    ),
    "rate_limited": ErrorType(
        (429,),
        "The caller sends requests too fast",
        "Wait `Retry-After` seconds; the header `RateLimit` says how many requests are left.",
    ),
    "quota_exhausted": ErrorType(
        (429,),
        "The quota of the day is used up",
        "Wait `Retry-After` seconds, until midnight UTC, or ask the operator for a larger quota.",
    ),
    "headers_too_large": ErrorType(
        (431,), "The headers are too large", "Send fewer or shorter headers; `detail` says how much they may have."
    ),
    "internal": ErrorType((500,), "The server failed", "A fault of the server: report the `request_id`."),
    "no_release": ErrorType(
        (503,),
        "No model is released for this",
        "Nothing in the request is wrong: the operator has to release a model; `detail` says how.",
    ),
    "store_unavailable": ErrorType(
        (503,),
        "The server cannot write what it must remember",
        "Send the request again later, with the same `Idempotency-Key`; the operator finds the reason in the log.",
    ),
}
"""Every kind of error by its ``type``; the page and the tests read it."""

TITLES = {kind: error_type.title for kind, error_type in ERROR_TYPES.items()}
"""Title by error type."""


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
