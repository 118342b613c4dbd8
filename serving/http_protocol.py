"""Limits of one connection that uvicorn leaves to a proxy: slow or endless headers, slow readers, idle connections.

uvicorn's own protocol waits without end for the first byte of a connection, for the rest of the headers, for the rest
of a body whose request was answered already, and for a client that does not take its answer. Each of these holds a
socket, and the last one a place among the requests in work, for as long as an attacker likes.
"""

import array
import asyncio
import fcntl
import termios
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import uvicorn.config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

if TYPE_CHECKING:
    from asyncio import TimerHandle

_SLOWEST_BYTES_PER_SECOND = 1_000

_TIMEOUT_ANSWER = b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
_TOO_LARGE_ANSWER = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """What one connection may do.

    Attributes:
        header_seconds: Time for the headers of a request, and for the rest of a body that nobody waits for any more.
        header_bytes: Bytes that may arrive before the headers are complete.
        write_seconds: Time in which a client must take a part of an answer that waits for it, at 1,000 bytes a second.
    """

    header_seconds: float = 10.0
    header_bytes: int = 65_536
    write_seconds: float = 30.0


class LimitedHttpProtocol(HttpToolsProtocol):
    """uvicorn's protocol with `ConnectionLimits`; per request it costs two timestamps and no timer.

    Attributes:
        limits: Limits of all connections of this process.
    """

    limits: ClassVar[ConnectionLimits] = ConnectionLimits()

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        # Since when the client owes bytes that no request in work is waiting for; None while it owes none.
        self._owes_since: float | None = None
        self._is_in_headers = True
        self._header_bytes = 0
        self._watch: TimerHandle | None = None
        self._write_watch: TimerHandle | None = None
        self._waiting_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._owe()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the timers."""
        for timer in (self._watch, self._write_watch):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take bytes, as long as the headers do not grow without end."""
        super().data_received(data)
        if not self._is_in_headers or self._owes_since is None:
            return
        self._header_bytes += len(data)
        if self._header_bytes > self.limits.header_bytes and not self.transport.is_closing():
            self._close_with(_TOO_LARGE_ANSWER)

    def on_message_begin(self) -> None:
        """Begin the time for the headers."""
        super().on_message_begin()
        self._is_in_headers = True
        self._header_bytes = 0
        self._owe()

    def on_headers_complete(self) -> None:
        """End the time for the headers: the application waits for the body and has a limit of its own."""
        super().on_headers_complete()
        self._is_in_headers = False
        self._owes_since = None

    def on_message_complete(self) -> None:
        """End the time for the rest of a body."""
        super().on_message_complete()
        self._owes_since = None
        if self.cycle is not None and self.cycle.response_complete and not self.pipeline:
            # The answer came before the end of its request, and no timer of uvicorn runs any more.
            self._is_in_headers = True
            self._owe()

    def on_response_complete(self) -> None:
        """Begin the time for the rest of a body that the application did not wait for."""
        super().on_response_complete()
        if self.cycle is not None and self.cycle.more_body:
            self._owe()

    def pause_writing(self) -> None:
        """Begin the time in which the client must take a part of what waits for it."""
        super().pause_writing()
        self._watch_writing()

    def resume_writing(self) -> None:
        """End that time."""
        super().resume_writing()
        if self._write_watch is not None:
            self._write_watch.cancel()
            self._write_watch = None

    def _owe(self) -> None:
        self._owes_since = self.loop.time()
        # One timer follows a connection through all its requests; starting one for each would cost more than the rest.
        if self._watch is None:
            self._watch = self.loop.call_later(self.limits.header_seconds, self._look)

    def _look(self) -> None:
        self._watch = None
        if self._owes_since is None or self.transport.is_closing():
            return
        left_seconds = self._owes_since + self.limits.header_seconds - self.loop.time()
        if left_seconds > 0:
            self._watch = self.loop.call_later(left_seconds, self._look)
        elif self._is_in_headers:
            self._close_with(_TIMEOUT_ANSWER)
        else:
            self.transport.close()

    def _watch_writing(self) -> None:
        self._waiting_bytes = self._bytes_not_taken()
        self._write_watch = self.loop.call_later(self.limits.write_seconds, self._look_at_writing)

    def _look_at_writing(self) -> None:
        taken_bytes = self._waiting_bytes - self._bytes_not_taken()
        if taken_bytes < self.limits.write_seconds * _SLOWEST_BYTES_PER_SECOND:
            self.transport.abort()
        else:
            self._watch_writing()

    def _bytes_not_taken(self) -> int:
        # The kernel's queue counts too: it takes megabytes and moves in large steps only.
        queue = array.array("i", [0])
        fcntl.ioctl(self.transport.get_extra_info("socket").fileno(), termios.TIOCOUTQ, queue)
        return self.transport.get_write_buffer_size() + queue[0]

    def _close_with(self, answer: bytes) -> None:
        self.transport.write(answer)
        self.transport.close()


def install(limits: ConnectionLimits) -> None:
    """Let every uvicorn server of this process use the protocol; call it before the server starts.

    BentoML builds uvicorn's configuration itself and passes no limits on, so the name that it uses is given to this
    protocol.
    """
    LimitedHttpProtocol.limits = limits
    uvicorn.config.HTTP_PROTOCOLS["auto"] = f"{__name__}:{LimitedHttpProtocol.__name__}"
