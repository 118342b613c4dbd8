"""The ledger of the prediction log: one line per file and event, chained so that nothing can change unseen.

``<log>/ledger.jsonl`` has one line ``<mac> <json>`` per entry. The mac is an HMAC-SHA256 over the mac of the line
before and the text of this one, under a key that follows from the pseudonym key: who can write to the disk but does
not hold that secret can neither change, remove, insert nor reorder an entry. An entry of a file holds the SHA-256 of
its content. The ledger comes first, the file appears by a rename after it, so the ledger says what there must be.

What the chain cannot show by itself is that its newest lines were cut off together with their files. Keep the head
(the last mac; `PredictionLog` writes it to the server's log at every stop, `verify` prints it) at another place and
give it to `verify`.

Each process that logs is a *stream*. ``<log>/streams/<stream>.count`` is mapped into its memory and holds how many
rows it took; the page outlives a SIGKILL, so the next start knows how many never reached the disk.
"""

import fcntl
import hashlib
import hmac
import logging
import mmap
import os
import shutil
import struct
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from ml.append_only import exclusive
from ml.errors import KilowiseError

LEDGER_FILE = "ledger.jsonl"
STREAMS_FOLDER = "streams"
DAY_PREFIX = "date="

Kind = Literal["adopted", "written", "closed", "erased", "expired", "checkpoint"]

logger = logging.getLogger(__name__)

_COUNTS = struct.Struct("<QQQ")
_TAIL_BYTES = 65_536
_START = "0" * 64


class LedgerError(KilowiseError):
    """The ledger cannot be read or was altered; the message names the line."""


class LedgerEntry(BaseModel):
    """One line of the ledger; which fields it has depends on its kind.

    Attributes:
        number: Running number over all streams, from 1.
        at: When it was made.
        kind: ``adopted`` (a file that was there before the ledger), ``written``, ``closed`` (a stream ended),
            ``erased`` (a customer's rows were removed by request), ``expired`` (days were deleted by the retention
            setting) or ``checkpoint`` (stands for the entries before it, all of which expired).
        stream: Process that wrote.
        path: File, relative to the log.
        sha256: Of the file's content from this entry on; of an erased file that had no other rows it is missing.
        rows: ``written``, ``adopted``: rows of the file. ``erased``: rows removed. ``checkpoint``: rows of the files.
        first_sequence: Number of the file's first row within the stream; the others follow without a gap.
        stream_rows: Rows of the stream up to this file.
        sequences: Numbers of the erased rows, where the file has such.
        dropped: ``closed``: rows that did not fit into memory.
        lost: ``closed``: rows that were taken and never reached the disk.
        was_killed: ``closed``: whether a later start had to close the stream.
        before: ``expired``: first day that was kept.
        entries: ``checkpoint``: how many it stands for.
        files: ``checkpoint``: how many files they named.
        chain: ``checkpoint``: mac of the last of them, on which the next entry builds.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    number: int
    at: datetime
    kind: Kind
    stream: str | None = None
    path: str | None = None
    sha256: str | None = None
    rows: int | None = None
    first_sequence: int | None = None
    stream_rows: int | None = None
    sequences: tuple[int, ...] | None = None
    dropped: int | None = None
    lost: int | None = None
    was_killed: bool | None = None
    before: date | None = None
    entries: int | None = None
    files: int | None = None
    chain: str | None = None


def ledger_key(pseudonym_key: bytes) -> bytes:
    """Return the key of the chain, which follows from the secret that makes customer keys."""
    return hmac.new(pseudonym_key, b"kilowise prediction log", hashlib.sha256).digest()


class Ledger:
    """The ledger of one log.

    Args:
        directory: Folder of the log.
        key: As `ledger_key` returns it.
    """

    def __init__(self, directory: Path, key: bytes) -> None:
        self.directory = directory
        self.path = directory / LEDGER_FILE
        self.key = key
        self._known_state = (-1, -1)
        self._known_last = (0, _START)

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Keep every other writer out; a ledger that begins takes in the files that are there already."""
        self.directory.mkdir(parents=True, exist_ok=True)
        with exclusive(self.path):
            if self.path.stat().st_size == 0:
                self._adopt()
            yield

    def append(self, **fields: Any) -> LedgerEntry:
        """Add an entry; it is on the disk when this returns, or not at all. The caller holds `exclusive`.

        Raises:
            OSError: The disk takes no more.
        """
        size = self._cut_torn_line()
        number, previous = self._last(size)
        entry = LedgerEntry(number=number + 1, at=datetime.now(UTC), **fields)
        text = entry.model_dump_json(exclude_none=True)
        mac = self._mac(previous, text)
        line = f"{mac} {text}\n".encode()
        with self.path.open("r+b") as file:
            try:
                file.seek(size)
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
            except OSError:
                os.ftruncate(file.fileno(), size)
                raise
        self._known_state, self._known_last = self._state(), (entry.number, mac)
        return entry

    def head(self) -> str:
        """Return the mac of the last entry. The caller holds `exclusive`."""
        return self._last(self._cut_torn_line())[1]

    def read(self) -> Iterator[tuple[LedgerEntry, str]]:
        """Return every entry with its mac, in order.

        Raises:
            LedgerError: An entry does not follow from the one before. Those before it have been returned.
        """
        if not self.path.exists():
            return
        previous, number = _START, 0
        with self.path.open(encoding="utf-8", errors="replace") as file:
            for place, line in enumerate(file, start=1):
                if not line.endswith("\n"):
                    # A power cut halfway through an entry; the next writer removes it.
                    return
                mac, _, text = line.rstrip("\n").partition(" ")
                entry = _parsed(text)
                is_checkpoint = entry is not None and entry.kind == "checkpoint"
                based_on = "checkpoint" if is_checkpoint else previous
                if entry is None or not hmac.compare_digest(mac, self._mac(based_on, text)):
                    raise LedgerError(self._break_sentence(place, entry, number))
                if is_checkpoint and place > 1:
                    raise LedgerError(f"line {place} of {LEDGER_FILE}: a checkpoint stands within the ledger")
                previous, number = (entry.chain or _START) if is_checkpoint else mac, entry.number
                yield entry, previous

    def expire(self, before: date) -> int:
        """Delete the days before a day, with an entry that says so, and return the number of files deleted."""
        if not self._days_before(before):
            return 0
        deleted = 0
        with self.exclusive():
            self.append(kind="expired", before=before)
            for folder in self._days_before(before):
                deleted += len(list(folder.glob("*.parquet")))
                shutil.rmtree(folder)
            try:
                self._put_checkpoint(before)
            except LedgerError:
                logger.exception("the ledger of the prediction log was altered and is left as it is")
        return deleted

    def of_stream(self, stream: str) -> list[LedgerEntry]:
        """Return the entries of a stream, as they stand there: also those of a ledger that was altered elsewhere."""
        if not self.path.exists():
            return []
        with self.path.open(encoding="utf-8", errors="replace") as file:
            found = [_parsed(line.rstrip("\n").partition(" ")[2]) for line in file if stream in line]
        return [entry for entry in found if entry is not None and entry.stream == stream]

    def _days_before(self, before: date) -> list[Path]:
        return [
            folder
            for folder in sorted(self.directory.rglob(f"{DAY_PREFIX}*"))
            if folder.is_dir() and folder.name.removeprefix(DAY_PREFIX) < before.isoformat()
        ]

    def _put_checkpoint(self, before: date) -> None:
        """Let one entry stand for those at the beginning that speak of nothing that is still there."""
        lines = self.path.read_text(encoding="utf-8").splitlines(keepends=True)
        entries = list(self.read())
        settled = 0
        for entry, _ in entries:
            if entry.kind in ("adopted", "written") and day_of(entry.path or "") >= before.isoformat():
                break
            settled += 1
        # The entry that says so stays, and so does the order of the others.
        settled = min(settled, len(entries) - 1)
        if settled < 2:
            return
        gone = [entry for entry, _ in entries[:settled]]
        files = [entry for entry in gone if entry.kind in ("adopted", "written")]
        inherited = gone[0] if gone[0].kind == "checkpoint" else None
        checkpoint = LedgerEntry(
            number=gone[-1].number,
            at=datetime.now(UTC),
            kind="checkpoint",
            entries=len(gone) + (inherited.entries or 0 if inherited else 0),
            files=len(files) + (inherited.files or 0 if inherited else 0),
            rows=sum(entry.rows or 0 for entry in gone if entry in files or entry is inherited),
            lost=sum(entry.lost or 0 for entry in gone),
            dropped=sum(entry.dropped or 0 for entry in gone),
            before=before,
            chain=entries[settled - 1][1],
        )
        text = checkpoint.model_dump_json(exclude_none=True)
        temporary = self.path.with_name(f".{uuid.uuid4().hex}.tmp")
        temporary.touch(mode=0o600)
        with temporary.open("w", encoding="utf-8") as file:
            file.write(f"{self._mac('checkpoint', text)} {text}\n")
            file.writelines(lines[settled:])
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self.path)

    def _adopt(self) -> None:
        """Take in the files of a log that had no ledger; what they held before is not known to anybody."""
        for path in sorted(self.directory.rglob("*.parquet")):
            import pyarrow as pa
            import pyarrow.parquet as pq

            try:
                rows = pq.read_metadata(path).num_rows
            except (pa.ArrowInvalid, OSError):
                rows = None
            self.append(
                kind="adopted", path=relative(self.directory, path), sha256=sha256(path.read_bytes()), rows=rows
            )

    def _cut_torn_line(self) -> int:
        """Remove what a power cut left of a line and return the size of the file."""
        state = self._state()
        size = state[1]
        if size == 0 or state == self._known_state:
            return size
        with self.path.open("r+b") as file:
            file.seek(-1, os.SEEK_END)
            if file.read(1) == b"\n":
                return size
            content = self.path.read_bytes()
            size = content.rfind(b"\n") + 1
            os.ftruncate(file.fileno(), size)
        return size

    def _last(self, size: int) -> tuple[int, str]:
        """Return number and mac on which the next entry builds."""
        if size == 0:
            return 0, _START
        if self._state() == self._known_state:
            return self._known_last
        with self.path.open("rb") as file:
            file.seek(max(0, size - _TAIL_BYTES))
            tail = file.read(_TAIL_BYTES).rstrip(b"\n")
            if b"\n" not in tail and size > _TAIL_BYTES:
                # One entry that is longer than the tail, such as an erasure of very many rows.
                file.seek(0)
                tail = file.read(size).rstrip(b"\n")
        mac, _, text = tail.rpartition(b"\n")[2].decode(errors="replace").partition(" ")
        entry = _parsed(text)
        if entry is None:
            # Somebody damaged it. The log goes on, on top of what is there, and `read` names the damaged line.
            return len(self.path.read_bytes().splitlines()), sha256(text.encode())
        return entry.number, (entry.chain or mac) if entry.kind == "checkpoint" else mac

    def _state(self) -> tuple[int, int]:
        """Return what tells whether another process wrote since: a checkpoint changes the file, an entry its size."""
        found = self.path.stat()
        return found.st_ino, found.st_size

    def _break_sentence(self, place: int, entry: LedgerEntry | None, number: int) -> str:
        if entry is None:
            return f"line {place} of {LEDGER_FILE} (entry {number + 1}) was altered: it is no entry"
        if entry.number > number + 1:
            missing = (
                f"entry {number + 1} before it was"
                if entry.number == number + 2
                else f"entries {number + 1} to {entry.number - 1} before it were"
            )
            return f"line {place} of {LEDGER_FILE}: {missing} removed"
        if entry.number <= number:
            return f"line {place} of {LEDGER_FILE} (entry {entry.number}) was inserted or moved"
        what = f" ({entry.kind} {entry.path})" if entry.path else f" ({entry.kind})"
        return (
            f"line {place} of {LEDGER_FILE}, entry {entry.number}{what}, was altered, or KILOWISE_PSEUDONYM_KEY is not "
            "the one that it was written with"
        )

    def _mac(self, previous: str, text: str) -> str:
        return hmac.new(self.key, f"{previous} {text}".encode(), hashlib.sha256).hexdigest()


class Stream:
    """What one process logs: its rows are numbered, and how many it took outlives it.

    Attributes:
        name: Unique name, sorts by time.
        rows_written: Rows that the ledger has of it.
    """

    def __init__(self, ledger: Ledger) -> None:
        self.name = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:8]}"
        self.rows_written = 0
        folder = ledger.directory / STREAMS_FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / f"{self.name}.count"
        with self._path.open("x+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            # Really there before it is mapped, or a full disk would end the process with SIGBUS.
            file.write(_COUNTS.pack(0, 0, 0))
            file.flush()
            os.fsync(file.fileno())
            self._map = mmap.mmap(file.fileno(), _COUNTS.size)
            # A duplicate keeps the lock for as long as the process lives.
            self._lock = os.dup(file.fileno())

    def count(self, accepted: int, dropped: int) -> None:
        """Remember how many rows were taken and dropped so far; costs a write to memory."""
        _COUNTS.pack_into(self._map, 0, accepted, dropped, self.rows_written)

    def close(self, ledger: Ledger, *, accepted: int, dropped: int) -> None:
        """Say in the ledger how the stream ended."""
        with ledger.exclusive():
            if accepted or dropped:
                ledger.append(
                    kind="closed",
                    stream=self.name,
                    rows=self.rows_written,
                    dropped=dropped,
                    lost=accepted - self.rows_written,
                    was_killed=False,
                )
            self._path.unlink(missing_ok=True)
        self._map.close()
        os.close(self._lock)


def settle_dead_streams(ledger: Ledger) -> list[LedgerEntry]:
    """Close the streams of processes that were killed; the caller holds the ledger's `exclusive`.

    A file that the ledger names and that still waits under its temporary name is put in its place; other leftovers
    are removed.

    Returns:
        The entries made; ``lost`` says how many rows each process took with it.
    """
    closed = []
    for path in sorted((ledger.directory / STREAMS_FOLDER).glob("*.count")):
        with path.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                continue
            content = file.read(_COUNTS.size)
            if len(content) < _COUNTS.size:
                # Killed while the stream began: it took nothing.
                path.unlink()
                continue
            accepted, dropped, counted = _COUNTS.unpack(content)
            entries = ledger.of_stream(path.stem)
            _settle_files(ledger, path.stem, entries)
            if not any(entry.kind == "closed" for entry in entries) and (accepted or dropped):
                written = max(counted, *(entry.stream_rows or 0 for entry in entries), 0)
                closed.append(
                    ledger.append(
                        kind="closed",
                        stream=path.stem,
                        rows=written,
                        dropped=dropped,
                        lost=accepted - written,
                        was_killed=True,
                    )
                )
            path.unlink()
    return closed


def _settle_files(ledger: Ledger, stream: str, entries: list[LedgerEntry]) -> None:
    hash_by_path = {entry.path: entry.sha256 for entry in entries if entry.kind == "written"}
    for temporary in sorted(ledger.directory.rglob(f".{stream}-*.tmp")):
        place = temporary.with_name(temporary.name.removeprefix(".").removesuffix(".tmp") + ".parquet")
        named = hash_by_path.get(relative(ledger.directory, place))
        if named is not None and not place.exists() and sha256(temporary.read_bytes()) == named:
            temporary.replace(place)
        else:
            temporary.unlink()


def relative(directory: Path, path: Path) -> str:
    """Return a file's name in the ledger."""
    return path.relative_to(directory).as_posix()


def day_of(path: str) -> str:
    """Return the day of a file of the log as ISO text, from its name in the ledger."""
    return path.rsplit("/", 2)[-2].removeprefix(DAY_PREFIX)


def sha256(content: bytes) -> str:
    """Return the SHA-256 of a file's content."""
    return hashlib.sha256(content).hexdigest()


def _parsed(text: str) -> LedgerEntry | None:
    try:
        return LedgerEntry.model_validate_json(text)
    except ValidationError:
        return None
