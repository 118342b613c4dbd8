"""What goes wrong when the API is called: one class per way to react."""

from collections.abc import Mapping
from typing import Any


class KilowiseApiError(Exception):
    """The API refused a request.

    Attributes:
        status: HTTP status.
        type: Kind of error; the API page lists them.
        title: Kind of error, in words.
        detail: What is wrong and what to change.
        field: Path of the offending field, if one is.
        allowed: Values that would have been accepted.
        request_id: Quote it when you ask for help.
    """

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        self.status = status
        self.type = str(problem.get("type", "unknown"))
        self.title = str(problem.get("title", ""))
        self.detail = str(problem.get("detail", ""))
        self.field: str | None = problem.get("field")
        self.allowed: list[str] | None = problem.get("allowed")
        self.request_id: str | None = problem.get("request_id")
        super().__init__(f"{self.detail or self.title} ({self.type}, request {self.request_id})")


class InvalidRequestError(KilowiseApiError):
    """The request must be changed: 400, 404 of a path, 405, 408, 413, 415, 422."""


class UnauthorizedError(KilowiseApiError):
    """The API key is missing or unknown: 401."""


class ForbiddenError(KilowiseApiError):
    """The key lacks the scope that ``allowed`` names: 403."""


class UnknownCustomerError(KilowiseApiError):
    """The release does not know this customer: 404."""


class ConflictError(KilowiseApiError):
    """The release that was asked for is not served, or the same request is still in work: 409."""


class TooManyRequestsError(KilowiseApiError):
    """Too many requests, also after waiting: 429."""


class UnavailableError(KilowiseApiError):
    """Nothing can answer now, also after waiting: 503."""


class ServerError(KilowiseApiError):
    """The server failed; report the ``request_id``: 500 and others."""


class IncompleteAnswerError(Exception):
    """An answer in lines ended before its summary; the lines that came are sound."""


_BY_STATUS: dict[int, type[KilowiseApiError]] = {
    401: UnauthorizedError,
    403: ForbiddenError,
    409: ConflictError,
    429: TooManyRequestsError,
    503: UnavailableError,
}


def error_of(status: int, problem: Mapping[str, Any]) -> KilowiseApiError:
    """Return the error of an answer."""
    if status == 404 and problem.get("type") == "unknown_customer":
        return UnknownCustomerError(status, problem)
    default = InvalidRequestError if status < 500 else ServerError
    return _BY_STATUS.get(status, default)(status, problem)
