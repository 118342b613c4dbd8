import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import httpx
import pytest

from serving.app import build_app
from serving.runtime import Runtime
from serving.settings import ServingSettings
from tests.unit.serving.builders import customer_id
from tests.unit.serving.conftest import client_of

CREDIT = "/v1/credit_risk/score"
KEYS = ("first key", "second key")


@pytest.fixture
def keyed_runtime(released_home: Path) -> Runtime:
    digests = tuple(hashlib.sha256(key.encode()).hexdigest() for key in KEYS)
    return Runtime(ServingSettings(home=released_home, log_predictions=False, api_keys=digests))


@pytest.mark.parametrize(
    "headers",
    [
        {"X-API-Key": "first key"},
        {"X-API-Key": "second key"},
        {"Authorization": "Bearer first key"},
        {"Authorization": "bearer second key"},
    ],
)
def test_a_known_key_is_let_in(keyed_runtime: Runtime, headers: dict[str, str]) -> None:
    assert client_of(keyed_runtime).get("/v1/releases", headers=headers).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-API-Key": ""},
        {"X-API-Key": "third key"},
        {"X-API-Key": hashlib.sha256(b"first key").hexdigest()},
        {"Authorization": "Basic first key"},
        {"Authorization": "Bearer"},
    ],
)
def test_any_other_key_is_401_before_anything_is_read(keyed_runtime: Runtime, headers: dict[str, str]) -> None:
    response = client_of(keyed_runtime).post(CREDIT, content=b"{", headers=headers)

    assert response.status_code == 401
    assert response.json()["type"] == "unauthorized"
    assert response.headers["WWW-Authenticate"] == "Bearer"


def test_pages_for_people_and_machines_need_no_key(keyed_runtime: Runtime) -> None:
    client = client_of(keyed_runtime)

    assert [client.get(page).status_code for page in ("/docs", "/openapi.json", "/metrics")] == [200, 200, 200]


def test_more_requests_than_the_limit_are_429_and_none_fails(released_home: Path) -> None:
    runtime = Runtime(ServingSettings(home=released_home, log_predictions=False, max_concurrent_requests=3))
    runtime.start()
    app = build_app()
    app.state.runtime = runtime
    body = {"customer_ids": [customer_id(number % 30) for number in range(300)]}

    async def call_together() -> list[httpx.Response]:
        responses: list[httpx.Response] = []
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:

            async def call() -> None:
                responses.append(await client.post(CREDIT, json=body))

            async with anyio.create_task_group() as group:
                for _ in range(12):
                    group.start_soon(call)
        return responses

    responses = anyio.run(call_together)
    runtime.stop()

    statuses = [response.status_code for response in responses]
    assert set(statuses) == {200, 429}
    assert statuses.count(200) >= 3
    refused = next(response for response in responses if response.status_code == 429)
    assert refused.headers["Retry-After"] == "1"
    assert refused.json()["type"] == "too_many_requests"
    assert runtime.requests_in_flight_count == 0


def test_a_slow_body_is_408(released_home: Path) -> None:
    runtime = Runtime(ServingSettings(home=released_home, log_predictions=False, body_timeout_seconds=0.05))
    runtime.start()
    app = build_app()
    app.state.runtime = runtime

    async def drip() -> httpx.Response:
        async def content() -> AsyncIterator[bytes]:
            yield b'{"customer_id": '
            await anyio.sleep(0.5)
            yield b'"a"}'

        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
            return await client.post(CREDIT, content=content(), headers={"Content-Type": "application/json"})

    response = anyio.run(drip)
    runtime.stop()

    assert response.status_code == 408
