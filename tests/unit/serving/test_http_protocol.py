"""A real uvicorn with a small application, and clients that misbehave."""

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest
import uvicorn
import uvicorn.config

from serving.http_protocol import ConnectionLimits, LimitedHttpProtocol, install

SECONDS = 0.3
LARGE_BODY = b"x" * 30_000_000


async def application(scope: dict, receive: Callable, send: Callable) -> None:
    """Answer without waiting for the body, or with more than a socket takes at once."""
    body = LARGE_BODY if scope["path"] == "/large" else b"ok"
    if scope["path"] == "/read":
        while (await receive())["more_body"]:
            pass
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    before, limits_before = uvicorn.config.HTTP_PROTOCOLS["auto"], LimitedHttpProtocol.limits
    install(ConnectionLimits(header_seconds=SECONDS, header_bytes=4_096, write_seconds=SECONDS))
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        config = uvicorn.Config(application, log_config=None, lifespan="off", timeout_keep_alive=1)  # type: ignore[arg-type]
        server = uvicorn.Server(config)
        thread = threading.Thread(target=lambda: asyncio.run(server.serve([listener])), daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        assert config.http_protocol_class is LimitedHttpProtocol
        yield int(listener.getsockname()[1])
        server.should_exit = True
        thread.join()
    uvicorn.config.HTTP_PROTOCOLS["auto"] = before
    LimitedHttpProtocol.limits = limits_before


@pytest.fixture
def connection(port: int) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        yield connection


def until_closed(connection: socket.socket) -> tuple[bytes, float]:
    """Return what the server still says and after how many seconds it closes."""
    began = time.monotonic()
    received = bytearray()
    try:
        while data := connection.recv(65_536):
            received += data
    except ConnectionResetError:
        pass
    return bytes(received), time.monotonic() - began


def test_a_connection_without_a_byte_is_closed(connection: socket.socket) -> None:
    received, seconds = until_closed(connection)

    assert received.startswith(b"HTTP/1.1 408 ")
    assert SECONDS * 0.9 < seconds < 5


def test_headers_that_never_end_are_408_however_steadily_they_drip(connection: socket.socket) -> None:
    stop = threading.Event()

    def drip() -> None:
        try:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n")
            while not stop.wait(0.05):
                connection.sendall(b"X-A: b\r\n")
        except OSError:
            pass

    client = threading.Thread(target=drip)
    client.start()
    received, seconds = until_closed(connection)
    stop.set()
    client.join()

    assert received.startswith(b"HTTP/1.1 408 ")
    assert seconds < 5


def test_slow_headers_of_a_later_request_are_408_too(connection: socket.socket) -> None:
    connection.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost")
    received, _ = until_closed(connection)

    assert received.startswith(b"HTTP/1.1 200 ")
    assert b"HTTP/1.1 408 " in received


def test_headers_beyond_the_limit_are_431_before_they_are_complete(connection: socket.socket) -> None:
    connection.sendall(b"GET / HTTP/1.1\r\nX-Long: ")
    for _ in range(4):
        time.sleep(0.01)
        connection.sendall(b"x" * 1_500)

    received, _ = until_closed(connection)

    assert received.startswith(b"HTTP/1.1 431 ")


def test_the_rest_of_a_body_that_nobody_waits_for_has_a_time(connection: socket.socket) -> None:
    connection.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nbegin")

    received, seconds = until_closed(connection)

    assert received.startswith(b"HTTP/1.1 200 ")
    assert seconds < 5


def test_after_such_a_body_the_connection_is_not_kept_for_ever(connection: socket.socket) -> None:
    connection.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nbegin")
    time.sleep(SECONDS / 3)
    connection.sendall(b"12345")

    received, seconds = until_closed(connection)

    assert received.startswith(b"HTTP/1.1 200 ")
    assert seconds < 5


def test_a_client_that_takes_nothing_is_cut_off(connection: socket.socket) -> None:
    connection.sendall(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
    time.sleep(SECONDS * 3)

    received, _ = until_closed(connection)

    assert len(received) < len(LARGE_BODY)


def test_a_client_that_takes_its_answer_gets_all_of_it(connection: socket.socket) -> None:
    connection.sendall(b"GET /large HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")

    received, _ = until_closed(connection)

    assert received.endswith(b"x" * 1_000)
    assert len(received) > len(LARGE_BODY)


def test_a_slow_client_that_keeps_taking_its_answer_gets_all_of_it(port: int) -> None:
    with socket.socket() as connection:
        # A small window: the answer waits on the server for several times the limit.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        connection.settimeout(10)
        connection.connect(("127.0.0.1", port))
        connection.sendall(b"GET /large HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        taken, began = 0, time.monotonic()
        while time.monotonic() - began < SECONDS * 4:
            taken += len(connection.recv(20_000))
            time.sleep(0.01)
        received, _ = until_closed(connection)

    assert taken + len(received) > len(LARGE_BODY)


def test_requests_one_after_the_other_and_together_are_answered(connection: socket.socket) -> None:
    for _ in range(3):
        connection.sendall(b"POST /read HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n")
        time.sleep(SECONDS / 2)
        connection.sendall(b"ab")
        answer = connection.recv(1_000)
        while not answer.endswith(b"ok"):
            answer += connection.recv(1_000)
        assert answer.startswith(b"HTTP/1.1 200 ")
    connection.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 5 + b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n")

    received, _ = until_closed(connection)

    assert received.count(b"HTTP/1.1 200 ") == 6
