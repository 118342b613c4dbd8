from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import httpx
import pytest
from starlette.responses import PlainTextResponse

from serving.app import build_app
from serving.guard import ServerPagesGuard
from serving.runtime import Runtime
from serving.settings import ServingSettings
from tests.unit.serving.builders import customer_id
from tests.unit.serving.conftest import TestClient

CREDIT = "/v1/credit_risk/score"


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


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/healthz", "/schema.json", "/docs"])
def test_of_bentomls_own_pages_only_the_probes_are_shown(path: str) -> None:
    answer = TestClient(_pages()).get(path)

    said = {"/schema.json": "not_found", "/docs": "ours"}.get(path, "of BentoML")
    assert said in answer.text
    assert answer.status_code == (404 if path == "/schema.json" else 200)
    # What is not BentoML's own gets its headers from our application.
    assert ("X-Content-Type-Options" in answer.headers) is (path != "/docs")


@pytest.mark.parametrize("method", ["POST", "PUT", "OPTIONS", "TRACE"])
def test_a_probe_with_another_method_is_405_in_the_one_shape(method: str) -> None:
    answer = TestClient(_pages()).request(method, "/readyz")

    assert answer.status_code == 405
    assert answer.json()["type"] == "method_not_allowed"
    assert answer.json()["allowed"] == ["GET", "HEAD"]
    assert answer.headers["Allow"] == "GET, HEAD"


def _pages() -> ServerPagesGuard:
    return ServerPagesGuard(PlainTextResponse("of BentoML"), api=PlainTextResponse("ours"))
