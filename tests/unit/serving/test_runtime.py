import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import anyio
import pytest

from serving import runtime as runtime_module
from serving.background import BackgroundWork
from serving.errors import ApiError
from serving.runtime import Runtime
from serving.settings import ServingSettings


@pytest.fixture
def running(released_home: Path, tmp_path: Path) -> Iterator[Runtime]:
    """A runtime whose log lies in a folder of its own."""
    for name in ("releases", "models"):
        (tmp_path / name).symlink_to(released_home / name)
    runtime = Runtime(ServingSettings(_env_file=None, home=tmp_path))
    runtime.start()
    yield runtime
    runtime.stop()


def test_a_sound_runtime_with_a_release_is_ready_and_alive(running: Runtime) -> None:
    assert running.readiness_problem() is None
    assert running.liveness_problem() is None


def test_without_a_release_it_is_alive_and_not_ready(tmp_path: Path) -> None:
    runtime = Runtime(ServingSettings(_env_file=None, home=tmp_path))
    runtime.start()

    assert "No model is released yet" in (runtime.readiness_problem() or "")
    assert runtime.liveness_problem() is None
    runtime.stop()


def test_too_little_space_for_the_log_is_not_ready_and_says_where(
    running: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime_module.shutil, "disk_usage", lambda _folder: SimpleNamespace(free=99_999_999))

    problem = running.readiness_problem() or ""

    assert "100,000,000 bytes" in problem
    assert str(running.settings.prediction_log_dir) in problem
    # A restart frees nothing.
    assert running.liveness_problem() is None


def test_without_a_prediction_log_space_does_not_matter(released_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime_module.shutil, "disk_usage", lambda _folder: SimpleNamespace(free=0))
    runtime = Runtime(ServingSettings(_env_file=None, home=released_home, log_predictions=False))
    runtime.start()

    assert runtime.readiness_problem() is None
    runtime.stop()


@pytest.mark.parametrize(("part", "sentence"), [("log", "writes the prediction log"), ("board", "takes up releases")])
def test_a_dead_thread_is_neither_alive_nor_ready(running: Runtime, part: str, sentence: str) -> None:
    owner = getattr(running, part)
    name = {"log": "_writing", "board": "_following"}[part]
    alive = getattr(owner, name)
    setattr(owner, name, BackgroundWork("never started", lambda: None, every_seconds=1))

    assert sentence in (running.liveness_problem() or "")
    assert sentence in (running.readiness_problem() or "")
    setattr(owner, name, alive)


def test_free_bytes_are_those_of_the_nearest_folder_that_exists(tmp_path: Path) -> None:
    runtime = Runtime(ServingSettings(_env_file=None, home=tmp_path / "not" / "made" / "yet"))

    assert runtime.free_bytes() > 0


def test_who_waits_too_long_behind_other_batches_is_told_to_come_again(settings: ServingSettings) -> None:
    runtime = Runtime(settings)
    may_end = threading.Event()

    async def ask_while_a_batch_is_at_work() -> tuple[ApiError, str]:
        async with anyio.create_task_group() as group:
            group.start_soon(runtime.in_worker, may_end.wait)
            await anyio.wait_all_tasks_blocked()
            with pytest.raises(ApiError) as refused:
                await runtime.in_worker(lambda: "never", longest_wait_seconds=0.01)
            may_end.set()
        return refused.value, await runtime.in_worker(lambda: "answered", longest_wait_seconds=0.01)

    refusal, later = anyio.run(ask_while_a_batch_is_at_work)

    assert (refusal.status, refusal.kind, later) == (429, "too_many_requests", "answered")
