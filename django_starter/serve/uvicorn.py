"""`python -m django_starter.serve.uvicorn`: uvicorn's own command line, with bounds on what a client may keep open.

uvicorn waits without end for the rest of a request, takes headers of any size, and leaves a handshake open whose
headers are too large for its WebSocket library. Daphne has limits for all three; these are the same.
"""

from __future__ import annotations

import asyncio

from uvicorn import config
from uvicorn.main import main
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

#: Bytes of a request's first line and headers together. Twisted's, so Daphne's, is 16 kB.
MAX_HEAD = 16 * 1024
#: Bytes of each line, and lines, that the WebSocket library takes.
MAX_LINE, MAX_LINES = 8_000, 128
#: Seconds for a request's headers, from the connection or the end of the request before; and for its body.
HEAD_TIMEOUT, BODY_TIMEOUT = 20.0, 60.0

REASONS = {408: "Request Timeout", 431: "Request Header Fields Too Large"}


class Http(HttpToolsProtocol):
    """uvicorn's, with a bound on the size of a request's head and on the time for all of it."""

    _timer: asyncio.TimerHandle | None = None
    _in_head = True
    _came = 0  # bytes of this head, at least

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)  # type: ignore[arg-type]
        self._wait(HEAD_TIMEOUT)

    def connection_lost(self, exc: Exception | None) -> None:
        self._wait(None)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        if self._in_head:
            self._came += len(data)
            if self._timer is None:  # another request over the same connection
                self._wait(HEAD_TIMEOUT)
        super().data_received(data)
        if self._in_head and self._came > MAX_HEAD:
            self._refuse(431)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = True
        self._came = 0
        self._wait(HEAD_TIMEOUT)

    def on_headers_complete(self) -> None:
        lines = [len(name) + len(value) + 4 for name, value in self.headers]
        if len(self.url) + sum(lines) > MAX_HEAD:
            self._refuse(431)
            raise ValueError("The head of this request is too large.")  # the parser stops here
        self._in_head = False
        self._wait(BODY_TIMEOUT)
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._wait(None)
        self._in_head = True
        self._came = 0
        super().on_message_complete()

    def handle_websocket_upgrade(self) -> None:
        self._wait(None)
        lines = [len(name) + len(value) for name, value in self.headers]
        if len(self.url) > MAX_LINE or max(lines) > MAX_LINE or len(lines) > MAX_LINES:
            self._refuse(431)
            return
        super().handle_websocket_upgrade()

    def send_400_response(self, msg: str) -> None:
        if not self.transport.is_closing():  # nothing was answered yet
            super().send_400_response(msg)

    def _wait(self, seconds: float | None) -> None:
        """The request must be further within this many seconds; None: it is here, the rest is ours."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if seconds is None else self.loop.call_later(seconds, self._refuse, 408)

    def _refuse(self, status: int) -> None:
        self._wait(None)
        if self.transport is None or self.transport.is_closing():
            return
        if self.cycle is None or self.cycle.response_complete:
            head = f"HTTP/1.1 {status} {REASONS[status]}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            self.transport.write(head.encode())
        self.transport.close()


class Socket(WebSocketsSansIOProtocol):
    """uvicorn's, which answers a handshake that its library cannot read."""

    def handle_parser_exception(self) -> None:
        if self.conn.close_sent is not None:  # of a socket that is open
            super().handle_parser_exception()
            return
        self.handshake_complete = self.close_sent = True
        self.transport.write(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        self.transport.close()


def limit() -> None:
    """What uvicorn chooses by itself are these from now on."""
    config.HTTP_PROTOCOLS["auto"] = "django_starter.serve.uvicorn:Http"
    config.WS_PROTOCOLS["auto"] = "django_starter.serve.uvicorn:Socket"


if __name__ == "__main__":
    limit()
    main()
