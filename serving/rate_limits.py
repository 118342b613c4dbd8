"""How much a caller may ask: a rate with bursts, and a quota per day.

The rate is a token bucket in its equivalent form GCRA (generic cell rate algorithm, ITU-T I.371): all that is kept is
the time at which the bucket will be full again. Rates and quotas of keys live in a small file that all worker
processes map into memory, so that they hold for the server as a whole and survive its restart; each request locks the
64 bytes of its caller for a few microseconds. Clients without a key are counted by network, per process.
"""

import fcntl
import hashlib
import ipaddress
import logging
import math
import mmap
import os
import struct
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Literal, NamedTuple

from serving.api_keys import Allowance

logger = logging.getLogger(__name__)

SECONDS_PER_DAY = 86_400
CALLERS_CAPACITY = 2_048
CLIENTS_CAPACITY = 20_000

# Caller (truncated SHA-256 of its name), time at which its bucket is full again (monotonic), day since 1970, count.
_RECORD = struct.Struct("<16sdqQ")
_RECORD_BYTES = 64
_NOBODY = bytes(16)


class Admission(NamedTuple):
    """What became of one request.

    Attributes:
        refusal: Which limit refused it, or None.
        retry_after_seconds: Seconds after which the same request is admitted; 0 when it was admitted.
        burst_left_count: Requests that could follow at once.
        burst_full_seconds: Seconds until the whole burst is there again.
        quota_left_count: What is left of the day's quota, or None without one.
        quota_renewed_seconds: Seconds until the next day.
    """

    refusal: Literal["rate_limited", "quota_exhausted"] | None
    retry_after_seconds: int
    burst_left_count: int
    burst_full_seconds: int
    quota_left_count: int | None
    quota_renewed_seconds: int


def spend(full_at: float, now: float, *, requests_per_second: float, burst_count: int) -> tuple[float, float]:
    """Take one token from a bucket.

    Args:
        full_at: Time at which the bucket is full again.
        now: Present time.
        requests_per_second: Tokens that flow in.
        burst_count: Tokens that the bucket holds.

    Returns:
        When the bucket is full again, and 0; or, when it is empty, the old time and the seconds until it has a token.
    """
    interval = 1 / requests_per_second
    longest = burst_count * interval
    if not now <= full_at <= now + longest:
        # A bucket is never emptier than empty: such a time is from another boot, a broken file or another rate.
        full_at = now if full_at < now else now + longest
    after = full_at + interval
    # A billionth of a second of rounding must not cost a request.
    wait = after - now - longest
    return (after, 0.0) if wait <= 1e-9 else (full_at, wait)


class SharedUsage:
    """Rates and quotas of callers with a key, shared by the processes of one server.

    Args:
        path: File that holds them; made if it is not there.
        monotonic: Returns seconds that never go back while the machine runs.
        wall_clock: Returns seconds since 1970.
    """

    def __init__(
        self,
        path: Path,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._monotonic = monotonic
        self._wall_clock = wall_clock
        self._offset_by_name: dict[str, int] = {}
        # Locks of a file do not keep the threads of one process apart.
        self._thread_lock = threading.Lock()
        self._descriptor, self._table = _open_table(path)

    def close(self) -> None:
        """Let go of the file."""
        self._table.close()
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def admit(self, name: str, allowance: Allowance) -> Admission:
        """Count one request of a caller, or say which limit it exceeds; a refused request costs nothing."""
        with self._thread_lock:
            return self._admit(name, allowance)

    def _admit(self, name: str, allowance: Allowance) -> Admission:
        offset = self._offset_by_name.get(name)
        if offset is None:
            offset = self._offset_by_name[name] = self._find_or_take(name)
        now, wall = self._monotonic(), self._wall_clock()
        self._lock(offset)
        owner, full_at, day, count = _RECORD.unpack_from(self._table, offset)
        day, count = _counted_on(day, count, int(wall // SECONDS_PER_DAY))
        quota = allowance.quota_per_day
        after, wait = spend(
            full_at, now, requests_per_second=allowance.requests_per_second, burst_count=allowance.burst_count
        )
        is_exhausted = quota is not None and count >= quota
        if not is_exhausted:
            count += 0 if wait else 1
            # Also when it is refused: a time that could not be is then replaced by one that passes.
            _RECORD.pack_into(self._table, offset, owner, after, day, count)
        self._unlock(offset)
        renewed_seconds = SECONDS_PER_DAY - int(wall % SECONDS_PER_DAY)
        until_full = max(after - now, 0.0)
        missing_count = math.ceil(until_full * allowance.requests_per_second - 1e-6)
        return Admission(
            refusal="quota_exhausted" if is_exhausted else "rate_limited" if wait else None,
            retry_after_seconds=renewed_seconds if is_exhausted else math.ceil(wait),
            burst_left_count=max(allowance.burst_count - missing_count, 0),
            burst_full_seconds=math.ceil(until_full),
            quota_left_count=None if quota is None else max(quota - count, 0),
            quota_renewed_seconds=renewed_seconds,
        )

    def charge(self, name: str, allowance: Allowance, count: int) -> int | None:
        """Count further customers of an admitted request against the day's quota.

        Returns:
            None when they are within the quota; else what is left of it, and nothing is counted.
        """
        quota = allowance.quota_per_day
        offset = self._offset_by_name.get(name)
        if quota is None or offset is None or count <= 0:
            return None
        with self._thread_lock:
            self._lock(offset)
            owner, full_at, day, counted = _RECORD.unpack_from(self._table, offset)
            is_within = counted + count <= quota
            if is_within:
                _RECORD.pack_into(self._table, offset, owner, full_at, day, counted + count)
            self._unlock(offset)
        return None if is_within else max(quota - counted, 0)

    def _find_or_take(self, name: str) -> int:
        """Return where a caller's record stands; a new caller takes a free one, else the one unused for longest."""
        wanted = hashlib.sha256(name.encode()).digest()[:16]
        self._lock_all()
        longest_unused = (math.inf, 0)
        for offset in range(0, CALLERS_CAPACITY * _RECORD_BYTES, _RECORD_BYTES):
            owner, _, day, _ = _RECORD.unpack_from(self._table, offset)
            if owner == wanted:
                break
            # Records are never freed, so a free one ends the search.
            if owner == _NOBODY:
                _RECORD.pack_into(self._table, offset, wanted, 0.0, 0, 0)
                break
            longest_unused = min(longest_unused, (day, offset))
        else:
            offset = longest_unused[1]
            _RECORD.pack_into(self._table, offset, wanted, 0.0, 0, 0)
        self._unlock_all()
        return offset

    def _lock(self, offset: int) -> None:
        # Blocks for the few microseconds of another process at most; the kernel frees the lock of a killed one.
        if self._descriptor is not None:
            fcntl.lockf(self._descriptor, fcntl.LOCK_EX, _RECORD_BYTES, offset)

    def _unlock(self, offset: int) -> None:
        if self._descriptor is not None:
            fcntl.lockf(self._descriptor, fcntl.LOCK_UN, _RECORD_BYTES, offset)

    def _lock_all(self) -> None:
        if self._descriptor is not None:
            fcntl.lockf(self._descriptor, fcntl.LOCK_EX)

    def _unlock_all(self) -> None:
        if self._descriptor is not None:
            fcntl.lockf(self._descriptor, fcntl.LOCK_UN)


class ClientLimits:
    """Rate of clients without a valid key, by network; the least recent are forgotten.

    Args:
        requests_per_second: Rate that may last.
        burst_count: Requests that may come at once.
        monotonic: Returns seconds that never go back.
    """

    def __init__(
        self, *, requests_per_second: float, burst_count: int, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._requests_per_second = requests_per_second
        self._burst_count = burst_count
        self._monotonic = monotonic
        self._full_at_by_network: OrderedDict[str, float] = OrderedDict()

    def wait_seconds(self, address: str) -> int:
        """Count one request of a client; return 0, or after how many seconds to try again."""
        network = limited_network(address)
        now = self._monotonic()
        after, wait = spend(
            self._full_at_by_network.pop(network, now),
            now,
            requests_per_second=self._requests_per_second,
            burst_count=self._burst_count,
        )
        self._full_at_by_network[network] = after
        if len(self._full_at_by_network) > CLIENTS_CAPACITY:
            self._full_at_by_network.popitem(last=False)
        return math.ceil(wait)


@lru_cache(maxsize=4_096)
def limited_network(address: str) -> str:
    """Return what counts as one client: an IPv4 address, or the /64 that one IPv6 customer has."""
    return _network(address, ipv4_bits=32, ipv6_bits=64)


@lru_cache(maxsize=4_096)
def logged_network(address: str) -> str:
    """Return the network of a client as logs may name it: enough to block it, too coarse to tell a person."""
    return _network(address, ipv4_bits=24, ipv6_bits=48)


@lru_cache(maxsize=4_096)
def is_from_outside(address: str) -> bool:
    """Return whether an address is one of another machine."""
    try:
        return not ipaddress.ip_address(address).is_loopback
    except ValueError:
        # No address: a socket file, or an application that is called without any socket.
        return False


def _network(address: str, *, ipv4_bits: int, ipv6_bits: int) -> str:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return "local"
    bits = ipv4_bits if parsed.version == 4 else ipv6_bits
    return str(ipaddress.ip_network((parsed.packed, bits), strict=False))


def _counted_on(day: int, count: int, today: int) -> tuple[int, int]:
    """Return the day that is counted on and its count: a clock that went back over midnight renews no quota."""
    return (day, count) if day in (today, today + 1) else (today, 0)


def _open_table(path: Path) -> tuple[int | None, mmap.mmap]:
    size = CALLERS_CAPACITY * _RECORD_BYTES
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            # Blocks that were not reserved would kill the process when the disk is full.
            os.posix_fallocate(descriptor, 0, size)
            return descriptor, mmap.mmap(descriptor, size)
        except OSError:
            os.close(descriptor)
            raise
    except OSError as error:
        logger.error(
            "%s cannot be used (%s): rates and quotas hold per process and do not survive a restart",
            path,
            error.strerror,
        )
        return None, mmap.mmap(-1, size)
