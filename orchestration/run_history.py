"""The run history of an embedded home: SQLite files that Dagster opens, commits and closes once per event."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from dagster._core.storage.event_log.sqlite import sqlite_event_log
from dagster._core.storage.runs.sqlite import sqlite_run_storage
from sqlalchemy import create_engine, event
from sqlalchemy.engine import Engine


@contextmanager
def spare_disk_syncs() -> Iterator[None]:
    """Let SQLite write to the disk now and then, and not with every event, while the context lasts.

    The main job reports about a thousand events and opens, commits and closes a file for each; that was a sixth of its
    second run. SQLite writes to the disk at a commit, unless told otherwise, and when the last connection to a file is
    closed; so it is told, and one connection per file is kept open. A killed process loses nothing by this, and the
    files stay whole in a power failure; the last events may be missing then
    (https://www.sqlite.org/pragma.html#pragma_synchronous, NORMAL with a write-ahead log).
    """
    kept_open: dict[str, sqlite3.Connection] = {}

    def on_connect(connection: Any, _record: Any) -> None:
        if not isinstance(connection, sqlite3.Connection):
            return
        connection.execute("pragma synchronous = normal")
        file = connection.execute("pragma database_list").fetchone()[2]
        if file:
            if file not in kept_open:
                kept_open[file] = sqlite3.connect(file, check_same_thread=False)
            # SQLite opens a file, and its write-ahead log once there is one, with a statement that needs it.
            kept_open[file].execute("pragma schema_version").fetchone()

    event.listen(Engine, "connect", on_connect)
    try:
        yield
    finally:
        event.remove(Engine, "connect", on_connect)
        for connection in kept_open.values():
            connection.close()


@contextmanager
def reuse_engines() -> Iterator[None]:
    """Let Dagster's SQLite storages keep one engine per file while the context lasts.

    They make an engine for every access, some three thousand in a run, and a new engine compiles each statement
    anew: a tenth of a run with nothing to do. Dagster has no setting for it and its version is pinned, so the function
    by which both modules make engines is replaced here; engines hold no connection between uses.
    """
    modules: list[Any] = [sqlite_event_log, sqlite_run_storage]
    engines: dict[str, Engine] = {}

    def engine_of(url: str, **options: Any) -> Engine:
        if url not in engines:
            engines[url] = create_engine(url, **options)
        return engines[url]

    for module in modules:
        module.create_engine = engine_of
    try:
        yield
    finally:
        for module in modules:
            module.create_engine = create_engine
