"""What one test does to the signals of its process is not what the next one finds."""

import signal
from collections.abc import Iterator

import dagster as dg
import pytest


@dg.job
def nothing() -> None:
    """Do nothing, in this process."""


@pytest.fixture
def in_background() -> Iterator[None]:
    """Ignore SIGINT as a program does that a script has put into the background."""
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGINT, handler)


@pytest.mark.usefixtures("in_background")
def test_dagster_changes_what_sigterm_does() -> None:
    nothing.execute_in_process()

    assert signal.getsignal(signal.SIGTERM) == signal.SIG_IGN


def test_the_next_test_can_end_its_processes() -> None:
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
