"""API keys: who may call, with which scopes, how much, and until when.

A key is 256 random bits; the key file holds only its SHA-256, so that nobody can call with what a copy of the file
says. (A slow hash guards words that people choose; random bits need none.) Every worker process rereads the file
when it changes. A file that cannot be used leaves the last good one in force: a typing error must neither open the
API nor shut everybody out.
"""

import fcntl
import hashlib
import hmac
import json
import logging
import secrets
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal, get_args

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

from ml.append_only import replace_private
from ml.errors import KilowiseError
from serving import metrics
from serving.background import BackgroundWork

logger = logging.getLogger(__name__)

ApiScope = Literal["segmentation", "tariff_matching", "credit_risk", "admin"]
SCOPES: tuple[ApiScope, ...] = get_args(ApiScope)

KEY_PREFIX = "kilowise_"
"""Lets a secret scanner, and a person, recognise a key that leaked."""

POLL_SECONDS = 1.0
KEY_ID_LENGTH = 8
# Writable by others, or readable by everybody; a group may read, as a mounted secret of Kubernetes is.
_FORBIDDEN_MODE = 0o027


class ApiKeyError(KilowiseError):
    """The key file, or what was asked of it, cannot be used; the message says what to change."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """How much a caller may ask.

    Attributes:
        requests_per_second: Rate that may last.
        burst_count: Requests that may come at once after a pause.
        quota_per_day: Customers asked about in a day of UTC; None for no limit. A request counts as one at least.
    """

    requests_per_second: float
    burst_count: int
    quota_per_day: int | None


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls.

    Attributes:
        name: Name in the key file; limits and quota are counted by it, whichever of its keys is used.
        key_id: First characters of the key's digest.
        scopes: What the key may ask.
        allowance: How much, or None without limits.
    """

    name: str
    key_id: str
    scopes: frozenset[ApiScope]
    allowance: Allowance | None

    def may(self, scope: ApiScope) -> bool:
        """Return whether the key has a scope."""
        return scope in self.scopes


DEVELOPER = Caller("development", "", frozenset(SCOPES), None)
"""Whoever calls from this machine while there is no key file, which only development allows."""


@dataclass(frozen=True, slots=True)
class RefusedKey:
    """Why a key does not open the API.

    Attributes:
        reason: Word for the audit.
        detail: What to do, for the caller.
        name: Whose key it is, where it is known.
    """

    reason: Literal["missing_key", "unknown_key", "expired_key", "revoked_key"]
    detail: str
    name: str | None = None


class ApiKey(BaseModel):
    """One key as the key file holds it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_.-]{0,62}$", description="Caller; several keys may have one name")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="SHA-256 of the key, in hex")
    scopes: tuple[ApiScope, ...] = Field(min_length=1)
    requests_per_second: float = Field(default=50.0, gt=0, le=1e6)
    burst_count: int = Field(default=100, ge=1, le=1_000_000)
    quota_per_day: int | None = Field(default=200_000, ge=1, le=10**12, description="Customers per day of UTC")
    created_at: AwareDatetime
    expires_at: AwareDatetime | None = None
    revoked_at: AwareDatetime | None = None

    @property
    def key_id(self) -> str:
        """Short name of the key for people; it opens nothing."""
        return self.sha256[:KEY_ID_LENGTH]

    def state(self, now: datetime) -> Literal["active", "expired", "revoked"]:
        """Return whether the key opens the API at a time."""
        # Also when the clock went back behind the revocation.
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= now else "active"


class _KeyFile(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    version: Literal[1] = 1
    keys: tuple[ApiKey, ...] = Field(max_length=1_000)

    @model_validator(mode="after")
    def _one_entry_per_key(self) -> "_KeyFile":
        digests = [key.sha256 for key in self.keys]
        if len(set(digests)) < len(digests):
            raise ValueError("two entries have the same sha256; give every caller a key of its own")
        return self


def read_keys(path: Path) -> tuple[ApiKey, ...]:
    """Return the keys of a key file.

    Raises:
        ApiKeyError: There is no such file, it does not fit its schema, or too many people may read or write it.
    """
    try:
        mode = path.stat().st_mode & 0o777
        if mode & _FORBIDDEN_MODE:
            raise ApiKeyError(f"the key file {path} has mode {mode:o}; run `chmod 600 {path}`")
        return _KeyFile.model_validate_json(path.read_bytes()).keys
    except FileNotFoundError:
        raise ApiKeyError(
            f"there is no key file {path}; make one by `python -m serving keys add NAME --scope SCOPE`"
        ) from None
    except OSError as error:
        raise ApiKeyError(f"the key file {path} cannot be read ({error.strerror})") from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise ApiKeyError(f"the key file {path} cannot be used: {place}: {first['msg']}") from None


def add_key(
    path: Path,
    name: str,
    scopes: Collection[ApiScope],
    *,
    now: datetime,
    allowance: Allowance,
    expires_at: datetime | None = None,
) -> str:
    """Give a caller a key and return it; nobody can read it again later.

    Raises:
        ApiKeyError: The name or a limit is not allowed, or the caller has a key already.
    """
    with _edited(path) as keys:
        if any(key.name == name and key.state(now) == "active" for key in keys):
            raise ApiKeyError(f"{name} has a key already; `python -m serving keys rotate {name}` gives it a new one")
        secret = _new_secret()
        try:
            keys.append(
                ApiKey(
                    name=name,
                    sha256=digest_of(secret).hex(),
                    scopes=tuple(scope for scope in SCOPES if scope in scopes),
                    requests_per_second=allowance.requests_per_second,
                    burst_count=allowance.burst_count,
                    quota_per_day=allowance.quota_per_day,
                    created_at=now,
                    expires_at=expires_at,
                )
            )
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            raise ApiKeyError(f"{first['loc'][0]}: {first['msg']}") from None
    return secret


def rotate_key(path: Path, name: str, *, now: datetime, overlap: timedelta) -> str:
    """Give a caller a new key like the active one and let the old one expire after an overlap; return the new key.

    Raises:
        ApiKeyError: The caller has no active key.
    """
    with _edited(path) as keys:
        active = [key for key in keys if key.name == name and key.state(now) == "active"]
        if not active:
            raise ApiKeyError(f"{name} has no active key to rotate; `python -m serving keys list` shows who has")
        secret = _new_secret()
        newest = max(active, key=lambda key: key.created_at)
        lifetime = None if newest.expires_at is None else newest.expires_at - newest.created_at
        successor = newest.model_copy(
            update={
                "sha256": digest_of(secret).hex(),
                "created_at": now,
                "expires_at": None if lifetime is None else now + lifetime,
            }
        )
        end = now + overlap
        keys[:] = [
            key.model_copy(update={"expires_at": min(key.expires_at or end, end)}) if key in active else key
            for key in keys
        ]
        keys.append(successor)
    return secret


def revoke_keys(path: Path, name_or_key_id: str, *, now: datetime) -> int:
    """Shut out a caller, or one of its keys, at once; return how many keys were active.

    Raises:
        ApiKeyError: No active key has this name or key id.
    """
    with _edited(path) as keys:
        chosen = [key for key in keys if name_or_key_id in (key.name, key.key_id) and key.state(now) == "active"]
        if not chosen:
            raise ApiKeyError(
                f"no active key has the name or key id {name_or_key_id}; see `python -m serving keys list`"
            )
        keys[:] = [key.model_copy(update={"revoked_at": now}) if key in chosen else key for key in keys]
    return len(chosen)


def digest_of(key: str) -> bytes:
    """Return the SHA-256 of a key as callers send it."""
    return hashlib.sha256(key.encode()).digest()


class KeyRing:
    """The keys that are in force, followed in the background.

    Args:
        path: Key file.
        may_be_open: Whether everybody may call as long as there never was a key file.
        clock: Returns the present time.

    Raises:
        ApiKeyError: The key file cannot be used, or holds no active key, and the API may not be open.
    """

    def __init__(
        self, path: Path, *, may_be_open: bool, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._path = path
        self._clock = clock
        self._seen: object = _signature(path)
        self._following = BackgroundWork("api-keys", self.refresh, every_seconds=POLL_SECONDS)
        self._known: list[tuple[bytes, ApiKey, Caller]] = []
        self.is_open = may_be_open and not path.exists()
        if self.is_open:
            # Nothing is wrong: no file is needed.
            metrics.API_KEY_FILE_USABLE.set(1)
            return
        self._put_in_force(read_keys(path))
        if not may_be_open and not any(key.state(clock()) == "active" for _, key, _ in self._known):
            raise ApiKeyError(f"no key in {path} is active; `python -m serving keys add NAME --scope SCOPE` makes one")

    def start(self) -> None:
        """Follow the file in the background."""
        self._following.start()

    def stop(self) -> None:
        """Stop following the file."""
        self._following.stop()

    def refresh(self) -> None:
        """Take up the file if it changed; keep the keys in force if it cannot be used, and say so once."""
        signature = _signature(self._path)
        if signature == self._seen:
            return
        self._seen = signature
        try:
            self._put_in_force(read_keys(self._path))
        except ApiKeyError as error:
            metrics.API_KEY_FILE_USABLE.set(0)
            logger.error("%s; the keys read before stay in force", error)
            return
        self.is_open = False
        logger.info("%d API keys are in force", len(self._known))

    def identify(self, presented: str | None) -> Caller | RefusedKey:
        """Return whose key this is, or why it does not open the API."""
        if not presented:
            return RefusedKey(
                "missing_key", "send an API key in the header `X-API-Key` or as `Authorization: Bearer <key>`"
            )
        digest = digest_of(presented)
        found: tuple[bytes, ApiKey, Caller] | None = None
        for known in self._known:
            # Every digest is compared, so that the time says nothing about which one nearly matched.
            if hmac.compare_digest(digest, known[0]):
                found = known
        if found is None:
            return RefusedKey("unknown_key", "this API key is not known; check it, or ask the operator for one")
        _, key, caller = found
        if key.expires_at is None and key.revoked_at is None:
            return caller
        state = key.state(self._clock())
        if state == "active":
            return caller
        if state == "expired":
            return RefusedKey("expired_key", "this API key has expired; ask the operator for the new one", key.name)
        return RefusedKey("revoked_key", "this API key was revoked; ask the operator for a new one", key.name)

    def _put_in_force(self, keys: Sequence[ApiKey]) -> None:
        self._known = [(bytes.fromhex(key.sha256), key, _caller(key)) for key in keys]
        metrics.API_KEY_FILE_USABLE.set(1)


def _caller(key: ApiKey) -> Caller:
    return Caller(
        key.name,
        key.key_id,
        frozenset(key.scopes),
        Allowance(key.requests_per_second, key.burst_count, key.quota_per_day),
    )


def _new_secret() -> str:
    return KEY_PREFIX + secrets.token_urlsafe(32)


def _signature(path: Path) -> object:
    try:
        status = path.stat()
    except OSError as error:
        return error.errno
    return status.st_ino, status.st_mtime_ns, status.st_size, status.st_mode


@contextmanager
def _edited(path: Path) -> Iterator[list[ApiKey]]:
    """Yield the keys of a file for changing and put them back by one rename; one editor at a time."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with path.with_name(f".{path.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        keys = list(read_keys(path)) if path.exists() else []
        yield keys
        content = _KeyFile(keys=tuple(keys)).model_dump(mode="json")
        replace_private(path, json.dumps(content, indent=2).encode() + b"\n")
