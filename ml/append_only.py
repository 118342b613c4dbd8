"""Files of one JSON record a line that are only ever added to: one writer at a time, on the disk when written."""

import fcntl
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Keep every other writer of a file out, and make it if it is not there; folder and file are the owner's only.

    The kernel frees the lock when a process dies.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with path.with_name(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            path.touch(mode=0o600)
        yield


def append_line(path: Path, line: str) -> None:
    """Add a line; it is on the disk when this returns. The caller holds `exclusive`."""
    with path.open("a", encoding="utf-8") as file:
        file.write(line + "\n")
        file.flush()
        os.fsync(file.fileno())


def replace_private(path: Path, content: bytes) -> None:
    """Give a file another content by one rename; nobody but its owner may read it."""
    temporary = path.with_name(f".{uuid.uuid4().hex}")
    temporary.touch(mode=0o600)
    temporary.write_bytes(content)
    temporary.replace(path)
