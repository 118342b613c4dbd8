"""The run history of an embedded home: SQLite files that Dagster opens, commits and closes once per event."""

import sqlite3
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Engine


def spare_disk_syncs() -> None:
    """Let SQLite write to the disk when it merges its log, and not at every commit, in this process.

    The main job reports about a thousand events, one commit each, and would spend a tenth of its second run waiting.
    A killed process loses nothing by this, and the files stay whole in a power failure; the last events may be missing
    then (https://www.sqlite.org/pragma.html#pragma_synchronous, NORMAL with a write-ahead log).
    """
    if not event.contains(Engine, "connect", _sync_at_checkpoints):
        event.listen(Engine, "connect", _sync_at_checkpoints)


def _sync_at_checkpoints(connection: Any, _record: Any) -> None:
    if isinstance(connection, sqlite3.Connection):
        connection.execute("pragma synchronous = normal")
