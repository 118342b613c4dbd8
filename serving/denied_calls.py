"""The audit of denied calls: one JSON line per call that was refused for its key, its scope or its rate.

Lines wait in bounded memory and a thread appends them to ``<directory>/<day>.jsonl``, which all processes share. A
line holds no key, no body, no query and no path as it was typed: the route's template, the caller's name or a keyed
fingerprint of an unknown key, and the network of the client (/24 of IPv4, /48 of IPv6). That is what an operator
blocks, and too coarse to tell a person. A flood is bounded per day and counted in the metrics.
"""

import hashlib
import hmac
import logging
import os
from collections import deque
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import orjson

from serving import metrics
from serving.background import BackgroundWork

logger = logging.getLogger(__name__)

LARGEST_DAY_BYTES = 50_000_000
CAPACITY_ROWS = 20_000
FLUSH_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class DeniedCall:
    """One refused call.

    Attributes:
        denied_at: When.
        request_id: As the answer names it.
        method: HTTP method.
        route: Template of the route, or ``other``.
        reason: Why, as one word.
        caller: Name of the key, when it is known.
        key_fingerprint: Keyed hash of a key that is not known: the same for the same key, and of no other use.
        client_network: Where the call came from.
    """

    denied_at: datetime
    request_id: str
    method: str
    route: str
    reason: str
    caller: str | None
    key_fingerprint: str | None
    client_network: str


class DeniedCallLog:
    """Collects denied calls and writes them in the background.

    Args:
        directory: Folder of the audit; made with the first line.
        retention_days: Days after which a file is removed.
        fingerprint_key: Secret of the fingerprints.
        largest_day_bytes: Size at which a day's file takes no more lines.
    """

    def __init__(
        self,
        directory: Path,
        *,
        retention_days: int,
        fingerprint_key: bytes,
        largest_day_bytes: int = LARGEST_DAY_BYTES,
    ) -> None:
        self._directory = directory
        self._retention = timedelta(days=retention_days)
        self._fingerprint_key = fingerprint_key
        self._largest_day_bytes = largest_day_bytes
        self._pending: deque[DeniedCall] = deque()
        self._cleared_on: date | None = None
        self._writing = BackgroundWork("denied-calls", self._write, every_seconds=FLUSH_SECONDS)

    def start(self) -> None:
        """Remove what is too old, and start writing in the background."""
        self._remove_old()
        self._writing.start()

    def stop(self) -> None:
        """Write what waits and stop."""
        self._writing.stop()
        self.flush()

    def record(self, call: DeniedCall) -> None:
        """Take a call; never waits for the disk. What does not fit is counted and dropped."""
        metrics.DENIED_CALLS.labels(call.reason).inc()
        if len(self._pending) >= CAPACITY_ROWS:
            metrics.DENIED_CALL_LINES.labels("dropped").inc()
            return
        self._pending.append(call)

    def fingerprint(self, key: str) -> str:
        """Return a short keyed hash of what was sent as a key; who lacks the secret cannot test guesses with it."""
        return hmac.new(self._fingerprint_key, key.encode(), hashlib.sha256).hexdigest()[:8]

    def flush(self) -> None:
        """Write what waits; lines that the disk refuses are dropped and counted."""
        lines_by_day: dict[date, list[bytes]] = {}
        while self._pending:
            call = self._pending.popleft()
            line = orjson.dumps(asdict(call), option=orjson.OPT_APPEND_NEWLINE)
            lines_by_day.setdefault(call.denied_at.date(), []).append(line)
        for day, lines in lines_by_day.items():
            try:
                written_count = self._append(day, lines)
            except OSError as error:
                written_count = 0
                logger.error("denied calls cannot be written to %s (%s)", self._directory, error.strerror)
            metrics.DENIED_CALL_LINES.labels("written").inc(written_count)
            metrics.DENIED_CALL_LINES.labels("dropped").inc(len(lines) - written_count)

    def _append(self, day: date, lines: list[bytes]) -> int:
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self._directory / f"{day.isoformat()}.jsonl"
        # One write to a file opened for appending is not torn by other processes that append.
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            free_bytes = self._largest_day_bytes - os.fstat(descriptor).st_size
            fitting = []
            for line in lines:
                free_bytes -= len(line)
                if free_bytes < 0:
                    break
                fitting.append(line)
            if fitting:
                os.write(descriptor, b"".join(fitting))
            return len(fitting)
        finally:
            os.close(descriptor)

    def _remove_old(self) -> None:
        today = datetime.now(UTC).date()
        if self._cleared_on == today:
            return
        self._cleared_on = today
        last_removed = (today - self._retention).isoformat()
        for path in self._directory.glob("????-??-??.jsonl"):
            if path.stem < last_removed:
                path.unlink(missing_ok=True)

    def _write(self) -> None:
        self._remove_old()
        self.flush()
