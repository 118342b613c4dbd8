"""A real server as `make serve` starts it, and a client that holds many connections at little cost."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import psutil
import pytest

from serving.model_store import ModelStore

PROJECT_ROOT = Path(__file__).resolve().parents[3]


@dataclass
class Server:
    """A running server.

    Attributes:
        url: Its address.
        port: The port in it.
        home: Its state folder.
        work_dir: Folder of its log, for whatever a test makes.
        process: The supervisor.
    """

    url: str
    port: int
    home: Path
    work_dir: Path
    process: subprocess.Popen[bytes]

    @property
    def store(self) -> ModelStore:
        """Where its releases come from."""
        return ModelStore(self.home)

    @property
    def log(self) -> str:
        """What it printed."""
        return (self.work_dir / "server.log").read_text(encoding="utf-8")

    def status_of(self, path: str) -> int | None:
        """Return the status of a page, or None when nobody answers."""
        try:
            return httpx.get(self.url + path).status_code
        except httpx.TransportError:
            return None

    def served_release(self, use_case: str) -> str | None:
        """Return the release that answers for a use case."""
        releases = httpx.get(self.url + "/v1/releases").json()["releases"]
        return next((entry["release"] for entry in releases if entry["use_case"] == use_case), None)

    def workers(self) -> list[psutil.Process]:
        """Return the processes that answer."""
        found = []
        for child in psutil.Process(self.process.pid).children(recursive=True):
            # A child may end while it is looked at, and a killed one is a zombie until the supervisor has noticed.
            with suppress(psutil.NoSuchProcess):
                if "worker.service" in " ".join(child.cmdline()):
                    found.append(child)
        return found

    def stop(self) -> int:
        """Stop it as an operator does and return its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=60)


def start_server(home: Path, work_dir: Path, settings: Mapping[str, str] | None = None) -> Server:
    """Start a server and wait until it lives; ``settings`` are further variables of its environment."""
    port = free_port()
    environment = {**os.environ, "KILOWISE_HOME": str(home), "KILOWISE_PORT": str(port), **(settings or {})}
    with (work_dir / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "serving"], cwd=PROJECT_ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT
        )
    server = Server(f"http://127.0.0.1:{port}", port, home, work_dir, process)
    with ExitStack() as on_failure:
        on_failure.callback(server.stop)
        wait_until(lambda: server.status_of("/livez") == 200, 60, f"no server; see {work_dir / 'server.log'}")
        on_failure.pop_all()
    return server


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(condition: Callable[[], bool], seconds: float, message: str) -> None:
    """Wait for something; the test fails with the message when it does not come."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(message)
        time.sleep(0.05)


class Connection:
    """One kept connection to a server; a tenth of the CPU time that a full client takes.

    Args:
        port: Where the server listens on loopback.
    """

    def __init__(self, port: int) -> None:
        self._port = port

    async def __aenter__(self) -> Self:
        """Connect."""
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Disconnect."""
        self._writer.close()

    async def post(self, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Return status and answer of one request.

        Raises:
            ConnectionError: The server ended the connection before the answer was complete.
        """
        await self.send(whole_request(path, body))
        return await self.answer()

    async def send(self, data: bytes) -> None:
        """Send bytes."""
        self._writer.write(data)
        await self._writer.drain()

    async def answer(self) -> tuple[int, dict[str, Any]]:
        """Read one answer."""
        try:
            head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
            length = int(head.partition("content-length:")[2].partition("\r\n")[0])
            content = await self._reader.readexactly(length)
        except asyncio.IncompleteReadError as error:
            raise ConnectionResetError("the server ended the connection before its answer") from error
        return int(head.split(" ", 2)[1]), json.loads(content) if content else {}


def request_head(path: str, length: int) -> bytes:
    """Return the head of a POST of JSON."""
    return (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    ).encode()


def whole_request(path: str, body: dict[str, Any]) -> bytes:
    """Return a POST of JSON, head and body."""
    content = json.dumps(body).encode()
    return request_head(path, len(content)) + content
