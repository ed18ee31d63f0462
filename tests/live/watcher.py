"""A viewer on a WebSocket: collects every frame, answers pings, and folds frames as every client has to."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable
from typing import Any

from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

from progress.messages import FINAL_STATES
from progress.view_state import apply
from tests.waiting import wait_until


class _Connection(ClientConnection):
    """One that hands out what came together with the server's close, though the answer to it finds nobody any more.

    The library drops what it has just read when it cannot answer: on a busy machine that was the end of a run.
    """

    def send_data(self) -> None:
        with contextlib.suppress(OSError):
            super().send_data()


class Watcher:
    """Connected when it is made; `refused` holds the HTTP status when the server did not want the handshake."""

    def __init__(self, url: str, *, origin: str, cookies: str = "", answer_pings: bool = True) -> None:
        self.url = url
        self.frames: list[dict[str, Any]] = []
        self.times: list[float] = []  # time.monotonic() at which each frame came
        self.views: dict[str, Any] = {}  # task id → view, see progress.view_state.apply
        self.refused: int | None = None
        self.close_code: int | None = None
        self.close_reason = ""
        self.answer_pings = answer_pings
        self._socket: ClientConnection | None = None
        self._thread: threading.Thread | None = None
        try:
            self._socket = connect(
                url,
                origin=Origin(origin),
                additional_headers={"Cookie": cookies} if cookies else None,
                proxy=None,
                compression=None,
                open_timeout=10,
                close_timeout=1,
                ping_interval=None,
                legacy=True,  # a connection, not a context manager
                create_connection=_Connection,
                max_size=None,
            )
        except InvalidHandshake as error:
            response = getattr(error, "response", None)
            self.refused = response.status_code if response else 0
            return
        self._thread = threading.Thread(target=self._read, args=(self._socket,), daemon=True)
        self._thread.start()

    # --- what was seen --------------------------------------------------------------------------------------------

    @property
    def closed(self) -> bool:
        return self._thread is None or not self._thread.is_alive()

    @property
    def view(self) -> dict[str, Any] | None:
        """Of a socket on one task: `{"epoch", "seq", "complete", "task", "log", "resync"}`."""
        return next(iter(self.views.values()), None)

    @property
    def task(self) -> dict[str, Any]:
        """The task's state as this viewer would show it now; empty before the first frame."""
        view = self.view
        return dict(view["task"]) if view else {}

    @property
    def state(self) -> str | None:
        return self.task.get("state")

    def of_type(self, kind: str) -> list[dict[str, Any]]:
        return [frame for frame in list(self.frames) if frame.get("type") == kind]

    def log_texts(self) -> list[str]:
        view = self.view
        return [line["text"] for line in view["log"]] if view else []

    # --- waiting --------------------------------------------------------------------------------------------------

    def wait_for(self, predicate: Callable[[dict[str, Any]], bool], timeout: float = 15.0) -> dict[str, Any]:
        """The first frame, past or to come, for which `predicate` is true."""
        return (
            wait_until(
                lambda: next((frame for frame in list(self.frames) if predicate(frame)), None),
                timeout,
                lambda: f"such a frame; {self}",
                every=0.01,
            )
            or {}
        )

    def wait_snapshot(self, timeout: float = 10.0) -> dict[str, Any]:
        return self.wait_for(lambda frame: frame["type"] == "snapshot", timeout)

    def wait_state(self, *states: str, timeout: float = 15.0) -> dict[str, Any]:
        """The task's state once it is one of `states`."""
        wait_until(lambda: self.state in states, timeout, lambda: f"one of {states}; {self}", every=0.01)
        return self.task

    def wait_final(self, timeout: float = 30.0) -> dict[str, Any]:
        return self.wait_state(*FINAL_STATES, timeout=timeout)

    def wait_closed(self, timeout: float = 10.0) -> int | None:
        """The close code."""
        wait_until(lambda: self.closed, timeout, lambda: f"closed; {self}", every=0.01)
        return self.close_code

    # --- what it does ---------------------------------------------------------------------------------------------

    def send(self, frame: Any) -> None:
        """A dict as JSON; a str as it is."""
        assert self._socket, f"refused with {self.refused}"
        self._socket.send(frame if isinstance(frame, str | bytes) else json.dumps(frame))

    def close(self) -> None:
        if self._socket:
            with contextlib.suppress(ConnectionClosed, OSError):
                self._socket.close()
        if self._thread:
            self._thread.join(5)

    def _read(self, socket: ClientConnection) -> None:
        try:
            for text in socket:
                self._take(json.loads(text))
        except ConnectionClosed as closed:
            self.close_code = closed.rcvd.code if closed.rcvd else 1006
            self.close_reason = closed.rcvd.reason if closed.rcvd else ""
        else:
            self.close_code, self.close_reason = socket.close_code, socket.close_reason or ""

    def _take(self, frame: Any) -> None:
        self.frames.append(frame)
        self.times.append(time.monotonic())
        task_id = frame.get("task_id")
        if frame["type"] == "ping":
            if self.answer_pings:
                view = self.view
                held = frame["seq"] if frame["epoch"] == "" else (view["seq"] if view else 0)
                self._answer({"type": "pong", "seq": held})
        elif task_id:
            now = apply(self.views.get(task_id), frame)
            if now is not None:
                self.views[task_id] = now
                if now["resync"]:
                    self._answer({"type": "resync", "task_id": task_id, "epoch": now["epoch"], "seq": now["complete"]})

    def _answer(self, frame: dict[str, Any]) -> None:
        with contextlib.suppress(ConnectionClosed):  # what came before the end is still to be read
            self.send(frame)

    def __repr__(self) -> str:
        ended = f"refused with {self.refused}" if self.refused else f"closed with {self.close_code}"
        last = self.frames[-1] if self.frames else None
        return f"<Watcher {self.url}: {len(self.frames)} frames, {ended if self.closed else 'open'}, last {last}>"
