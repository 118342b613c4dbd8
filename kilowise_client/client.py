"""Calls the API: keys, timeouts, waiting when it is busy, and typed answers."""

import json
import random
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Generic, Self
from urllib.parse import quote

import httpx

from kilowise_client.answers import (
    Answer,
    BatchAnswer,
    CreditRiskPrediction,
    PredictionT,
    Result,
    SegmentationPrediction,
    TariffMatchingPrediction,
)
from kilowise_client.errors import IncompleteAnswerError, KilowiseApiError, error_of

JsonObject = Mapping[str, Any]

_RETRIED_STATUSES = (429, 503)
_NDJSON = "application/x-ndjson"


class UseCase(Generic[PredictionT]):
    """One use case of the API: what its released model says of customers.

    Made by `KilowiseClient`. ``release`` asks for a release by name; the API answers by the one that is served or the
    one before it, and refuses others with `ConflictError`.
    """

    def __init__(self, client: "KilowiseClient", path: str) -> None:
        self._client = client
        self._path = path

    def for_customer(self, customer_id: str, *, release: str | None = None) -> Answer[PredictionT]:
        """Ask about a customer of the supplier, by the id of the supplier's own files."""
        return self._one({"customer_id": customer_id}, release)

    def for_features(self, features: JsonObject, *, release: str | None = None) -> Answer[PredictionT]:
        """Ask about somebody whose features are known; what is left out counts as not known."""
        return self._one({"features": features}, release)

    def for_raw(self, raw: JsonObject, *, release: str | None = None) -> Answer[PredictionT]:
        """Ask about somebody whose readings, bills and payments are known, in the names of the landing contract."""
        return self._one({"raw": raw}, release)

    def for_customers(
        self, customer_ids: Sequence[str], *, release: str | None = None, idempotency_key: str | None = None
    ) -> BatchAnswer[PredictionT]:
        """Ask about many customers; one that is unknown has an error and harms no other.

        Args:
            customer_ids: Up to 1,000, unless the operator chose another limit; see `stream` for more.
            release: Release that shall answer.
            idempotency_key: Your name of this request, when you may send it again yourself, also after a restart;
                without one the client makes its own for its own retries.
        """
        return self._many({"customer_ids": list(customer_ids)}, release, idempotency_key)

    def for_items(
        self, items: Sequence[JsonObject], *, release: str | None = None, idempotency_key: str | None = None
    ) -> BatchAnswer[PredictionT]:
        """Ask about many customers, each by ``customer_id``, ``features`` or ``raw``; else as `for_customers`."""
        return self._many({"items": list(items)}, release, idempotency_key)

    def stream(self, items: Iterable[JsonObject], *, release: str | None = None) -> Iterator[Result[PredictionT]]:
        """Ask about more customers than one batch may have and yield their results as they are ready.

        Args:
            items: Each with ``customer_id``, ``features`` or ``raw``; up to 20,000, unless the operator chose
                another limit.
            release: Release that shall answer.

        Raises:
            IncompleteAnswerError: The connection ended early; the results that came are sound.
        """
        content = b"".join(json.dumps(item).encode() + b"\n" for item in items)
        headers = {"Content-Type": _NDJSON, **_pin(release)}
        for line in self._client.lines(self._path, content, headers):
            if "summary" in line:
                return
            yield Result.of(line["result"], line=line["line"])
        raise IncompleteAnswerError("the answer ended before its summary; ask again for the lines that did not come")

    def _one(self, body: JsonObject, release: str | None) -> Answer[PredictionT]:
        return Answer.of(self._client.request("POST", self._path, body=body, headers=_pin(release)))

    def _many(self, body: JsonObject, release: str | None, key: str | None) -> BatchAnswer[PredictionT]:
        headers = {"Idempotency-Key": key or str(uuid.uuid4()), **_pin(release)}
        return BatchAnswer.of(self._client.request("POST", self._path, body=body, headers=headers))


class KilowiseClient:
    """The Kilowise API.

    A request that is refused with 429 or 503 is sent again after ``Retry-After`` and some jitter, as is one whose
    connection fails and whose repetition does no harm. One client may be used by many threads.

    Args:
        base_url: Address of the API.
        api_key: The caller's key; none in development.
        timeout_seconds: Longest wait for a connection, and for each part of an answer.
        retries_count: How often a request is sent again.
        longest_wait_seconds: A longer ``Retry-After`` is not waited for: the error is raised at once.
        http: Carries the requests instead of a client of its own; it is then not closed.
        sleep: Waits a number of seconds.

    Attributes:
        segmentation: Segment, value tier and life-cycle stage.
        tariff_matching: Best tariff and what it saves.
        credit_risk: Probability of default, points, rating, reasons, policy.
    """

    def __init__(
        self,
        base_url: str,
        *,
        api_key: str | None = None,
        timeout_seconds: float = 30.0,
        retries_count: int = 4,
        longest_wait_seconds: float = 30.0,
        http: httpx.Client | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._headers = {} if api_key is None else {"X-API-Key": api_key}
        self._retries_count = retries_count
        self._longest_wait_seconds = longest_wait_seconds
        self._owns_http = http is None
        self._http = httpx.Client(timeout=timeout_seconds) if http is None else http
        self._sleep = sleep
        self.segmentation = UseCase[SegmentationPrediction](self, "/v1/segmentation/assign")
        self.tariff_matching = UseCase[TariffMatchingPrediction](self, "/v1/tariff_matching/recommend")
        self.credit_risk = UseCase[CreditRiskPrediction](self, "/v1/credit_risk/score")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        if self._owns_http:
            self._http.close()

    def customer(self, customer_id: str) -> dict[str, Any]:
        """Return the portrait of a customer, as far as the key may see it."""
        return self.request("GET", f"/v1/customers/{quote(customer_id, safe='')}")

    def releases(self) -> dict[str, Any]:
        """Return which releases answer, since when, with which figures, and how that came about."""
        return self.request("GET", "/v1/releases")

    def models(self) -> dict[str, Any]:
        """Return which models answer, what they read and how they were trained."""
        return self.request("GET", "/v1/models")

    def request(
        self,
        method: str,
        path: str,
        *,
        body: JsonObject | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """Send a request, again where that helps, and return the answer's JSON.

        Raises:
            KilowiseApiError: The API refused it; the subclass says how to react.
            httpx.TransportError: The API cannot be reached.
        """
        content = None if body is None else json.dumps(body).encode()
        sent_headers = {
            **self._headers,
            **({} if content is None else {"Content-Type": "application/json"}),
            **(headers or {}),
        }
        is_repeatable = method == "GET" or "Idempotency-Key" in sent_headers
        for attempt in range(self._retries_count + 1):
            try:
                response = self._http.request(method, self._base_url + path, content=content, headers=sent_headers)
            except httpx.TransportError as error:
                # Without a connection nothing can have been decided; later only a repeatable request may be sent again.
                may_retry = is_repeatable or isinstance(error, httpx.ConnectError)
                if not may_retry or attempt == self._retries_count:
                    raise
                self._sleep(_backoff_seconds(attempt))
                continue
            if response.is_success:
                answer: dict[str, Any] = response.json()
                return answer
            self._wait_or_raise(response, attempt)
        raise AssertionError("unreachable: the last attempt returns or raises")

    def lines(self, path: str, content: bytes, headers: Mapping[str, str]) -> Iterator[dict[str, Any]]:
        """Send lines and yield the lines of the answer; before the first one it is sent again where that helps.

        Raises:
            KilowiseApiError: The API refused all of it.
            IncompleteAnswerError: The connection ended before the answer did.
        """
        sent_headers = {**self._headers, **headers}
        for attempt in range(self._retries_count + 1):
            with self._http.stream("POST", self._base_url + path, content=content, headers=sent_headers) as response:
                if response.is_success:
                    try:
                        yield from (json.loads(line) for line in response.iter_lines() if line)
                    except httpx.TransportError as error:
                        raise IncompleteAnswerError(f"the connection ended early: {error}") from error
                    return
                response.read()
            self._wait_or_raise(response, attempt)

    def _wait_or_raise(self, response: httpx.Response, attempt: int) -> None:
        error = error_of(response.status_code, _problem(response))
        wait_seconds = _wait_seconds(response, error, attempt)
        if wait_seconds is None or wait_seconds > self._longest_wait_seconds or attempt == self._retries_count:
            raise error
        self._sleep(wait_seconds)


def _pin(release: str | None) -> dict[str, str]:
    return {} if release is None else {"Kilowise-Release": release}


def _problem(response: httpx.Response) -> JsonObject:
    try:
        problem = response.json()
    except ValueError:
        problem = None
    # A proxy in between may answer in a shape of its own.
    return problem if isinstance(problem, dict) else {"detail": f"HTTP {response.status_code}: {response.text[:200]}"}


def _wait_seconds(response: httpx.Response, error: KilowiseApiError, attempt: int) -> float | None:
    """Return how long to wait before the request is sent again; None when that would not help."""
    if response.status_code not in _RETRIED_STATUSES and error.type != "idempotency_key_in_use":
        return None
    asked = response.headers.get("Retry-After", "")
    return float(asked) + _jitter_seconds(1.0) if asked.isdigit() else _backoff_seconds(attempt)


def _backoff_seconds(attempt: int) -> float:
    return 0.2 * 2.0**attempt + _jitter_seconds(0.2)


def _jitter_seconds(largest: float) -> float:
    # So that callers who were refused together do not come back together.
    return random.random() * largest  # noqa: S311  # spreads load, protects nothing
