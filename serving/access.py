"""Who may call what, and how often: every request passes here before it costs anything.

Pages that anybody may see are listed; everything else needs a key, also paths that do not exist. Without any key
file, which only development allows, callers on this machine may do everything and nobody else anything.
"""

import math
from datetime import UTC, datetime
from functools import cached_property, lru_cache
from typing import NamedTuple, Self, cast

from starlette.routing import BaseRoute, Match
from starlette.types import Scope

from ml.columns import USE_CASES
from serving.api_keys import DEVELOPER, Allowance, ApiScope, Caller, KeyRing, RefusedKey
from serving.denied_calls import DeniedCall, DeniedCallLog
from serving.errors import ApiError
from serving.rate_limits import (
    SECONDS_PER_DAY,
    Admission,
    ClientLimits,
    SharedUsage,
    is_from_outside,
    logged_network,
)
from serving.settings import ServingConfigurationError, ServingSettings

API_PREFIX = "/v1/"
METRICS_PAGE = "/metrics"
CUSTOMERS = "customers"
DOCS_PAGES = ("/", "/docs", "/openapi.json")
UNKNOWN_ROUTE = "other"

Header = tuple[bytes, bytes]


class Decision(NamedTuple):
    """What was decided about a request.

    Attributes:
        refusal: The answer, when the request may not pass.
        caller: Who calls; None for a page that anybody may see.
    """

    refusal: ApiError | None
    caller: Caller | None


def key_ring_of(settings: ServingSettings) -> KeyRing:
    """Return the keys that these settings ask for.

    Raises:
        ApiKeyError: The keys cannot be used, or there are none outside development.
        ServingConfigurationError: The API would be open to other machines.
    """
    keys = KeyRing(settings.api_keys_path, may_be_open=settings.environment == "development")
    if keys.is_open and is_from_outside(settings.host):
        raise ServingConfigurationError(
            f"without API keys the API listens on this machine only, not on {settings.host}: make a key by "
            "`python -m serving keys add NAME --scope SCOPE`, or set KILOWISE_HOST=127.0.0.1"
        )
    return keys


class AccessControl:
    """Decides about requests and keeps the audit of those that were denied.

    Args:
        settings: What the operator chose.
        keys: Keys in force.
    """

    def __init__(self, settings: ServingSettings, keys: KeyRing) -> None:
        self._settings = settings
        self._keys = keys
        self._clients = ClientLimits(
            requests_per_second=settings.unknown_client_requests_per_second,
            burst_count=settings.unknown_client_burst_count,
        )
        self._denied = DeniedCallLog(
            settings.denied_calls_dir,
            retention_days=settings.denied_calls_retention_days,
            fingerprint_key=settings.pseudonym_key.get_secret_value().encode(),
        )
        self._largest_header_bytes = settings.max_header_bytes
        self._public_pages = frozenset(
            (DOCS_PAGES if settings.docs_access == "anyone" else ())
            + ((METRICS_PAGE,) if settings.metrics_access == "anyone" else ())
        )

    @classmethod
    def of(cls, settings: ServingSettings) -> Self:
        """Return the access control of these settings.

        Raises:
            KilowiseError: The API must not start with them.
        """
        return cls(settings, key_ring_of(settings))

    @cached_property
    def _usage(self) -> SharedUsage:
        # Only with the first key in use: an open API needs no such file.
        return SharedUsage(self._settings.usage_path)

    def start(self) -> None:
        """Follow the key file and write the audit in the background."""
        self._keys.start()
        self._denied.start()

    def stop(self) -> None:
        """Stop both; what waits for the audit is written."""
        self._keys.stop()
        self._denied.stop()

    def decide(self, scope: Scope, request_id: str) -> Decision:
        """Decide about one request and write down a denial."""
        header_bytes = 0
        key: bytes | None = None
        authorization = b""
        for name, value in scope["headers"]:
            header_bytes += len(name) + len(value)
            if name == b"x-api-key":
                key = value
            elif name == b"authorization":
                authorization = value
        if header_bytes > self._largest_header_bytes:
            return Decision(
                ApiError(431, "headers_too_large", f"the headers may have {self._largest_header_bytes} bytes together"),
                None,
            )
        address = _address(scope)
        if self._keys.is_open:
            if is_from_outside(address):
                refusal = ApiError(
                    401, "unauthorized", "this API has no keys yet and answers callers on its own machine only"
                )
                return self._denied_call(scope, request_id, address, refusal, "open_to_this_machine_only")
            return Decision(None, DEVELOPER)
        presented = (key if key is not None else _bearer(authorization)).decode("latin-1")
        identified = self._keys.identify(presented)
        if isinstance(identified, RefusedKey):
            return self._decide_without_key(scope, request_id, address, presented, identified)
        return self._decide_with_key(scope, request_id, address, identified)

    def charge(self, scope: Scope, customers_count: int) -> None:
        """Count the customers of a batch against the day's quota; the request itself has counted one.

        Raises:
            ApiError: The batch is more than the quota has left; nothing is counted.
        """
        caller: Caller = scope["caller"]
        if caller.allowance is None:
            return
        left_count = self._usage.charge(caller.name, caller.allowance, customers_count - 1)
        if left_count is None:
            _note_charge(scope, customers_count - 1)
            return
        refusal = ApiError(
            429,
            "quota_exhausted",
            f"this request asks about {customers_count} customers, and {left_count + 1} are left of today's quota "
            f"of {caller.allowance.quota_per_day}; it is renewed at midnight UTC",
            retry_after_seconds=_seconds_to_midnight(),
        )
        self._denied_call(scope, scope["request_id"], _address(scope), refusal, "quota_exhausted", caller.name)
        raise refusal

    def _decide_without_key(
        self, scope: Scope, request_id: str, address: str, presented: str, refused: RefusedKey
    ) -> Decision:
        wait_seconds = self._clients.wait_seconds(address)
        if wait_seconds:
            refusal = ApiError(
                429,
                "rate_limited",
                f"too many requests without a valid API key; try again after {wait_seconds} second(s)",
                retry_after_seconds=wait_seconds,
            )
            return self._denied_call(scope, request_id, address, refusal, "client_rate", refused.name)
        if scope["path"] in self._public_pages:
            return Decision(None, None)
        fingerprint = self._denied.fingerprint(presented) if refused.reason == "unknown_key" else None
        refusal = ApiError(401, "unauthorized", refused.detail)
        return self._denied_call(scope, request_id, address, refusal, refused.reason, refused.name, fingerprint)

    def _decide_with_key(self, scope: Scope, request_id: str, address: str, caller: Caller) -> Decision:
        if caller.allowance is not None:
            admission = self._usage.admit(caller.name, caller.allowance)
            scope["limits"] = caller.allowance, admission
            if admission.refusal is not None:
                refusal = _too_many(caller.allowance, admission)
                return self._denied_call(scope, request_id, address, refusal, admission.refusal, caller.name)
        needed = () if scope["path"] in self._public_pages else _needed_scopes(scope["path"])
        if needed and not any(caller.may(one) for one in needed):
            refusal = ApiError(
                403,
                "forbidden",
                f"this needs a key with the scope {' or '.join(needed)}; the key of {caller.name} has "
                f"{', '.join(sorted(caller.scopes))}",
                allowed=needed,
            )
            reason = f"scope_{needed[0]}" if len(needed) == 1 else "scope_of_a_use_case"
            return self._denied_call(scope, request_id, address, refusal, reason, caller.name)
        return Decision(None, caller)

    def _denied_call(
        self,
        scope: Scope,
        request_id: str,
        address: str,
        refusal: ApiError,
        reason: str,
        caller_name: str | None = None,
        fingerprint: str | None = None,
    ) -> Decision:
        self._denied.record(
            DeniedCall(
                denied_at=datetime.now(UTC),
                request_id=request_id,
                method=scope["method"],
                route=_route_template(scope),
                reason=reason,
                caller=caller_name,
                key_fingerprint=fingerprint,
                client_network=logged_network(address),
            )
        )
        return Decision(refusal, None)


def _bearer(authorization: bytes) -> bytes:
    scheme, _, credentials = authorization.partition(b" ")
    return credentials.strip() if scheme.lower() == b"bearer" else b""


def _address(scope: Scope) -> str:
    client = scope["client"]
    return client[0] if client else ""


def _needed_scopes(path: str) -> tuple[ApiScope, ...]:
    """Return the scopes of which a key must have one; none where any key will do."""
    if path == METRICS_PAGE:
        return ("admin",)
    if path.startswith(API_PREFIX):
        subject = path[len(API_PREFIX) :].partition("/")[0]
        if subject in USE_CASES:
            return (cast(ApiScope, subject),)
        if subject == CUSTOMERS:
            return cast(tuple[ApiScope, ...], tuple(USE_CASES))
    return ()


def _route_template(scope: Scope) -> str:
    """Return the route as it was declared: what a caller typed may hold an id."""
    routes: list[BaseRoute] = scope["app"].routes
    for route in routes:
        if route.matches(scope)[0] is not Match.NONE:
            template = str(getattr(route, "path", UNKNOWN_ROUTE))
            return UNKNOWN_ROUTE if template.startswith("/{") else template
    return UNKNOWN_ROUTE


def _too_many(allowance: Allowance, admission: Admission) -> ApiError:
    if admission.refusal == "quota_exhausted":
        detail = f"today's quota of {allowance.quota_per_day} customers is used up; it is renewed at midnight UTC"
    else:
        detail = (
            f"this key may send {allowance.requests_per_second:g} requests a second and {allowance.burst_count} at "
            f"once; try again after {admission.retry_after_seconds} second(s)"
        )
    return ApiError(429, admission.refusal or "rate_limited", detail, retry_after_seconds=admission.retry_after_seconds)


def limit_headers(scope: Scope) -> tuple[Header, ...]:
    """Return ``RateLimit`` and ``RateLimit-Policy`` of draft-ietf-httpapi-ratelimit-headers-10, as charged so far."""
    if "limits" not in scope:
        return ()
    allowance, admission = cast(tuple[Allowance, Admission], scope["limits"])
    state = f'"rate";r={admission.burst_left_count};t={admission.burst_full_seconds}'
    if admission.quota_left_count is not None:
        state += f', "day";r={admission.quota_left_count};t={admission.quota_renewed_seconds}'
    return (_policy_header(allowance), (b"ratelimit", state.encode()))


def _note_charge(scope: Scope, customers_count: int) -> None:
    allowance, admission = cast(tuple[Allowance, Admission], scope["limits"])
    if admission.quota_left_count is not None:
        left_count = max(admission.quota_left_count - customers_count, 0)
        scope["limits"] = allowance, admission._replace(quota_left_count=left_count)


@lru_cache(maxsize=1_000)
def _policy_header(allowance: Allowance) -> Header:
    window_seconds = math.ceil(allowance.burst_count / allowance.requests_per_second)
    policy = f'"rate";q={allowance.burst_count};w={window_seconds}'
    if allowance.quota_per_day is not None:
        policy += f', "day";q={allowance.quota_per_day};w={SECONDS_PER_DAY}'
    return b"ratelimit-policy", policy.encode()


def _seconds_to_midnight() -> int:
    now = datetime.now(UTC)
    return SECONDS_PER_DAY - (now.hour * 3_600 + now.minute * 60 + now.second)
