"""Portraits of all customers in one read-only SQLite file, versioned like a release.

``<home>/portraits/<version>.sqlite`` is written once and never changed; the text file ``CURRENT`` beside it names the
one that is served and is replaced atomically. A server looks at the pointer and takes a new version up by itself.
"""

import logging
import os
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import orjson

from ml.errors import KilowiseError

logger = logging.getLogger(__name__)

FOLDER = "portraits"
POINTER_FILE = "CURRENT"
FORMAT_VERSION = "1"


class PortraitError(KilowiseError):
    """Portraits are missing, damaged or made by another version."""


def current_version(home: Path) -> str | None:
    """Return the version that is served, or None when there is none."""
    try:
        name = (home / FOLDER / POINTER_FILE).read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return None
    return name or None


def publish_portraits(
    home: Path, version: str, columns: Sequence[str], rows: Iterable[tuple[str, Sequence[Any]]]
) -> None:
    """Serve these portraits from now on and remove the earlier ones.

    Args:
        home: The state folder.
        version: Name of the version; equal portraits have an equal name.
        columns: Names of the values.
        rows: Customer key and values in the order of the columns.
    """
    folder = home / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    incoming = folder / f".incoming-{version}"
    incoming.unlink(missing_ok=True)
    connection = sqlite3.connect(incoming)
    try:
        # The file becomes visible only by its rename, so a journal would protect nobody.
        connection.execute("PRAGMA journal_mode = OFF")
        connection.execute("CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID")
        connection.execute("CREATE TABLE portraits (customer_key TEXT PRIMARY KEY, row BLOB NOT NULL) WITHOUT ROWID")
        connection.executemany(
            "INSERT INTO portraits VALUES (?, ?)", ((key, orjson.dumps(list(values))) for key, values in rows)
        )
        connection.executemany(
            "INSERT INTO meta VALUES (?, ?)",
            [("format", FORMAT_VERSION), ("columns", orjson.dumps(list(columns)).decode())],
        )
        connection.commit()
    finally:
        connection.close()
    with incoming.open("rb") as file:
        os.fsync(file.fileno())
    incoming.replace(_path(home, version))
    temporary = folder / f".{POINTER_FILE}.tmp"
    temporary.write_text(version + "\n", encoding="utf-8")
    temporary.replace(folder / POINTER_FILE)
    for old in folder.glob("*.sqlite"):
        # A server that still reads it keeps its open file.
        if old != _path(home, version):
            old.unlink()


def remove_portraits(home: Path) -> None:
    """Remove all portraits; a server answers none until they are published again."""
    (home / FOLDER / POINTER_FILE).unlink(missing_ok=True)
    shutil.rmtree(home / FOLDER, ignore_errors=True)


class PortraitStore:
    """Read access to one version from any number of threads.

    Attributes:
        version: Its name.
    """

    def __init__(self, home: Path, version: str) -> None:
        self.version = version
        path = _path(home, version)
        if not path.is_file():
            raise PortraitError(f"the portraits {path} do not exist")
        # One connection for all threads: a look-up takes microseconds, and an open file outlives its removal.
        self._connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True, check_same_thread=False
        )
        self._lock = threading.Lock()
        try:
            meta = dict(self._connection.execute("SELECT name, value FROM meta").fetchall())
            found_format = meta["format"]
            self._columns: tuple[str, ...] = tuple(orjson.loads(meta["columns"]))
        except (sqlite3.DatabaseError, KeyError, ValueError) as error:
            self._connection.close()
            raise PortraitError(f"{path} holds no complete portraits: {error}") from error
        if found_format != FORMAT_VERSION:
            self._connection.close()
            raise PortraitError(f"{path} has format {found_format}, this version reads {FORMAT_VERSION}")

    def __del__(self) -> None:
        if hasattr(self, "_connection"):
            self._connection.close()

    def get(self, customer_key: str) -> dict[str, Any] | None:
        """Return the values of one customer by column; None for a customer without a portrait."""
        with self._lock:
            record = self._connection.execute(
                "SELECT row FROM portraits WHERE customer_key = ?", (customer_key,)
            ).fetchone()
        return None if record is None else dict(zip(self._columns, orjson.loads(record[0]), strict=True))


class PortraitBoard:
    """Holds the portraits that are served and follows the pointer.

    Args:
        home: The state folder.
        poll_seconds: How often the pointer is looked at, at most.
        clock: Monotonic seconds.
    """

    def __init__(self, home: Path, *, poll_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._home = home
        self._poll_seconds = poll_seconds
        self._clock = clock
        self._looked_at: float | None = None
        self._served: PortraitStore | None = None
        self._refused_version: str | None = None
        self._lock = threading.Lock()

    def current(self) -> PortraitStore | None:
        """Return the portraits to answer from; keep the reference for the whole request."""
        with self._lock:
            now = self._clock()
            if self._looked_at is None or now - self._looked_at >= self._poll_seconds:
                self._looked_at = now
                self._refresh()
            return self._served

    def _refresh(self) -> None:
        try:
            version = current_version(self._home)
        except OSError as error:
            logger.warning("the pointer of the portraits cannot be read (%s); the old ones stay", error)
            return
        if version is None:
            self._served = None
        elif self._served is None or self._served.version != version:
            try:
                self._served = PortraitStore(self._home, version)
                logger.info("portraits %s are served", version)
            except PortraitError as error:
                if version != self._refused_version:
                    logger.error("portraits %s cannot be served: %s; the old ones stay", version, error)
                self._refused_version = version


def _path(home: Path, version: str) -> Path:
    return home / FOLDER / f"{version}.sqlite"
