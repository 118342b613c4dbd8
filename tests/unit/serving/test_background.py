import threading

import pytest

from serving.background import BackgroundWork


def test_work_is_repeated_until_it_is_stopped() -> None:
    calls: list[str] = []
    third = threading.Event()

    def work() -> None:
        calls.append(threading.current_thread().name)
        if len(calls) >= 3:
            third.set()

    background = BackgroundWork("repeated", work, every_seconds=0.001)
    background.start()
    assert third.wait(10)
    assert background.is_running
    background.stop()
    done = len(calls)

    assert not background.is_running
    assert set(calls) == {"repeated"}
    assert done == len(calls)


def test_a_wake_ends_the_pause() -> None:
    called = threading.Event()
    background = BackgroundWork("woken", called.set, every_seconds=3600)
    background.start()
    assert not called.is_set()
    background.wake()
    assert called.wait(10)
    background.stop()


def test_a_stop_waits_for_the_work_and_begins_none() -> None:
    begun, may_end = threading.Event(), threading.Event()
    calls: list[bool] = []

    def work() -> None:
        begun.set()
        may_end.wait(10)
        # A stop ends every pause within the work at once.
        background.give_way(3600)
        calls.append(background.is_stopping)

    background = BackgroundWork("long", work, every_seconds=0)
    background.start()
    assert begun.wait(10)
    threading.Timer(0.05, may_end.set).start()
    background.stop()

    assert calls == [True]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_work_that_fails_ends_the_thread_and_shows() -> None:
    def fail() -> None:
        raise RuntimeError("the disk is gone")

    background = BackgroundWork("failing", fail, every_seconds=0)
    background.start()
    ended = threading.Event()
    while background.is_running:
        ended.wait(0.01)

    background.stop()


def test_what_was_never_started_can_be_stopped() -> None:
    background = BackgroundWork("idle", lambda: None, every_seconds=1)

    assert not background.is_running
    background.stop()
