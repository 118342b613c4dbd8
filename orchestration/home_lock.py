"""One main job at a time in a home. What changes the home as a whole, such as a restore, holds the same lock."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ml.errors import KilowiseError

LOCK_FILE = ".main_run.lock"


class MainRunBusyError(KilowiseError):
    """The main job is already at work in this home."""


@contextmanager
def only_main_run(home: Path) -> Iterator[None]:
    """Hold the home for one main job; the system releases the lock of a process that was killed.

    Raises:
        MainRunBusyError: Another process holds it.
    """
    with (home / LOCK_FILE).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise MainRunBusyError(f"`make run` is already at work in {home}; wait until it has finished.") from error
        yield


def is_main_run_at_work(home: Path) -> bool:
    """Return whether a main job is at work in the home, without disturbing one."""
    path = home / LOCK_FILE
    if not path.exists():
        return False
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
