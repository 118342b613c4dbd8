"""How a route of the API is given up: announced in its answers long before it goes.

A route that will go is entered in `DEPRECATIONS`. From then on each of its answers says so in the headers
``Deprecation`` (RFC 9745), ``Sunset`` (RFC 8594) and ``Link``, and the OpenAPI document marks it. It is served until
its sunset, which is at least `SHORTEST_NOTICE` after the announcement.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

SHORTEST_NOTICE = timedelta(days=365)


@dataclass(frozen=True, slots=True)
class Deprecation:
    """A route that will go.

    Attributes:
        announced_at: Since when it is deprecated, with time zone.
        sunset_at: When it will answer no more.
        successor: Path of the route to use instead.
    """

    announced_at: datetime
    sunset_at: datetime
    successor: str

    def __post_init__(self) -> None:
        if self.sunset_at - self.announced_at < SHORTEST_NOTICE:
            raise ValueError(f"a route is announced at least {SHORTEST_NOTICE.days} days before it goes")

    def headers(self) -> list[tuple[bytes, bytes]]:
        """Return what each answer of the route says."""
        sunset = format_datetime(self.sunset_at.astimezone(UTC), usegmt=True)
        return [
            (b"deprecation", f"@{int(self.announced_at.timestamp())}".encode()),
            (b"sunset", sunset.encode()),
            (b"link", f'<{self.successor}>; rel="successor-version"'.encode()),
        ]


DEPRECATIONS: Mapping[str, Deprecation] = {}
"""Deprecated routes by path."""


class DeprecationHeaders:
    """ASGI middleware that announces the end of routes in their answers.

    Args:
        app: The application inside.
        deprecations: Deprecated routes by path.
    """

    def __init__(self, app: ASGIApp, deprecations: Mapping[str, Deprecation]) -> None:
        self.app = app
        self._headers = {path: deprecation.headers() for path, deprecation in deprecations.items()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        added = self._headers.get(scope["path"]) if scope["type"] == "http" else None
        if added is None:
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *added]
            await send(message)

        await self.app(scope, receive, send_with_headers)


def mark_deprecated(document: dict[str, Any], deprecations: Mapping[str, Deprecation]) -> None:
    """Mark the operations of deprecated routes in an OpenAPI document."""
    for path, deprecation in deprecations.items():
        for operation in document["paths"][path].values():
            operation["deprecated"] = True
            operation["description"] = (
                f"Answers until {deprecation.sunset_at.date().isoformat()}; use `{deprecation.successor}` instead."
            )
