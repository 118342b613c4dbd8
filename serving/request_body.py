"""Reading the body of a request: media type, size and time are checked before anything is parsed."""

import asyncio
import tempfile
from collections.abc import Callable
from typing import IO

from starlette.requests import ClientDisconnect, Request

from serving.errors import ApiError

JSON = "application/json"
NDJSON = "application/x-ndjson"

# A larger batch of lines waits on disk, in a file without a name that is gone with its request.
_LINES_IN_MEMORY_BYTES = 1_000_000


def media_type(request: Request) -> str:
    """Return how the body is sent: `JSON` or `NDJSON`.

    Raises:
        ApiError: It is sent as something else, in another charset, or compressed.
    """
    sent_as, _, parameters = request.headers.get("content-type", "").partition(";")
    found = sent_as.strip().lower()
    if found not in (JSON, NDJSON):
        raise ApiError(
            415,
            "unsupported_media_type",
            "send the body with the header `Content-Type: application/json`, or a batch as `application/x-ndjson`",
            field="Content-Type",
            allowed=[JSON, NDJSON],
        )
    charset = parameters.strip().lower().removeprefix("charset=").strip('"')
    if charset not in ("", "utf-8", "utf8"):
        raise ApiError(415, "unsupported_media_type", "send the body in UTF-8", field="Content-Type", allowed=["utf-8"])
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise ApiError(
            415,
            "unsupported_media_type",
            "send the body uncompressed, without `Content-Encoding`",
            field="Content-Encoding",
            allowed=["identity"],
        )
    return found


async def read_json_body(request: Request, *, largest_bytes: int, timeout_seconds: float) -> bytes:
    """Return the body of a request.

    Raises:
        ApiError: It is too large, arrives too slowly or ends too early.
    """
    chunks: list[bytes] = []
    await _receive(request, chunks.append, largest_bytes=largest_bytes, timeout_seconds=timeout_seconds)
    return b"".join(chunks)


async def read_lines(request: Request, *, largest_bytes: int, most_lines: int, timeout_seconds: float) -> IO[bytes]:
    """Return the body of an NDJSON request as a file at its start; memory stays bounded, whatever its size.

    All of it is read before anything is answered: many clients do not read while they write, and both sides would
    wait for each other.

    Raises:
        ApiError: It is too large, has too many lines, arrives too slowly or ends too early, or there is no room.
    """
    body = tempfile.SpooledTemporaryFile(_LINES_IN_MEMORY_BYTES)  # noqa: SIM115  # closed by who reads the lines
    lines_count = 0

    def take(chunk: bytes) -> None:
        nonlocal lines_count
        lines_count += chunk.count(b"\n")
        if lines_count > most_lines:
            raise ApiError(
                413, "body_too_large", f"a request may have {most_lines} lines; split it into several requests"
            )
        body.write(chunk)

    try:
        await _receive(request, take, largest_bytes=largest_bytes, timeout_seconds=timeout_seconds)
        body.seek(0)
    except OSError as error:
        body.close()
        raise ApiError(
            503, "store_unavailable", "there is no room to take in a batch of this size now", retry_after_seconds=5
        ) from error
    except BaseException:
        body.close()
        raise
    return body


async def _receive(
    request: Request, take: Callable[[bytes], object], *, largest_bytes: int, timeout_seconds: float
) -> None:
    too_large = ApiError(
        413, "body_too_large", f"a body may have {largest_bytes} bytes; split the batch into several requests"
    )
    declared = request.headers.get("content-length", "0")
    if declared.isdigit() and int(declared) > largest_bytes:
        raise too_large
    received_bytes = 0
    try:
        async with asyncio.timeout(timeout_seconds):
            async for chunk in request.stream():
                received_bytes += len(chunk)
                if received_bytes > largest_bytes:
                    raise too_large
                take(chunk)
    except TimeoutError:
        raise ApiError(
            408, "body_timeout", f"the body must arrive within {timeout_seconds:g} seconds; send it again"
        ) from None
    except ClientDisconnect:
        raise ApiError(400, "incomplete_request", "the connection closed before the body was complete") from None
