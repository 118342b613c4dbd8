"""Releases and rollbacks while callers call: nobody notices, and no answer mixes two releases."""

import asyncio
from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest

from ml.splits import add_months
from tests.integration.serving.servers import Connection, Server, start_server, wait_until
from tests.unit.serving.builders import approval, customer_id, feature_table, write_small_bundle

SEGMENTATION = "/v1/segmentation/assign"
CONNECTIONS = 16
RELEASES = 10
MODELS = 3
FIRST_MONTH = date(2025, 1, 1)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = start_server(
        tmp_path_factory.mktemp("home"),
        tmp_path_factory.mktemp("work"),
        {"KILOWISE_RELEASE_POLL_SECONDS": "0.05", "KILOWISE_LOG_PREDICTIONS": "false"},
    )
    yield server
    server.stop()


def stored_models(server: Server) -> list[str]:
    """Store models whose segments are named by their place in the list, and return their versions."""
    versions = []
    for place in range(MODELS):
        directory = server.work_dir / f"segmentation-{place}"
        versions.append(write_small_bundle(directory, "segmentation", variant=place).version)
        server.store.store_bundle(directory)
    return versions


def release(server: Server, versions: list[str], number: int) -> tuple[str, str, str, str]:
    """Publish a release whose model, features and version all tell its number; return what its answers tell."""
    month = add_months(FIRST_MONTH, number)
    place = number % MODELS
    manifest = server.store.publish_release(
        "segmentation",
        versions[place],
        feature_table("segmentation", month=month),
        gate=approval("segmentation"),
        approved_by="automatic policy",
        marts_version=f"m{number}",
    )
    return manifest.name, versions[place], str(place), month.isoformat()


def parts_of(answer: dict[str, Any]) -> set[tuple[str, str, str, str]]:
    """Return release, version, place of the model, and month of the features that an answer tells."""
    return {
        (
            answer["release"],
            answer["model_version"],
            result["prediction"]["segment_name"].rsplit(" ", 1)[-1],
            result["features_as_of_month"],
        )
        for result in answer["results"]
        if result["prediction"]["segment_name"][-1].isdigit()
    }


def test_ten_releases_and_two_rollbacks_under_load_fail_no_request_and_mix_no_two_releases(server: Server) -> None:
    versions = stored_models(server)
    released = [release(server, versions, 0)]
    wait_until(lambda: server.served_release("segmentation") == released[0][0], 20, "the first was not taken up")
    seen: list[tuple[int, frozenset[tuple[str, str, str, str]]]] = []
    served: list[str] = []
    stop = asyncio.Event()

    async def call_until_stopped(number: int) -> None:
        body = {"customer_ids": [customer_id(n) for n in range(number, number + 4)]}
        async with Connection(server.port) as connection:
            while not stop.is_set():
                status, answer = await connection.post(SEGMENTATION, body)
                seen.append((status, frozenset(parts_of(answer)) if status == 200 else frozenset()))
                await asyncio.sleep(0.02)

    def take_up(name: str) -> None:
        wait_until(lambda: server.served_release("segmentation") == name, 20, f"{name} was not taken up")
        served.append(name)

    def change_releases() -> None:
        for number in range(1, RELEASES + 1):
            released.append(release(server, versions, number))
            take_up(released[-1][0])
        for name, *_ in (released[-2], released[-3]):
            server.store.rollback("segmentation", name, by="test", reason="test")
            take_up(name)

    async def load() -> None:
        callers = [asyncio.create_task(call_until_stopped(number)) for number in range(CONNECTIONS)]
        try:
            await asyncio.to_thread(change_releases)
        finally:
            stop.set()
            await asyncio.gather(*callers)

    asyncio.run(load())

    assert served == [name for name, *_ in (*released[1:], released[-2], released[-3])]
    assert {status for status, _ in seen} == {200}
    assert all(len(parts) <= 1 for _, parts in seen)
    assert {part for _, parts in seen for part in parts} == set(released)
