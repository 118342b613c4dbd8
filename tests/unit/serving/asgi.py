"""Calls an application without a socket and without a client library: what thousands of requests need."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes


async def call(
    app: FastAPI,
    path: str,
    body: bytes | Iterable[bytes] = b"",
    *,
    method: str = "POST",
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """Send one request, in one piece or several, and return the whole answer."""
    pieces = iter([body] if isinstance(body, bytes) else body)
    start: dict[str, Any] = {}
    received: list[bytes] = []
    is_sent = False

    async def receive() -> dict[str, Any]:
        nonlocal is_sent
        if is_sent:
            # Nothing more comes; who streams an answer waits here for the caller to go away.
            await asyncio.Event().wait()
        piece = next(pieces, None)
        is_sent = piece is None
        return {"type": "http.request", "body": piece or b"", "more_body": not is_sent}

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            start.update(message)
        else:
            received.append(message.get("body", b""))

    await app(
        {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "root_path": "",
            "query_string": b"",
            "headers": [
                (name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in (headers or {}).items()
            ],
            "client": ("127.0.0.1", 40_000),
            "server": ("127.0.0.1", 3_100),
        },
        receive,
        send,  # type: ignore[arg-type]  # Starlette types messages as mutable mappings
    )
    decoded = {name.decode("latin-1"): value.decode("latin-1") for name, value in start["headers"]}
    return Answer(start["status"], decoded, b"".join(received))


def run(coroutine: Any) -> Any:
    """Run a coroutine to its end."""
    return asyncio.run(coroutine)
