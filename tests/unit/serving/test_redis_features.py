"""Features in Redis, against a real server on a socket of its own."""

import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from prometheus_client import REGISTRY

from ml.segmentation.schema import FEATURES
from serving import redis_features
from serving.feature_store import FeatureStore, SnapshotFile, write_feature_snapshot
from serving.model_store import ModelStore
from serving.redis_features import KEY_PREFIX, LIFE_SECONDS, RedisFeatures, redis_opener
from serving.release_board import ReleaseBoard
from serving.settings import ServingConfigurationError
from tests.unit.serving.builders import feature_table, key_of, publish

redis = pytest.importorskip("redis", reason="the optional package redis is not installed")

KEYS = [key_of(number) for number in range(30)]
Opener = Callable[[Path, str], FeatureStore]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a Redis server that keeps nothing."""
    if shutil.which("redis-server") is None:
        pytest.skip("redis-server is not installed; `apt-get install redis-server` lets this test run")
    folder = tmp_path_factory.mktemp("redis")
    socket = folder / "redis.sock"
    command = ["redis-server", "--port", "0", "--unixsocket", str(socket), "--save", "", "--dir", str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    for _ in range(200):
        if socket.exists():
            break
        time.sleep(0.02)
    yield f"unix://{socket}"
    process.terminate()
    process.wait(timeout=60)


@pytest.fixture
def client(address: str) -> Any:
    client = redis.Redis.from_url(address)
    client.flushall()
    return client


@pytest.fixture
def snapshot(tmp_path: Path) -> Path:
    """A snapshot of 30 customers with a table, as a release has it."""
    path = tmp_path / "features.sqlite"
    cube = pd.DataFrame({"customer_key": [key for key in KEYS for _ in range(2)], "kwh": range(60)})
    table = feature_table("segmentation").assign(since_month="2026-08-01")
    write_feature_snapshot(path, table, FEATURES, context_columns=["since_month"], customer_tables={"cube": cube})
    return path


@pytest.fixture
def opener(address: str, client: Any) -> Opener:
    assert client.dbsize() == 0
    return redis_opener(address)


def fallbacks() -> float:
    return REGISTRY.get_sample_value("kilowise_feature_fallbacks_total") or 0.0


def asked_only_redis(store: FeatureStore, monkeypatch: pytest.MonkeyPatch) -> FeatureStore:
    """Return a store whose file fails the test when it is asked for a customer."""

    def refuse(*_: object) -> dict[str, object]:
        raise AssertionError("the file was asked")

    monkeypatch.setattr(SnapshotFile, "get_many", refuse)
    monkeypatch.setattr(SnapshotFile, "table", refuse)
    return store


def test_redis_answers_what_the_file_answers(opener: Opener, snapshot: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = SnapshotFile(snapshot)
    rows, cube = file.get_many(KEYS), file.table("cube", KEYS[:3])
    store = asked_only_redis(opener(snapshot, "d1"), monkeypatch)

    assert (store.columns, store.customers_count) == (file.columns, 30)
    assert store.get_many(KEYS) == rows
    assert store.get(KEYS[4]) == rows[KEYS[4]]
    found = store.table("cube", KEYS[:3])
    assert found is not None
    assert cube is not None
    assert found.sort_by("kwh") == cube.sort_by("kwh")
    assert store.sample_keys(2) == file.sample_keys(2)


def test_an_unknown_customer_and_an_empty_question_are_answered_with_nothing(opener: Opener, snapshot: Path) -> None:
    store = opener(snapshot, "d1")

    assert store.get("nobody") is None
    assert store.get_many([]) == {}
    assert store.table("cube", ["nobody"]) is None


def test_a_second_server_uses_what_the_first_has_loaded(client: Any, opener: Opener, snapshot: Path) -> None:
    opener(snapshot, "d1")
    keys = set(client.keys("*"))

    opener(snapshot, "d1")

    assert set(client.keys("*")) == keys


def test_another_release_has_features_of_its_own(
    opener: Opener, snapshot: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other.sqlite"
    write_feature_snapshot(other, feature_table("segmentation", seed=2), FEATURES)
    expected = SnapshotFile(snapshot).get_many(KEYS), SnapshotFile(other).get_many(KEYS)
    stores = [opener(snapshot, "d1"), opener(other, "d2")]
    monkeypatch.setattr(SnapshotFile, "get_many", lambda *_: {})

    assert tuple(store.get_many(KEYS) for store in stores) == expected
    assert expected[0] != expected[1]


def test_half_a_load_is_never_read_and_leaves_nothing_for_ever(
    client: Any, opener: Opener, snapshot: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_features, "_CUSTOMERS_PER_COMMAND", 10)
    written: list[str] = []

    def fail_halfway(self: RedisFeatures, entries: Any) -> None:
        first = list(entries)[:10]
        written.extend(key for _, key, _ in first)
        original(self, first)
        raise redis.ConnectionError("cut")

    original = RedisFeatures._write
    monkeypatch.setattr(RedisFeatures, "_write", fail_halfway)
    before = fallbacks()
    store = opener(snapshot, "d1")

    assert len(written) == 10
    assert client.get(f"{KEY_PREFIX}:d1") is None
    assert all(0 < client.ttl(key) <= LIFE_SECONDS for key in client.keys("*"))
    assert store.get_many(KEYS) == SnapshotFile(snapshot).get_many(KEYS)
    assert fallbacks() > before


def test_everything_expires_unless_it_is_renewed(
    client: Any, opener: Opener, snapshot: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = opener(snapshot, "d1")
    keys = client.keys("*")
    for key in keys:
        client.expire(key, 5)

    monkeypatch.setattr(store, "_renew_at", 0.0)
    store.renew()

    assert len(keys) == 3
    assert all(client.ttl(key) > 5 for key in keys)
    assert client.keys("*") == keys


def test_features_that_redis_lost_come_from_the_file_and_are_loaded_again(
    client: Any, opener: Opener, snapshot: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = opener(snapshot, "d1")
    rows = SnapshotFile(snapshot).get_many(KEYS)
    client.flushall()

    assert store.get_many(KEYS) == rows

    monkeypatch.setattr(store, "_renew_at", 0.0)
    store.renew()

    assert asked_only_redis(store, monkeypatch).get_many(KEYS) == rows


def test_without_redis_the_file_answers_and_it_is_counted(tmp_path: Path, snapshot: Path) -> None:
    before = fallbacks()
    store = redis_opener(f"unix://{tmp_path}/nothing.sock")(snapshot, "d1")

    assert store.get_many(KEYS) == SnapshotFile(snapshot).get_many(KEYS)
    assert fallbacks() == before + 1


def test_a_board_serves_releases_from_redis(opener: Opener, tmp_path: Path) -> None:
    store = ModelStore(tmp_path / "home", opener)
    board = ReleaseBoard(store, poll_seconds=1)
    first = publish(store, tmp_path, "credit_risk")
    board.refresh()
    model = board.get("credit_risk")
    assert model is not None
    assert model.identity.release == first.name
    assert not model.runs_in_event_loop

    second = publish(store, tmp_path, "credit_risk", marts_version="m2")
    board.refresh()

    model = board.get("credit_risk")
    assert model is not None
    assert model.identity.release == second.name
    assert KEYS[0] in model.many_from_snapshot(KEYS)


@pytest.mark.parametrize("address", ["redis://127.0.0.1:port", "http://127.0.0.1"])
def test_what_is_no_address_of_redis_is_refused(address: str) -> None:
    with pytest.raises(ServingConfigurationError, match="KILOWISE_FEATURE_STORE"):
        redis_opener(address)
