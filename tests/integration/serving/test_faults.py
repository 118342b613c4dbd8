"""A server of two workers under overload, slow callers, a full disk, a killed worker, and a stop under load."""

import asyncio
import resource
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import httpx
import psutil
import pyarrow.dataset as ds
import pytest

from serving.model_store import ModelStore
from tests.integration.serving.servers import Connection, Server, request_head, start_server, wait_until, whole_request
from tests.unit.serving.builders import customer_id, publish

CREDIT = "/v1/credit_risk/score"
ONE = {"customer_id": customer_id(1)}
BATCH = {"customer_ids": [customer_id(number % 30) for number in range(1_000)]}
MANY_CONNECTIONS = 1_000

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of two workers with short patience. The last test of this file stops it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = 3 * MANY_CONNECTIONS
    if hard != resource.RLIM_INFINITY and hard < needed:
        pytest.skip(f"this machine allows {hard} open files; the test needs {needed}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, needed), hard))
    home, work_dir = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("work")
    publish(ModelStore(home), work_dir, "credit_risk")
    settings = {
        "WORKERS": "2",
        "BODY_TIMEOUT_SECONDS": "1",
        "HEADER_TIMEOUT_SECONDS": "3",
        "WRITE_TIMEOUT_SECONDS": "1",
        "PREDICTION_LOG_FLUSH_SECONDS": "0.5",
        "RELEASE_POLL_SECONDS": "5",
    }
    server = start_server(home, work_dir, {f"KILOWISE_{name}": value for name, value in settings.items()})
    yield server
    if server.process.poll() is None:
        server.stop()
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def score(server: Server, **options: Any) -> httpx.Response:
    return httpx.post(server.url + CREDIT, json=ONE, timeout=30, **options)


def score_batch(server: Server) -> httpx.Response:
    return httpx.post(server.url + CREDIT, json=BATCH, timeout=30)


def logged_request_ids(server: Server) -> list[str]:
    folder = server.home / "predictions" / "log" / "credit_risk"
    found: list[str] = (
        ds.dataset(folder, partitioning="hive").to_table(columns=["request_id"])["request_id"].to_pylist()
    )
    return found


def metric(server: Server, name: str) -> float:
    lines = httpx.get(server.url + "/metrics").text.splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name))


def test_a_thousand_connections_at_once_get_results_or_429_and_nothing_else(server: Server) -> None:
    async def call(answered: asyncio.Semaphore, everybody_is_answered: asyncio.Event) -> int:
        async with Connection(server.port) as connection:
            status, answer = await connection.post(CREDIT, ONE)
            assert status == 200 or answer["type"] == "too_many_requests"
            answered.release()
            await everybody_is_answered.wait()
            return status

    async def call_all_at_once() -> list[int]:
        answered, everybody_is_answered = asyncio.Semaphore(0), asyncio.Event()
        async with asyncio.TaskGroup() as group:
            calls = [group.create_task(call(answered, everybody_is_answered)) for _ in range(MANY_CONNECTIONS)]
            for _ in calls:
                await answered.acquire()
            everybody_is_answered.set()
        return [call.result() for call in calls]

    statuses = asyncio.run(call_all_at_once())

    assert len(statuses) == MANY_CONNECTIONS
    assert set(statuses) <= {200, 429}
    assert 200 in statuses
    assert score(server).status_code == 200


def test_slow_callers_are_shown_the_door_and_hold_up_nobody(server: Server) -> None:
    content = b'{"customer_id": "C0000001"}'

    async def slow_body() -> int:
        async with Connection(server.port) as connection:
            await connection.send(request_head(CREDIT, len(content)) + content[:5])
            return (await connection.answer())[0]

    async def slow_header() -> int:
        async with Connection(server.port) as connection:
            await connection.send(request_head(CREDIT, len(content))[:40])
            return (await connection.answer())[0]

    async def slow_reader() -> int:
        loop = asyncio.get_running_loop()
        with socket.socket() as caller:
            # So small that most of the answer waits at the server.
            caller.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            caller.setblocking(False)
            await loop.sock_connect(caller, ("127.0.0.1", server.port))
            await loop.sock_sendall(caller, whole_request(CREDIT, BATCH))
            await asyncio.sleep(5)
            received_bytes = 0
            with suppress(ConnectionError):
                async with asyncio.timeout(20):
                    while part := await loop.sock_recv(caller, 65_536):
                        received_bytes += len(part)
            return received_bytes

    async def others() -> list[float]:
        async with Connection(server.port) as connection:
            seconds = []
            for _ in range(20):
                began = time.monotonic()
                status, _ = await connection.post(CREDIT, ONE)
                assert status == 200
                seconds.append(time.monotonic() - began)
                await asyncio.sleep(0.05)
            return seconds

    async def all_at_once() -> tuple[list[int], list[int], list[int], list[float]]:
        return await asyncio.gather(
            asyncio.gather(*(slow_body() for _ in range(20))),
            asyncio.gather(*(slow_header() for _ in range(20))),
            asyncio.gather(*(slow_reader() for _ in range(2))),
            others(),
        )

    bodies, headers, readers, seconds = asyncio.run(all_at_once())

    assert set(bodies) == {408}
    assert set(headers) == {408}
    assert max(readers) < len(score_batch(server).content)
    assert max(seconds) < 5


def test_a_disk_that_takes_nothing_stops_no_answer_and_loses_no_row_once_it_heals(server: Server) -> None:
    workers = server.workers()
    unlimited = [worker.rlimit(psutil.RLIMIT_FSIZE) for worker in workers]
    failures = metric(server, "kilowise_prediction_log_write_failures_total")
    try:
        for worker, (_, hard) in zip(workers, unlimited, strict=True):
            # The kernel refuses to let any file grow, as a full disk does.
            worker.rlimit(psutil.RLIMIT_FSIZE, (0, hard))
        answers = [score(server) for _ in range(20)]
        wait_until(
            lambda: metric(server, "kilowise_prediction_log_write_failures_total") > failures,
            20,
            "the failed write of the log was not counted",
        )
        answers += [score(server) for _ in range(20)]
    finally:
        for worker, limits in zip(workers, unlimited, strict=True):
            worker.rlimit(psutil.RLIMIT_FSIZE, limits)

    assert {answer.status_code for answer in answers} == {200}
    request_ids = {answer.json()["request_id"] for answer in answers}
    wait_until(lambda: request_ids <= set(logged_request_ids(server)), 20, "rows were lost")
    logged = [request_id for request_id in logged_request_ids(server) if request_id in request_ids]
    assert len(logged) == len(request_ids) == 40


def test_a_killed_worker_is_replaced_and_the_other_one_answers_meanwhile(server: Server) -> None:
    victim, survivor = server.workers()

    victim.kill()
    # Connections of their own, so that the kernel hands each to whoever listens.
    statuses = [score(server).status_code for _ in range(40)]

    assert statuses == [200] * 40
    assert survivor.is_running()
    wait_until(lambda: len(server.workers()) == 2, 30, "the killed worker was not replaced")
    assert victim.pid not in {worker.pid for worker in server.workers()}


def test_a_stop_under_load_answers_what_was_accepted_and_logs_every_answer(server: Server) -> None:
    answered: list[str] = []
    cut_off_count = 0
    stopping = asyncio.Event()

    async def in_work() -> None:
        async with Connection(server.port) as connection:
            status, answer = await connection.post(CREDIT, BATCH)
            assert status == 200
            answered.append(answer["request_id"])

    async def call_until_refused() -> None:
        nonlocal cut_off_count
        async with Connection(server.port) as connection:
            while True:
                try:
                    status, answer = await connection.post(CREDIT, ONE)
                except ConnectionError:
                    # An idle connection is closed; what crosses on the wire was never accepted.
                    assert stopping.is_set()
                    cut_off_count += 1
                    return
                assert status == 200
                answered.append(answer["request_id"])

    async def stop_under_load() -> None:
        calls = [asyncio.create_task(call_until_refused()) for _ in range(8)]
        calls += [asyncio.create_task(in_work()) for _ in range(4)]
        await asyncio.sleep(0.3)
        stopping.set()
        server.process.send_signal(signal.SIGTERM)
        await asyncio.gather(*calls)

    asyncio.run(stop_under_load())

    assert server.process.wait(timeout=60) == 0
    assert cut_off_count == 8
    assert set(answered) <= set(logged_request_ids(server))
    assert "Traceback" not in server.log
    assert customer_id(1) not in server.log
