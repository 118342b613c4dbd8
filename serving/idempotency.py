"""Answers that are kept under the caller's ``Idempotency-Key``, so that a request sent again is not decided again.

Follows draft-ietf-httpapi-idempotency-key-header: the same key with the same body is answered with the first answer,
with another body it is refused, and while the first request is in work it is a conflict. The store is one SQLite file
under the state folder, so every worker process sees the same keys.

No personal data: keys and bodies are kept as HMACs, and answers without the customers' ids, which the repeated body
holds anyway.
"""

import hashlib
import hmac
import sqlite3
import threading
import time
import uuid
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from serving.errors import ApiError

ANSWERS_FILE = Path("idempotency") / "answers.sqlite"
"""Where the answers are below the state folder."""

LEASE_SECONDS = 60.0
"""A request that has not finished after this time has died with its process; BentoML ends it by then."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS answers (
    digest BLOB PRIMARY KEY,
    fingerprint BLOB NOT NULL,
    claim BLOB NOT NULL,
    claimed_until REAL NOT NULL,
    expires_at REAL NOT NULL,
    answer BLOB,
    answer_bytes INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS answers_by_expiry ON answers (expires_at);
"""


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to answer a request; `IdempotencyStore.finish` or `IdempotencyStore.withdraw` ends it."""

    digest: bytes
    token: bytes


def idempotency_key(header: str) -> str:
    """Return the key of a header's value, with or without the quotes of a structured field.

    Raises:
        ApiError: It is empty, longer than 255 characters or not printable ASCII.
    """
    key = header[1:-1] if len(header) > 1 and header[0] == header[-1] == '"' else header
    if not (1 <= len(key) <= 255 and key.isascii() and key.isprintable()):
        raise ApiError(
            400,
            "invalid_header",
            "an Idempotency-Key has 1 to 255 printable ASCII characters, such as a UUID",
            field="Idempotency-Key",
        )
    return key


def forget_answers(home: Path) -> int:
    """Forget every kept answer, because one may be about a customer who is erased, and return how many there were.

    Which answers those are nobody can say: they name no customer. Servers that run go on with an empty store.

    Args:
        home: The state folder.
    """
    path = home / ANSWERS_FILE
    if not path.is_file():
        return 0
    connection = sqlite3.connect(path, isolation_level=None, timeout=30)
    try:
        forgotten = connection.execute("DELETE FROM answers").rowcount
        # Deleted rows stay readable in free pages and in the log of changes until both are written anew.
        connection.execute("VACUUM")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        connection.close()
    return int(forgotten)


class IdempotencyStore:
    """Claims and answers by key, for any number of threads and processes.

    Args:
        path: SQLite file; made with its folder when the first key arrives.
        secret: Key of the HMACs.
        keep_seconds: How long an answer is kept.
        capacity_bytes: Most bytes of compressed answers; beyond it the oldest go first.
        clock: Seconds since the epoch.
    """

    def __init__(
        self,
        path: Path,
        *,
        secret: bytes,
        keep_seconds: float,
        capacity_bytes: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._path = path
        self._secret = secret
        self._keep_seconds = keep_seconds
        self._capacity_bytes = capacity_bytes
        self._clock = clock
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None

    def claim(self, caller: str, key: str, request: bytes) -> Claim | bytes:
        """Return the right to answer a request, or the answer that it was given before.

        Args:
            caller: Whose key it is; two callers may use the same one.
            key: Key as `idempotency_key` returns it.
            request: Everything that decides the answer: path, pinned release and body.

        Raises:
            ApiError: The key belongs to another request, or this one is in work.
        """
        digest = self._hmac(b"key", caller.encode(), key.encode())
        fingerprint = self._hmac(b"request", request)
        now = self._clock()
        claim = Claim(digest, uuid.uuid4().bytes)
        with self._transaction() as connection:
            connection.execute("DELETE FROM answers WHERE expires_at <= ?", (now,))
            found = connection.execute(
                "SELECT fingerprint, answer, claimed_until FROM answers WHERE digest = ?", (digest,)
            ).fetchone()
            if found is not None:
                known, answer, claimed_until = found
                if not hmac.compare_digest(known, fingerprint):
                    raise ApiError(
                        422,
                        "idempotency_key_reused",
                        "this Idempotency-Key came with another body before; make a new key for a new request",
                        field="Idempotency-Key",
                    )
                if answer is not None:
                    return zlib.decompress(answer)
                if claimed_until > now:
                    raise ApiError(
                        409,
                        "idempotency_key_in_use",
                        "the first request with this Idempotency-Key is still in work; send it again in a second",
                        field="Idempotency-Key",
                        retry_after_seconds=1,
                    )
            connection.execute(
                "INSERT OR REPLACE INTO answers (digest, fingerprint, claim, claimed_until, expires_at) "
                "VALUES (?, ?, ?, ?, ?)",
                (digest, fingerprint, claim.token, now + LEASE_SECONDS, now + self._keep_seconds),
            )
        return claim

    def finish(self, claim: Claim, answer: bytes) -> None:
        """Keep the answer of a claimed request."""
        stored = zlib.compress(answer, 1)
        with self._transaction() as connection:
            connection.execute(
                "UPDATE answers SET answer = ?, answer_bytes = ? WHERE digest = ? AND claim = ?",
                (stored, len(stored), claim.digest, claim.token),
            )
            (total,) = connection.execute("SELECT coalesce(sum(answer_bytes), 0) FROM answers").fetchone()
            oldest = connection.execute(
                "SELECT digest, answer_bytes FROM answers WHERE answer IS NOT NULL ORDER BY expires_at"
            )
            gone: list[tuple[bytes]] = []
            while total > self._capacity_bytes:
                digest, size = oldest.fetchone()
                gone.append((digest,))
                total -= size
            connection.executemany("DELETE FROM answers WHERE digest = ?", gone)

    def withdraw(self, claim: Claim) -> None:
        """Give a claim back: the request failed and may be sent again."""
        with self._transaction() as connection:
            connection.execute(
                "DELETE FROM answers WHERE digest = ? AND claim = ? AND answer IS NULL", (claim.digest, claim.token)
            )

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _hmac(self, *parts: bytes) -> bytes:
        # Lengths in front, so that no two lists of parts read the same.
        message = b"".join(len(part).to_bytes(8, "big") + part for part in parts)
        return hmac.new(self._secret, message, hashlib.sha256).digest()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        try:
            with self._lock:
                connection = self._open()
                connection.execute("BEGIN IMMEDIATE")
                try:
                    yield connection
                except BaseException:
                    connection.execute("ROLLBACK")
                    raise
                connection.execute("COMMIT")
        except (sqlite3.Error, OSError) as error:
            raise ApiError(
                503,
                "store_unavailable",
                "answers cannot be kept under an Idempotency-Key at the moment; send the request again later",
                field="Idempotency-Key",
                retry_after_seconds=5,
            ) from error

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False, timeout=5)
            connection.execute("PRAGMA journal_mode = WAL")
            # A power cut may cost the last answers, which are then decided again; it never damages the file.
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.executescript(_SCHEMA)
            self._connection = connection
        return self._connection
