"""A progress server that does what a test tells it: modules and polled snapshots over HTTP, frames over a WebSocket.

Real sockets, no Django: the browser's side is tested apart from the server's.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

STATIC = Path(__file__).parents[2] / "progress" / "static"

#: What a socket does from its handshake to its end.
Scene = Callable[["Socket"], None]


class Socket:
    """One accepted WebSocket, as a scene sees it."""

    def __init__(self, connection: ServerConnection) -> None:
        self.connection = connection
        self.path = connection.request.path if connection.request else ""

    def say(self, *frames: dict[str, Any]) -> None:
        for frame in frames:
            self.connection.send(json.dumps(frame))

    def hear(self, timeout: float = 5.0) -> dict[str, Any]:
        """The browser's next frame."""
        frame: dict[str, Any] = json.loads(self.connection.recv(timeout=timeout))
        return frame

    def close(self, code: int) -> None:
        self.connection.close(code)

    def wait_closed(self) -> None:
        """Until the browser goes away."""
        try:
            while True:
                self.connection.recv()
        except ConnectionClosed:
            pass


class FakeProgress:
    """`scenes` are played one a connection, the last one again and again."""

    def __init__(self) -> None:
        self.scenes: list[Scene] = []
        self.paths: list[str] = []
        self.errors: list[BaseException] = []
        #: What a poll answers: a status, a status with its JSON (of 302: {"Location"}), or a snapshot.
        self.polled: int | tuple[int, dict[str, Any]] | dict[str, Any] = 503
        self.polls: list[str | None] = []  # the If-None-Match of each
        self._sockets = serve(self._play, "127.0.0.1", 0)
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), lambda *args: _Handler(self, *args))
        self._threads = [threading.Thread(target=one.serve_forever, daemon=True) for one in (self._sockets, self._http)]
        for thread in self._threads:
            thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}/"

    @property
    def sockets_url(self) -> str:
        return f"ws://127.0.0.1:{self._sockets.socket.getsockname()[1]}/ws/progress/"

    def _play(self, connection: ServerConnection) -> None:
        socket = Socket(connection)
        self.paths.append(socket.path)
        scene = self.scenes[min(len(self.paths), len(self.scenes)) - 1]
        try:
            scene(socket)
        except ConnectionClosed:
            pass
        except BaseException as error:  # shown by the test, not lost in a thread
            self.errors.append(error)

    def close(self) -> None:
        self._sockets.shutdown()
        self._http.shutdown()
        self._http.server_close()
        for thread in self._threads:
            thread.join(5)
        assert not self.errors, self.errors


class _Handler(SimpleHTTPRequestHandler):
    def __init__(self, fake: FakeProgress, *args: Any) -> None:
        self.fake = fake
        super().__init__(*args, directory=str(STATIC))

    def do_GET(self) -> None:
        if self.path == "/":
            self._answer(200, "text/html", b"<!doctype html><title>test</title><body></body>")
        elif self.path == "/login.html":
            self._answer(200, "text/html", b"<!doctype html><title>Log in</title>")
        elif self.path.startswith("/api/tasks/"):
            self._poll()
        elif self.path == "/favicon.ico":
            self._answer(204, "image/x-icon", b"")
        else:
            super().do_GET()

    def _poll(self) -> None:
        known = self.headers.get("If-None-Match")
        self.fake.polls.append(known)
        polled = self.fake.polled
        if isinstance(polled, int):
            return self._answer(polled, "application/json", b"{}")
        if isinstance(polled, tuple) and polled[0] == 302:
            self.send_response(302)
            self.send_header("Location", polled[1]["Location"])
            return self.end_headers()
        if isinstance(polled, tuple):
            return self._answer(polled[0], "application/json", json.dumps(polled[1]).encode())
        body = json.dumps(polled).encode()
        etag = f'"{hash(body)}"'
        if known == etag:
            return self._answer(304, "application/json", b"", etag)
        return self._answer(200, "application/json", body, etag)

    def _answer(self, status: int, kind: str, body: bytes, etag: str = "") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        if etag:
            self.send_header("ETag", etag)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        pass
