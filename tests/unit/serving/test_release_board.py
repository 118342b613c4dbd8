import gc
import json
import logging
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from prometheus_client import REGISTRY

from serving.model_store import ModelStore
from serving.release_board import ReleaseBoard
from serving.released_model import ReleasedModel, ScoringInput
from tests.unit.serving.builders import key_of, publish

USE_CASE = "segmentation"


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path / "home")


@pytest.fixture
def board(store: ModelStore) -> ReleaseBoard:
    return ReleaseBoard(store, poll_seconds=0.01)


def served(board: ReleaseBoard) -> str | None:
    model = board.get(USE_CASE)
    return None if model is None else model.identity.release


def failures() -> float:
    labels = {"use_case": USE_CASE, "outcome": "failed"}
    return REGISTRY.get_sample_value("kilowise_release_loads_total", labels) or 0.0


def test_starts_without_any_release(board: ReleaseBoard) -> None:
    board.refresh()

    assert served(board) is None
    assert board.manifests() == {}


def test_takes_up_the_first_and_every_later_release(board: ReleaseBoard, store: ModelStore, tmp_path: Path) -> None:
    names = []
    for variant in range(3):
        names.append(publish(store, tmp_path, USE_CASE, variant=variant).name)
        board.refresh()
        assert served(board) == names[-1]

    store.rollback(USE_CASE, names[0], by="test", reason="test")
    board.refresh()

    assert served(board) == names[0]


def test_the_thread_follows_the_pointer(board: ReleaseBoard, store: ModelStore, tmp_path: Path) -> None:
    board.start()
    name = publish(store, tmp_path, USE_CASE).name
    for _ in range(500):
        if served(board) == name:
            break
        time.sleep(0.01)
    board.stop()

    assert served(board) == name


def test_a_request_keeps_the_release_that_it_began_with(board: ReleaseBoard, store: ModelStore, tmp_path: Path) -> None:
    first = publish(store, tmp_path, USE_CASE, variant=0)
    board.refresh()
    model = board.get(USE_CASE)
    assert isinstance(model, ReleasedModel)

    publish(store, tmp_path, USE_CASE, variant=1, retained_snapshots=1)
    board.refresh()

    # Even though its snapshot was pruned: the open file lives on.
    model.try_out(5)
    assert model.identity.release == first.name
    assert served(board) != first.name


def test_a_damaged_release_is_reported_once_and_the_old_one_stays(
    board: ReleaseBoard, store: ModelStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = publish(store, tmp_path, USE_CASE, variant=0)
    board.refresh()
    second = publish(store, tmp_path, USE_CASE, variant=1)
    (store.release_dir(USE_CASE, second.name) / "features.sqlite").write_bytes(b"half")
    before = failures()

    with caplog.at_level(logging.ERROR, logger="serving"):
        for _ in range(5):
            board.refresh()

    assert served(board) == first.name
    assert failures() - before == 1
    assert "the old release stays" in caplog.text


def test_a_release_that_cannot_be_loaded_is_named_until_another_is_taken_up(
    board: ReleaseBoard, store: ModelStore, tmp_path: Path
) -> None:
    damaged = publish(store, tmp_path, USE_CASE, variant=0)
    (store.release_dir(USE_CASE, damaged.name) / "features.sqlite").write_bytes(b"half")

    board.refresh()
    assert board.refused_release(USE_CASE) == damaged.name

    publish(store, tmp_path, USE_CASE, variant=1)
    board.refresh()
    assert board.refused_release(USE_CASE) is None


@pytest.mark.parametrize("pointer", ["0009-202608-ffffffffff", "../../etc", "nonsense", "\x00", ""])
def test_a_pointer_to_nowhere_changes_nothing(
    board: ReleaseBoard, store: ModelStore, tmp_path: Path, pointer: str
) -> None:
    first = publish(store, tmp_path, USE_CASE)
    board.refresh()
    (store.releases_dir / USE_CASE / "CURRENT").write_text(pointer)

    board.refresh()

    assert served(board) == first.name


def test_a_manifest_of_a_later_version_is_refused(board: ReleaseBoard, store: ModelStore, tmp_path: Path) -> None:
    first = publish(store, tmp_path, USE_CASE, variant=0)
    board.refresh()
    second = publish(store, tmp_path, USE_CASE, variant=1)
    path = store.release_dir(USE_CASE, second.name) / "release.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "shadow_of": "x"}))

    board.refresh()

    assert served(board) == first.name


def test_swaps_leave_no_open_files_behind(board: ReleaseBoard, store: ModelStore, tmp_path: Path) -> None:
    names = [publish(store, tmp_path, USE_CASE, variant=variant).name for variant in range(2)]
    board.refresh()
    before = len(list(Path("/proc/self/fd").iterdir()))

    for turn in range(10):
        store.rollback(USE_CASE, names[turn % 2], by="test", reason="test")
        board.refresh()

    assert len(list(Path("/proc/self/fd").iterdir())) <= before + 1


def test_the_release_before_stays_loaded_until_the_next_one(
    board: ReleaseBoard, store: ModelStore, tmp_path: Path
) -> None:
    names = []
    for variant in range(3):
        names.append(publish(store, tmp_path, USE_CASE, variant=variant).name)
        board.refresh()

    assert list(board.loaded(USE_CASE)) == [names[2], names[1]]


def test_an_erased_customer_is_gone_from_every_loaded_release(
    board: ReleaseBoard, store: ModelStore, tmp_path: Path
) -> None:
    for variant in range(2):
        publish(store, tmp_path, USE_CASE, variant=variant)
        board.refresh()
    (name,) = list(board.loaded(USE_CASE))[:1]

    store.erase_customer(key_of(3), lambda path: path.name == "features.sqlite")
    board.refresh()

    assert list(board.loaded(USE_CASE)) == [name]
    model = board.get(USE_CASE)
    assert model is not None
    assert list(model.many_from_snapshot([key_of(3), key_of(4)])) == [key_of(4)]


def test_a_hundred_swaps_leave_nothing_behind(board: ReleaseBoard, store: ModelStore, tmp_path: Path) -> None:
    names = [publish(store, tmp_path, "credit_risk", variant=variant).name for variant in (0, 1)]
    pointer = store.releases_dir / "credit_risk" / "CURRENT"
    process = psutil.Process()

    def swap(times: int) -> None:
        for number in range(times):
            pointer.write_text(names[number % 2])
            board.refresh()
            model = board.get("credit_risk")
            assert model is not None
            assert model.identity.release == names[number % 2]
            model.predict([ScoringInput(features) for features in model_inputs(model)])

    def living_models() -> int:
        return sum(isinstance(thing, ReleasedModel) for thing in gc.get_objects())

    swap(10)
    models_count, files_count, before_bytes = living_models(), process.num_fds(), process.memory_info().rss
    swap(100)

    assert living_models() == models_count
    assert process.num_fds() == files_count
    assert process.memory_info().rss - before_bytes < 10_000_000


def model_inputs(model: ReleasedModel) -> list[dict[str, Any]]:
    return [item.features for item in model.many_from_snapshot(model.features.sample_keys(5)).values()]
