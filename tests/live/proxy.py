"""A TCP proxy between a process and Redis, or PostgreSQL, so that a test can cut the cable."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading

#: Bytes that are taken at once.
CHUNK = 65536


class Proxy:
    """Forwards `url` to the server on `target_port` while it is not cut. A context manager."""

    def __init__(self, target_port: int) -> None:
        self._target = ("127.0.0.1", target_port)
        self._pairs: dict[socket.socket, socket.socket] = {}
        self._lock = threading.RLock()
        self._forgotten: list[socket.socket] = []
        self._cut: str | None = None
        self._stopping = False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def cut(self, *, silent: bool) -> None:
        """`silent`: nothing arrives any more and nobody says so. Otherwise: connections break, new ones are refused."""
        with self._lock:
            self._cut = "silent" if silent else "refused"
            if not silent:
                self._drop_all()
                self._listener.close()

    def forget(self) -> None:
        """As a firewall that was restarted: nothing arrives over connections from before, but over new ones."""
        with self._lock:
            self._forgotten += self._pairs
            self._pairs.clear()

    def mend(self) -> None:
        """As it was; connections from before are gone."""
        with self._lock:
            self._drop_all()
            if self._cut == "refused":
                self._listener = socket.create_server(("127.0.0.1", self.port))
            self._cut = None

    def close(self) -> None:
        self._stopping = True
        self._thread.join(5)
        with self._lock:
            self._drop_all()
            self._listener.close()

    def __enter__(self) -> Proxy:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _drop_all(self) -> None:
        for one in (*self._pairs, *self._forgotten):
            with contextlib.suppress(OSError):
                one.close()
        self._pairs.clear()
        self._forgotten.clear()

    def _run(self) -> None:
        while not self._stopping:
            with self._lock:
                listening = self._cut != "refused"
                sockets = [one for one in self._pairs if one.fileno() >= 0] if self._cut is None else []
                selector = selectors.DefaultSelector()
                if listening and self._listener.fileno() >= 0:
                    selector.register(self._listener, selectors.EVENT_READ)
                for one in sockets:
                    selector.register(one, selectors.EVENT_READ)
            ready = selector.select(0.02) if selector.get_map() else []
            if not ready and not selector.get_map():
                threading.Event().wait(0.02)
            with self._lock:
                for key, _ in ready:
                    if key.fileobj is self._listener:
                        self._accept()
                    elif self._cut is None:
                        self._forward(key.fileobj)  # type: ignore[arg-type]
            selector.close()

    def _accept(self) -> None:
        try:
            client, _ = self._listener.accept()
            server = socket.create_connection(self._target, timeout=1)
        except OSError:
            with contextlib.suppress(UnboundLocalError):
                client.close()
            return
        server.settimeout(None)
        self._pairs[client], self._pairs[server] = server, client

    def _forward(self, source: socket.socket) -> None:
        other = self._pairs.get(source)
        if other is None:
            return
        try:
            data = source.recv(CHUNK)
            if data:
                other.sendall(data)
                return
        except OSError:
            pass
        for one in (source, other):
            self._pairs.pop(one, None)
            one.close()
