"""Keeps the raw rows behind some answers, so that their features can be made again: few, small and without names.

The ids of meters, bills, payments, contacts and inspections are replaced by numbers in the same order; the customer's
id is left out. What is kept stands in the prediction log beside the answer, and lives and dies with it.
"""

import threading
import time
from collections.abc import Callable
from typing import Any

import orjson
import pyarrow as pa

from serving.raw_schemas import RawCustomer

_CODEC = "zstd"
_LARGEST_BYTES = 500_000
_SECONDS_PER_HOUR = 3600

_IDS = {
    "meter_id": ("meters", "meter_readings"),
    "bill_id": ("bills", "payments"),
    "payment_id": ("payments",),
    "contact_id": ("service_contacts",),
    "inspection_id": ("inspections",),
}


def packed(raw: RawCustomer) -> bytes:
    """Return raw rows as they stand in the log."""
    document = raw.model_dump(mode="json", exclude={"customer": {"customer_id"}})
    for column, entities in _IDS.items():
        rows = [row for entity in entities for row in document[entity] or ()]
        # In the order of the ids, since rows of one day are taken in that order.
        numbers = {name: f"{number:06d}" for number, name in enumerate(sorted({row[column] for row in rows}))}
        for row in rows:
            row[column] = numbers[row[column]]
    content = orjson.dumps(_without_nulls(document))
    # Its length comes first: the codec needs it.
    return len(content).to_bytes(4, "big") + bytes(pa.compress(content, codec=_CODEC, asbytes=True))


def unpacked(content: bytes) -> RawCustomer:
    """Return the raw rows that `packed` packed."""
    length = int.from_bytes(content[:4], "big")
    return RawCustomer.model_validate_json(pa.decompress(content[4:], length, codec=_CODEC, asbytes=True))


class RawKeeper:
    """Says which raw rows are kept, so that the log stays small however many come.

    Args:
        per_hour: Requests an hour whose rows are kept; 0 keeps none.
        clock: Monotonic seconds.
    """

    def __init__(self, per_hour: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_hour = per_hour
        self._clock = clock
        self._hour_began_at = clock()
        self._kept_count = 0
        self._lock = threading.Lock()

    def keep(self, raw: RawCustomer) -> bytes | None:
        """Return the rows as they are logged, or None when enough of this hour are kept or they are too many."""
        with self._lock:
            now = self._clock()
            if now - self._hour_began_at >= _SECONDS_PER_HOUR:
                self._hour_began_at, self._kept_count = now, 0
            if self._kept_count >= self._per_hour:
                return None
            self._kept_count += 1
        content = packed(raw)
        return content if len(content) <= _LARGEST_BYTES else None


def _without_nulls(value: Any) -> Any:
    """Return a document without members that were left out; an empty list stays, because it says something."""
    if isinstance(value, dict):
        return {name: _without_nulls(member) for name, member in value.items() if member is not None}
    if isinstance(value, list):
        return [_without_nulls(member) for member in value]
    return value
