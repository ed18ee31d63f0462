"""What a socket sends, taken in within bounds: a web server may read ahead without one (Daphne does).

Frames are taken from the server at once and wait here, so their number is known. A socket
that sends more than may wait is closed, and whatever it sends from then on is read and dropped.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Coroutine
from typing import TypeVar

from .types import Event, Receive

T = TypeVar("T")

#: Frames of one socket that may wait, and their characters: as many as a reader of 500 tasks sends at once.
MAX_FRAMES = 1_000
MAX_SIZE = 256 * 1024
#: The same before it is known who sends them.
MAX_SIZE_AT_THE_DOOR = 32 * 1024
#: Characters that may wait of all sockets of one viewer.
MAX_SIZE_OF_VISITOR = 1024 * 1024
#: What a short frame costs beside its text, in characters.
OVERHEAD = 100

#: Work that a socket may ask for at once, and what it gets back a second. A snapshot for a list is 1.
BURST = 600.0
REFILL = 20.0


class Left(Exception):
    """The client is gone, and nothing of what it has sent waits any more."""


class Traffic(Counter[str]):
    """Characters that wait now, by viewer."""


class Pace:
    """How fast a socket's commands are obeyed: `BURST` at once, then `REFILL` a second."""

    def __init__(self) -> None:
        self._room = BURST
        self._at = asyncio.get_running_loop().time()

    async def keep(self, cost: float) -> None:
        """Wait until this socket may have `cost` more."""
        now = asyncio.get_running_loop().time()
        self._room = min(BURST, self._room + (now - self._at) * REFILL) - cost
        self._at = now
        if self._room < 0:
            await asyncio.sleep(-self._room / REFILL)


class Inbox:
    """One socket's way in. `on_flood` is called once, when it sent more than may wait."""

    def __init__(self, receive: Receive, traffic: Traffic) -> None:
        self._receive = receive
        self._traffic = traffic
        self._viewer: str | None = None
        self._waiting: deque[str | None] = deque()
        self._size = 0
        self._reading: asyncio.Task[None] | None = None
        self._news: asyncio.Future[None] | None = None
        self.on_flood: Callable[[], None] | None = None
        self.flooded = False
        #: True once the client is gone; what it had sent before may still wait.
        self.left = False

    def admit(self, viewer: str) -> None:
        """It is known whose this socket is."""
        self._viewer = viewer
        self._traffic[viewer] += self._size

    async def next(self) -> str | None:
        """The text of the next frame, None of a binary one. Raises `Left`."""
        while not self._waiting:
            if self.left:
                raise Left
            await self._wait_for_news()
        text = self._waiting.popleft()
        self._count(-_size(text))
        return text

    async def during(self, work: Coroutine[object, None, T], *, for_it_alone: bool = False) -> T:
        """Do `work`, and meanwhile take in what comes.

        Work `for_it_alone` is dropped once the client is gone, and this raises `Left`.
        """
        reading = self._begin()
        if not for_it_alone:
            return await work
        task = asyncio.ensure_future(work)
        try:
            await asyncio.wait((task, reading), return_when=asyncio.FIRST_COMPLETED)
            if self.left and not task.done():
                raise Left
            return await task
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait((task,))
            del task  # its error knows this frame: the two would keep each other

    def close(self) -> None:
        """Nobody asks any more."""
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None  # how it was cancelled knows its frame, so this inbox
        self._drop()
        if self._viewer is not None and self._traffic[self._viewer] <= 0:
            del self._traffic[self._viewer]

    def _begin(self) -> asyncio.Task[None]:
        if self._reading is None:
            self._reading = asyncio.create_task(self._read())
            self._reading.add_done_callback(self._wake)
        return self._reading

    async def _read(self) -> None:
        """Take in whatever the server has, all of it in one go: it may have read thousands at once."""
        while not self.left:
            self._take(await self._receive())

    async def _wait_for_news(self) -> None:
        self._begin()
        assert self._reading is not None
        if self._reading.done():
            self._reading.result()  # the server's `receive` has failed
        self._news = asyncio.get_running_loop().create_future()
        await self._news

    def _take(self, message: Event) -> None:
        if message["type"] == "websocket.disconnect":
            self.left = True
        elif message["type"] == "websocket.receive" and not self.flooded:
            text = message.get("text")
            self._waiting.append(text)
            self._count(_size(text))
            if self._is_full():
                self._flood()
        if self._waiting or self.left:
            self._wake()

    def _wake(self, _: object = None) -> None:
        if self._news is not None and not self._news.done():
            self._news.set_result(None)

    def _is_full(self) -> bool:
        most = MAX_SIZE_AT_THE_DOOR if self._viewer is None else MAX_SIZE
        if self._size > most or len(self._waiting) > MAX_FRAMES:
            return True
        return self._viewer is not None and self._traffic[self._viewer] > MAX_SIZE_OF_VISITOR

    def _flood(self) -> None:
        self.flooded = True
        self._drop()
        if self.on_flood is not None:
            self.on_flood()

    def _drop(self) -> None:
        self._waiting.clear()
        self._count(-self._size)

    def _count(self, size: int) -> None:
        self._size += size
        if self._viewer is not None:
            self._traffic[self._viewer] += size


def _size(text: str | None) -> int:
    return OVERHEAD + len(text or "")
