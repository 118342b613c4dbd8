"""The run history of an embedded home: SQLite files that Dagster opens, commits and closes once per event."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import event
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
