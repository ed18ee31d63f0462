"""Many viewers in one event loop: each folds its frames as a client must, and notes what may never happen."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage
from websockets.typing import Origin

from progress.messages import FINAL_STATES
from progress.view_state import apply

from .visitor import Visitor


class Viewer:
    """One client of one task that comes back until the end, with the rules of docs/PROTOCOL.md."""

    def __init__(self, visitor: Visitor, task_id: str) -> None:
        self._url = visitor.base_url.replace("http", "ws", 1) + f"/ws/progress/{task_id}/"
        self._origin = Origin(visitor.base_url)
        self._cookie = "; ".join(f"{cookie.name}={cookie.value}" for cookie in visitor.cookies)
        self.view: Any = None
        self.faults: list[str] = []
        self.frames = 0
        self.connections = 0
        self.epochs: list[str] = []
        self.close_code: int | None = None
        self.recovered: list[bool] = []  # of each reconnect's snapshot
        self.shown: list[tuple[int, float]] = []  # (attempt, current), as painted
        self._socket: ClientConnection | None = None
        self.heard: list[str] = []  # every frame in short, for the message of a test that fails

    @property
    def task(self) -> dict[str, Any]:
        return self.view["task"] if self.view else {}

    @property
    def over(self) -> bool:
        return self.task.get("state") in FINAL_STATES

    @property
    def log(self) -> list[dict[str, Any]]:
        return self.view["log"] if self.view else []

    async def watch(self, after: float = 0.0) -> Viewer:
        """Join `after` seconds, and stay until the server says that it is over."""
        await asyncio.sleep(after)
        failures = 0
        while self.close_code != 1000:
            held = urlencode({"epoch": self.view["epoch"], "seq": self.view["complete"]}) if self.view else ""
            try:
                self._socket = await connect(
                    f"{self._url}?{held}",
                    origin=self._origin,
                    additional_headers={"Cookie": self._cookie},
                    compression=None,
                    proxy=None,
                    ping_interval=None,
                    open_timeout=10,
                    close_timeout=1,
                    max_size=None,
                )
                self.connections += 1
                failures = 0
                await self._listen(self._socket)
                self.close_code = self._socket.close_code
            except ConnectionClosed as closed:
                self.close_code = closed.rcvd.code if closed.rcvd else 1006
                if 4400 <= self.close_code < 5000:
                    self.faults.append(f"closed with {self.close_code}")
                    return self
            except (OSError, InvalidHandshake, InvalidMessage, EOFError):
                failures += 1
            if self.close_code != 1000:
                await asyncio.sleep(random.uniform(0.05, min(1.0, 0.1 * 2**failures)))
        return self

    def drop(self) -> None:
        """The network is gone, without a word."""
        if self._socket is not None:
            self._socket.transport.abort()

    async def _listen(self, socket: ClientConnection) -> None:
        first = True
        last = 0
        async for text in socket:
            frame = json.loads(text)
            self.frames += 1
            kind = frame["type"]
            lines = [line["n"] for line in frame.get("log", frame.get("lines", []))]
            mark = "+" if frame.get("recovered") else ""
            self.heard.append(f"{kind[0]}{mark}{frame.get('epoch', '')[:2]}:{frame.get('seq')}{lines or ''}")
            if kind == "ping":
                await socket.send(json.dumps({"type": "pong", "seq": self.view["seq"] if self.view else 0}))
                continue
            if first and kind != "snapshot":
                self.faults.append(f"the first frame of a connection is {kind}")
            if kind in ("update", "log"):
                if self.view and frame["epoch"] == self.view["epoch"] and frame["seq"] <= last:
                    self.faults.append(f"{kind} {frame['seq']} after {last}")
                last = frame["seq"]
            elif kind == "snapshot":
                if first and self.view and self.view["epoch"]:
                    self.recovered.append(frame["recovered"])
                last = max(last, frame["seq"]) if self.view and frame["epoch"] == self.view["epoch"] else frame["seq"]
            first = False
            before, self.view = self.view, apply(self.view, frame)
            assert self.view is not None
            self._check(before, self.view)
            if self.view["resync"]:
                request = {"type": "resync", "epoch": self.view["epoch"], "seq": self.view["complete"]}
                await socket.send(json.dumps(request))

    def _check(self, before: dict[str, Any] | None, now: dict[str, Any]) -> None:
        if now["epoch"] not in self.epochs[-1:]:
            self.epochs.append(now["epoch"])
        numbers = [line["n"] for line in now["log"]]
        if numbers != list(range(1, len(numbers) + 1)) and not any("gap" in fault for fault in self.faults):
            self.faults.append(f"a gap in the log: {numbers} after {' '.join(self.heard[-30:])}")
        task = now["task"]
        place = (task.get("attempt", 0), task.get("current") or 0)
        if before and task.get("state") == "STARTED" and self.shown and place < self.shown[-1]:
            self.faults.append(f"ran backwards from {self.shown[-1]} to {place}")
        if task.get("current") is not None and place not in self.shown[-1:]:
            self.shown.append(place)
        if before and before["task"].get("state") in FINAL_STATES and task.get("state") not in FINAL_STATES:
            self.faults.append("came back from its end")

    def __repr__(self) -> str:
        state = {key: self.task.get(key) for key in ("state", "attempt", "current")}
        heard = " ".join(self.heard[-40:])
        return f"<Viewer {state} seq {self.view and self.view['seq']}, {self.connections} connections: {heard}>"


async def until(predicate: Callable[[], Any], timeout: float, message: Callable[[], Any] | str = "") -> float:
    """Wait for `predicate`; how many seconds it took."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    while not predicate():
        if loop.time() - began > timeout:
            text = message() if callable(message) else message
            raise AssertionError(f"not within {timeout} s: {text}")
        await asyncio.sleep(0.02)
    return loop.time() - began
