"""One writer at a time in a landing folder; the lock of a killed process is released by the system."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from orchestration.ingestion.errors import LandingLockedError

INCOMING = ".incoming"
"""Private folder of a landing in which everything is made before it is renamed into place."""


@contextmanager
def locked(landing_dir: Path) -> Iterator[None]:
    """Hold the landing folder for one writer.

    Raises:
        LandingLockedError: When another process holds it.
    """
    with (landing_dir / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise LandingLockedError(
                f"another process is landing into {landing_dir}; wait until it has finished, or end it"
            ) from error
        yield
