"""Features read from Redis, where several servers share one copy in memory.

The snapshot file stays the truth: whatever Redis does not answer, the file does, and it is counted. A snapshot is
loaded under a prefix of its own and becomes visible by one pointer that names the prefix, so nobody ever reads half of
it. Its name is the digest of the file, so that features and model of an answer are of one release. Everything expires
by itself when no server that serves it renews it any more.
"""

import logging
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import orjson
import pyarrow as pa

from serving import metrics
from serving.feature_store import FeatureRow, FeatureStore, SnapshotFile, feature_row, joined_table
from serving.settings import ServingConfigurationError

if TYPE_CHECKING:
    import redis

logger = logging.getLogger(__name__)

KEY_PREFIX = "kilowise:features"
LIFE_SECONDS = 900
"""How long features stay in Redis after the last server that serves them is gone."""

RENEW_SECONDS = 60.0
RETRY_SECONDS = 5.0
"""How long Redis is left alone after it failed to answer; meanwhile the file answers."""

_ANSWER_SECONDS = 0.5
_CUSTOMERS_PER_COMMAND = 200


def redis_opener(url: str) -> Callable[[Path, str], FeatureStore]:
    """Return a function that opens the features of a snapshot file with a given digest in Redis.

    Args:
        url: Address of the server, such as ``redis://127.0.0.1:6379/0``.

    Raises:
        ServingConfigurationError: The Redis client is not installed, or the address is not one.
    """
    try:
        import redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry
    except ModuleNotFoundError as error:
        raise ServingConfigurationError(
            "KILOWISE_FEATURE_STORE names a Redis server, which needs the package redis: install it in the version of "
            "requirements.lock"
        ) from error
    try:
        client = redis.Redis.from_url(
            url, socket_timeout=_ANSWER_SECONDS, socket_connect_timeout=_ANSWER_SECONDS, retry=Retry(NoBackoff(), 0)
        )
    except ValueError as error:
        raise ServingConfigurationError(
            f"KILOWISE_FEATURE_STORE is not the address of a Redis server: {error}"
        ) from None
    return lambda path, digest: RedisFeatures(client, SnapshotFile(path), digest)


class RedisFeatures(FeatureStore):
    """The features of one release in Redis, with its snapshot file behind them.

    Args:
        client: Connection to Redis, for any number of threads.
        snapshot: The file; it is loaded into Redis unless another server has done so.
        digest: SHA-256 of the file.
    """

    is_local = False

    def __init__(self, client: "redis.Redis", snapshot: SnapshotFile, digest: str) -> None:
        self.columns = snapshot.columns
        self.customers_count = snapshot.customers_count
        self._client = client
        self._snapshot = snapshot
        self._pointer = f"{KEY_PREFIX}:{digest}"
        self._parts = ["features", *(f"table:{name}" for name in snapshot.table_names())]
        self._prefix: str | None = None
        self._renew_at = 0.0
        self._asleep_until = 0.0
        self.renew()

    def get_many(self, customer_keys: Sequence[str]) -> dict[str, FeatureRow]:
        """Return what is known about the given customers; unknown ones are absent from the answer."""
        found = self._read("features", customer_keys)
        rows = {key: feature_row(*orjson.loads(record)) for key, record in found.items()}
        # Redis may have lost what was loaded, so only the file can say that a customer is unknown.
        missing = [key for key in customer_keys if key not in rows]
        return {**rows, **self._snapshot.get_many(missing)} if missing else rows

    def table(self, name: str, customer_keys: Sequence[str]) -> pa.Table | None:
        """Return the rows of a customer table for the given customers, or None when there are none."""
        found = self._read(f"table:{name}", customer_keys)
        missing = [key for key in customer_keys if key not in found]
        parts = [joined_table(list(found.values())), self._snapshot.table(name, missing) if missing else None]
        known = [part for part in parts if part is not None]
        return pa.concat_tables(known) if known else None

    def sample_keys(self, count: int) -> list[str]:
        """Return up to ``count`` customer keys, always the same ones."""
        return self._snapshot.sample_keys(count)

    def renew(self) -> None:
        """Prolong the life of the features in Redis, or load them when they are not there."""
        import redis

        if time.monotonic() < self._renew_at:
            return
        self._renew_at = time.monotonic() + RENEW_SECONDS
        try:
            pointed = self._client.get(self._pointer)
            prefix = pointed.decode() if isinstance(pointed, bytes) else None
            self._prefix = prefix if prefix is not None and self._prolong(prefix) else self._load()
        except redis.RedisError as error:
            self._fall_asleep(error)

    def _read(self, part: str, customer_keys: Sequence[str]) -> dict[str, bytes]:
        """Return what Redis holds of the given customers; nothing when it does not answer."""
        import redis

        if not customer_keys:
            return {}
        if self._prefix is None or time.monotonic() < self._asleep_until:
            metrics.FEATURE_FALLBACKS.inc()
            return {}
        try:
            values = self._client.hmget(f"{self._prefix}:{part}", list(customer_keys))
        except redis.RedisError as error:
            self._fall_asleep(error)
            metrics.FEATURE_FALLBACKS.inc()
            return {}
        # The client is told to decode nothing.
        return {key: value for key, value in zip(customer_keys, values, strict=True) if isinstance(value, bytes)}

    def _prolong(self, prefix: str) -> bool:
        """Return whether everything under a prefix was there to be given another life."""
        with self._client.pipeline() as commands:
            for part in self._parts:
                commands.expire(f"{prefix}:{part}", LIFE_SECONDS)
            commands.expire(self._pointer, LIFE_SECONDS)
            return all(commands.execute())

    def _load(self) -> str:
        """Write the snapshot under a new prefix, then point to it; return the prefix."""
        prefix = f"{self._pointer}:{uuid.uuid4().hex}"
        self._write((f"{prefix}:features", key, _packed(*record)) for key, record in self._snapshot.records())
        self._write((f"{prefix}:table:{name}", key, rows) for name, key, rows in self._snapshot.table_records())
        self._client.set(self._pointer, prefix, ex=LIFE_SECONDS)
        logger.info("%d customers were loaded into Redis under %s", self.customers_count, prefix)
        return prefix

    def _write(self, entries: Iterable[tuple[str, str, bytes]]) -> None:
        remaining = iter(entries)
        while block := list(islice(remaining, _CUSTOMERS_PER_COMMAND)):
            with self._client.pipeline() as commands:
                for name, key, value in block:
                    commands.hset(name, key, value)
                # With every block, so that a load which is cut short leaves nothing for ever.
                for name in {name for name, _, _ in block}:
                    commands.expire(name, LIFE_SECONDS)
                commands.execute()

    def _fall_asleep(self, error: Exception) -> None:
        logger.warning("Redis does not answer (%s); the snapshot file does", type(error).__name__)
        self._asleep_until = time.monotonic() + RETRY_SECONDS
        # Soon, but not with every look of the board.
        self._renew_at = self._asleep_until


def _packed(as_of_month: str | None, district: str | None, row: bytes, context: bytes | None) -> bytes:
    return orjson.dumps([as_of_month, district, row.decode(), None if context is None else context.decode()])
