"""Work that a server repeats beside its requests, each kind in one thread."""

import threading
from collections.abc import Callable


class BackgroundWork:
    """Calls a function again and again in a thread of its own, from `start` until `stop`.

    Args:
        name: Name of the thread.
        work: What to do; what it raises ends the thread, which `is_running` then tells.
        every_seconds: Longest pause between two calls; the first one follows a pause too.
    """

    def __init__(self, name: str, work: Callable[[], object], *, every_seconds: float) -> None:
        self._name = name
        self._work = work
        self._every_seconds = every_seconds
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin."""
        self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End, after the call that is at work."""
        self._stopping.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def wake(self) -> None:
        """Let the next call begin now."""
        self._wake.set()

    def give_way(self, seconds: float) -> None:
        """Pause within the work, so that requests are answered; not while the server stops."""
        self._stopping.wait(seconds)

    @property
    def is_running(self) -> bool:
        """Whether the thread lives."""
        return self._thread is not None and self._thread.is_alive()

    @property
    def is_stopping(self) -> bool:
        """Whether `stop` was called."""
        return self._stopping.is_set()

    def _run(self) -> None:
        while True:
            self._wake.wait(self._every_seconds)
            self._wake.clear()
            if self.is_stopping:
                return
            self._work()
