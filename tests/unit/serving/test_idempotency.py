"""Answers that are kept under a caller's key: the store, and what the API makes of it."""

import random
import sqlite3
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from serving.errors import ApiError
from serving.idempotency import (
    ANSWERS_FILE,
    LEASE_SECONDS,
    Claim,
    IdempotencyStore,
    forget_answers,
    idempotency_key,
)
from serving.runtime import Runtime
from serving.settings import ServingSettings
from tests.unit.serving.builders import customer_id
from tests.unit.serving.conftest import client_of

CREDIT = "/v1/credit_risk/score"
DAY_SECONDS = 86_400.0


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> Iterator[IdempotencyStore]:
    store = store_at(tmp_path / "answers.sqlite", clock)
    yield store
    store.close()


def store_at(path: Path, clock: Clock, *, capacity_bytes: int = 1_000_000) -> IdempotencyStore:
    return IdempotencyStore(
        path, secret=b"secret", keep_seconds=DAY_SECONDS, capacity_bytes=capacity_bytes, clock=clock
    )


def claimed(store: IdempotencyStore, key: str = "k", request: bytes = b"body", caller: str = "one") -> Claim:
    claim = store.claim(caller, key, request)
    assert isinstance(claim, Claim)
    return claim


def refused(store: IdempotencyStore, request: bytes = b"body") -> tuple[int, str]:
    with pytest.raises(ApiError) as caught:
        store.claim("one", "k", request)
    return caught.value.status, caught.value.kind


def test_the_answer_is_given_again_also_by_another_process(store: IdempotencyStore, clock: Clock) -> None:
    store.finish(claimed(store), b"answer")
    other = store_at(store._path, clock)

    assert store.claim("one", "k", b"body") == b"answer"
    assert other.claim("one", "k", b"body") == b"answer"
    other.close()


def test_another_body_with_the_key_is_refused(store: IdempotencyStore) -> None:
    store.finish(claimed(store), b"answer")

    assert refused(store, b"another body") == (422, "idempotency_key_reused")


def test_a_request_in_work_is_a_conflict_until_it_ends_or_its_process_is_dead(
    store: IdempotencyStore, clock: Clock
) -> None:
    first = claimed(store)
    assert refused(store) == (409, "idempotency_key_in_use")

    store.withdraw(first)
    second = claimed(store)
    clock.now += LEASE_SECONDS + 1
    third = claimed(store)
    store.finish(second, b"too late")
    store.finish(third, b"answer")

    assert store.claim("one", "k", b"body") == b"answer"


def test_two_callers_may_use_the_same_key(store: IdempotencyStore) -> None:
    store.finish(claimed(store, caller="one"), b"answer")

    claimed(store, caller="another", request=b"another body")


def test_an_answer_is_forgotten_after_its_time(store: IdempotencyStore, clock: Clock) -> None:
    store.finish(claimed(store), b"answer")
    clock.now += DAY_SECONDS

    claimed(store, request=b"another body")


def test_the_oldest_answers_make_room(tmp_path: Path, clock: Clock) -> None:
    store = store_at(tmp_path / "answers.sqlite", clock, capacity_bytes=2_500)
    generator = random.Random(1)
    for number in range(5):
        clock.now += 1
        store.finish(claimed(store, key=str(number)), generator.randbytes(1_000))

    kept = [isinstance(store.claim("one", str(number), b"body"), bytes) for number in range(5)]
    store.close()

    assert kept == [False, False, False, True, True]


def test_an_erasure_forgets_all_answers_while_the_server_runs(tmp_path: Path, clock: Clock) -> None:
    assert forget_answers(tmp_path) == 0
    store = store_at(tmp_path / ANSWERS_FILE, clock)
    for number in range(3):
        store.finish(claimed(store, key=str(number)), b"answer" * 1_000)

    assert forget_answers(tmp_path) == 3

    assert isinstance(store.claim("one", "1", b"body"), Claim)
    assert zlib.compress(b"answer" * 1_000, 1) not in b"".join(
        path.read_bytes() for path in (tmp_path / ANSWERS_FILE).parent.iterdir()
    )
    store.close()


def test_a_store_that_cannot_be_written_is_503(tmp_path: Path, clock: Clock) -> None:
    (tmp_path / "answers.sqlite").write_bytes(b"no database at all" * 100)

    assert refused(store_at(tmp_path / "answers.sqlite", clock)) == (503, "store_unavailable")


@pytest.mark.parametrize(("header", "key"), [('"a-b"', "a-b"), ("a-b", "a-b"), ('"', '"')])
def test_quotes_of_a_structured_field_are_not_part_of_the_key(header: str, key: str) -> None:
    assert idempotency_key(header) == key


@pytest.mark.parametrize("header", ["", '""', "x" * 256, "schlüssel", "a\tb"])
def test_odd_keys_are_400(header: str) -> None:
    with pytest.raises(ApiError) as caught:
        idempotency_key(header)

    assert (caught.value.status, caught.value.kind) == (400, "invalid_header")


@pytest.fixture
def keyed_client(released_home: Path, tmp_path: Path) -> Iterator[TestClient]:
    runtime = Runtime(ServingSettings(home=released_home, log_predictions=False))
    runtime.idempotency._path = tmp_path / "answers.sqlite"
    runtime.start()
    yield client_of(runtime)
    runtime.stop()


def send(client: TestClient, body: dict[str, Any], key: str = "7d1c") -> Any:
    return client.post(CREDIT, json=body, headers={"Idempotency-Key": key})


@pytest.mark.parametrize(
    "body",
    [{"customer_ids": [customer_id(1), "nobody", customer_id(2)]}, {"customer_id": customer_id(1)}],
    ids=["batch", "single"],
)
def test_a_request_sent_again_gets_the_same_answer_to_the_byte(keyed_client: TestClient, body: dict[str, Any]) -> None:
    first, again = send(keyed_client, body), send(keyed_client, body)

    assert again.content == first.content
    assert again.headers["Kilowise-Release"] == first.headers["Kilowise-Release"] == first.json()["release"]
    assert "Idempotency-Replayed" not in first.headers
    assert again.headers["Idempotency-Replayed"] == "true"


def test_another_body_is_422_and_a_failed_request_leaves_its_key_free(keyed_client: TestClient) -> None:
    assert send(keyed_client, {"customer_id": "nobody"}).status_code == 404
    assert send(keyed_client, {"customer_id": customer_id(1)}).status_code == 200

    refusal = send(keyed_client, {"customer_id": customer_id(2)})

    assert (refusal.status_code, refusal.json()["type"]) == (422, "idempotency_key_reused")
    assert refusal.json()["field"] == "Idempotency-Key"


def test_the_same_request_while_the_first_is_in_work_is_409(
    keyed_client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    began, may_end = threading.Event(), threading.Event()
    runtime: Runtime = keyed_client.app.state.runtime  # type: ignore[attr-defined]  # TestClient types an ASGI callable
    outcomes = runtime.policy_desk.outcomes

    def slowly(*arguments: Any) -> Any:
        began.set()
        may_end.wait(30)
        return outcomes(*arguments)

    monkeypatch.setattr(runtime.policy_desk, "outcomes", slowly)
    body = {"customer_ids": [customer_id(1)]}
    answers: list[Any] = []
    caller = threading.Thread(target=lambda: answers.append(send(keyed_client, body)))
    caller.start()
    assert began.wait(30)
    conflict = send(client_of(runtime), body)
    may_end.set()
    caller.join()

    assert (conflict.status_code, conflict.json()["type"]) == (409, "idempotency_key_in_use")
    assert conflict.headers["Retry-After"] == "1"
    assert send(keyed_client, body).content == answers[0].content


def test_an_answer_given_again_is_charged_once(keyed_client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    runtime: Runtime = keyed_client.app.state.runtime  # type: ignore[attr-defined]  # TestClient types an ASGI callable
    charged: list[int] = []
    monkeypatch.setattr(runtime.access, "charge", lambda _caller, count: charged.append(count))

    for _ in range(2):
        send(keyed_client, {"customer_ids": [customer_id(1), customer_id(2)]})

    assert charged == [2]


def test_neither_ids_nor_keys_are_stored(keyed_client: TestClient, tmp_path: Path) -> None:
    send(keyed_client, {"customer_ids": [customer_id(1), customer_id(2)]}, key="secret-key-of-caller")

    with sqlite3.connect(tmp_path / "answers.sqlite") as connection:
        (answer,) = connection.execute("SELECT answer FROM answers").fetchone()
    connection.close()
    stored = zlib.decompress(answer) + b"".join(path.read_bytes() for path in tmp_path.iterdir())

    assert b"default_probability" in stored
    assert customer_id(1).encode() not in stored
    assert b"secret-key-of-caller" not in stored
