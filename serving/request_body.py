"""Reading the body of a request: media type, size and time are checked before anything is parsed."""

import asyncio

from starlette.requests import ClientDisconnect, Request

from serving.errors import ApiError


async def read_json_body(request: Request, *, largest_bytes: int, timeout_seconds: float) -> bytes:
    """Return the body of a request.

    Raises:
        ApiError: It is not sent as JSON, is too large or arrives too slowly.
    """
    media_type, _, parameters = request.headers.get("content-type", "").partition(";")
    if media_type.strip().lower() != "application/json":
        raise ApiError(415, "unsupported_media_type", "send the body with the header `Content-Type: application/json`")
    charset = parameters.strip().lower().removeprefix("charset=").strip('"')
    if charset not in ("", "utf-8", "utf8"):
        raise ApiError(415, "unsupported_media_type", "send the body in UTF-8", allowed=["utf-8"])
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise ApiError(415, "unsupported_media_type", "send the body uncompressed, without `Content-Encoding`")
    too_large = ApiError(
        413, "body_too_large", f"a body may have {largest_bytes} bytes; split the batch into several requests"
    )
    declared = request.headers.get("content-length", "0")
    if declared.isdigit() and int(declared) > largest_bytes:
        raise too_large
    chunks: list[bytes] = []
    received_bytes = 0
    try:
        async with asyncio.timeout(timeout_seconds):
            async for chunk in request.stream():
                received_bytes += len(chunk)
                if received_bytes > largest_bytes:
                    raise too_large
                chunks.append(chunk)
    except TimeoutError:
        raise ApiError(
            408, "body_timeout", f"the body must arrive within {timeout_seconds:g} seconds; send it again"
        ) from None
    except ClientDisconnect:
        raise ApiError(400, "incomplete_request", "the connection closed before the body was complete") from None
    return b"".join(chunks)
