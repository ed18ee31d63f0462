"""Many viewers in one process, as cheap as Python allows: they must not be what is measured.

A WebSocket client by hand over asyncio.Protocol (and uvloop): every viewer of a task is sent the same bytes, so a chunk
is parsed once and then recognised.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gc
import json
import os
import time
from array import array
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import uvloop
from lab import host_and_port

T = TypeVar("T")

FINAL = frozenset({"SUCCESS", "FAILURE", "REVOKED"})


@dataclass(frozen=True, slots=True)
class Frame:
    """What a viewer notes of a frame."""

    kind: str  # snapshot, update, log, ping, … ; "close", "protocol-ping"
    final: bool = False
    seq: int = 0
    called: float = 0.0  # when `progress.set` was called, by time.time()
    told: float = 0.0  # when it was published
    answer: bytes = b""
    code: int = 0


def read(text: bytes) -> Frame:
    """A frame of ours, of the relay or of celery-progress."""
    frame = json.loads(text)
    if "complete" in frame:
        frame = {"type": "update", "state": "SUCCESS" if frame["complete"] else "", **frame["progress"]}
        frame["message"] = frame.get("description", "")
    kind = frame["type"]
    if kind == "ping":
        return Frame(kind, answer=masked(json.dumps({"type": "pong", "seq": frame["seq"]}).encode()))
    inner = frame.get("task", frame)
    called = told = 0.0
    with contextlib.suppress(ValueError):
        called, told = map(float, str(inner.get("message")).split())
    told = inner.get("ts", told)  # ours says it of itself, in milliseconds
    return Frame(kind, inner.get("state") in FINAL, frame.get("seq", 0), called, told)


def masked(payload: bytes, opcode: int = 1) -> bytes:
    """A frame from a browser; shorter than 126 bytes, and the mask is zero."""
    return bytes((0x80 | opcode, 0x80 | len(payload), 0, 0, 0, 0)) + payload


def handshake(url: str, cookie: str) -> bytes:
    """What a browser sends to open a socket."""
    host, port = host_and_port(url)
    path = "/" + url.split("/", 3)[3]
    lines = [
        f"GET {path} HTTP/1.1",
        f"Host: {host}:{port}",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}",
        "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits",
        f"Origin: http://{host}:{port}",
        *([f"Cookie: {cookie}"] if cookie else []),
    ]
    return "\r\n".join([*lines, "", ""]).encode()


class Crowd:
    """Viewers of one address, and what they saw together."""

    def __init__(self, url: str, cookie: str = "") -> None:
        self.url = url
        self.cookie = cookie
        self.viewers: list[Viewer] = []
        self.known: dict[bytes, tuple[Frame, ...]] = {}
        self.measuring = False
        self.messages = 0  # updates that arrived while measuring
        self.calls = array("d")  # seconds from the call to here
        self.tells = array("d")  # seconds from the publish to here
        self.ages = array("d")  # seconds: how old was what was shown, when the next one replaced it
        self.seqs: set[int] = set()  # of the updates that anybody saw

    async def connect(self, count: int, at_once: int = 100) -> None:
        """Open `count` sockets, `at_once` of them at a time, until each has its first frame (the relay has none)."""
        gate = asyncio.Semaphore(at_once)

        async def one() -> None:
            async with gate:
                await self.open()

        await asyncio.gather(*(one() for _ in range(count)))

    async def open(self) -> Viewer:
        """Open one socket. A refused one is kept, with `refused` set."""
        viewer = Viewer(self)
        self.viewers.append(viewer)
        viewer.began = time.time()
        try:
            await asyncio.get_running_loop().create_connection(lambda: viewer, *host_and_port(self.url))
        except OSError:
            viewer.refused = True
            return viewer
        await viewer.opened
        return viewer

    async def measure(self, during: Callable[[], bool], timeout: float) -> None:
        """Note what arrives until `during` says false, or the time is over."""
        self.measuring = True
        await wait_for(lambda: not during(), timeout)
        self.measuring = False

    @property
    def all_final(self) -> bool:
        """True once every viewer saw the final state."""
        return all(viewer.final for viewer in self.viewers)

    def delivered(self) -> float:
        """Percent of the published updates that arrived, over all viewers; their `seq` grows by one."""
        published = max(self.seqs) - min(self.seqs) + 1
        return 100 * self.messages / (published * len(self.viewers))

    def close(self) -> None:
        """Close all sockets."""
        for viewer in self.viewers:
            if viewer.transport is not None:
                viewer.transport.abort()


class Viewer(asyncio.Protocol):
    """One browser."""

    __slots__ = ("began", "buffer", "code", "crowd", "final", "first", "opened", "refused", "shown", "transport")

    def __init__(self, crowd: Crowd) -> None:
        self.crowd = crowd
        self.transport: asyncio.Transport | None = None
        self.buffer = b""
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.refused = False
        self.final = False
        self.began = 0.0
        self.first = 0.0  # when the first frame came
        self.shown = 0.0  # when what is shown was called
        self.code: int | None = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        transport.write(handshake(self.crowd.url, self.crowd.cookie))

    def data_received(self, data: bytes) -> None:
        if self.buffer or not self.opened.done():
            data = self.buffer + data
            self.buffer = b""
            if not self.opened.done():
                data = self._open(data)
                if not data:
                    return
        frames = self.crowd.known.get(data)
        if frames is None:
            frames, rest = parse(data)
            if rest:
                self.buffer = rest
            elif len(data) < 4096:  # many of one batch see this same chunk
                if len(self.crowd.known) > 256:
                    self.crowd.known.clear()
                self.crowd.known[data] = frames
        for frame in frames:
            self._take(frame)

    def _take(self, frame: Frame) -> None:
        crowd = self.crowd
        now = time.time()
        if frame.kind == "update" or frame.kind == "snapshot":
            if self.first == 0.0:
                self.first = now
            if crowd.measuring and frame.called and not frame.final:  # the last word repeats an old message
                crowd.messages += 1
                crowd.calls.append(now - frame.called)
                crowd.tells.append(now - frame.told)
                crowd.seqs.add(frame.seq)
                if self.shown:
                    crowd.ages.append(now - self.shown)
                self.shown = frame.called
            if frame.final:
                self.final = True
        elif frame.answer:
            assert self.transport is not None
            self.transport.write(frame.answer)
        elif frame.kind == "close":
            self.code = frame.code

    def _open(self, data: bytes) -> bytes:
        head, end, rest = data.partition(b"\r\n\r\n")
        if not end:
            self.buffer = data
            return b""
        if not head.startswith(b"HTTP/1.1 101"):
            self.refused = True
            self.transport.close()  # type: ignore[union-attr]
        assert b"permessage-deflate" not in head, "the server compresses: that costs it more than all else"
        self.opened.set_result(None)
        return rest

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.opened.done():
            self.refused = True
            self.opened.set_result(None)


def parse(data: bytes) -> tuple[tuple[Frame, ...], bytes]:
    """The frames of `data`, and the beginning of one that is not whole yet."""
    frames = []
    at, size = 0, len(data)
    while size - at >= 2:
        opcode, length, start = data[at] & 15, data[at + 1] & 127, at + 2
        if length == 126:
            length, start = int.from_bytes(data[at + 2 : at + 4]), at + 4
        elif length == 127:
            length, start = int.from_bytes(data[at + 2 : at + 10]), at + 10
        if start + length > size or start > size:
            break
        payload = data[start : start + length]
        at = start + length
        if opcode == 1:
            frames.append(read(payload))
        elif opcode == 8:
            frames.append(Frame("close", code=int.from_bytes(payload[:2])))
        elif opcode == 9:
            frames.append(Frame("protocol-ping", answer=masked(payload, 10)))
    return tuple(frames), data[at:]


async def wait_for(condition: Callable[[], Any], timeout: float, every: float = 0.02) -> bool:
    """True as soon as `condition` holds, False when it did not within `timeout` seconds."""
    until = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > until:
            return False
        await asyncio.sleep(every)
    return True


def run(coroutine: Awaitable[T]) -> T:
    """Run a load on uvloop, without pauses of the garbage collector."""
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        return uvloop.run(coroutine)  # type: ignore[arg-type]
    finally:
        gc.enable()
