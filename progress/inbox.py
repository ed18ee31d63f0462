"""What a socket sends, taken in within bounds: a web server may read ahead without one (Daphne does).

While a frame is being obeyed the next ones are taken from the server and wait here, so their number is known. A socket
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
#: Characters that may wait of all sockets of one visitor.
MAX_SIZE_OF_VISITOR = 1024 * 1024
#: What a short frame costs beside its text, in characters.
OVERHEAD = 100

#: Seconds of work during which nothing is taken in; afterwards all of it is.
SHORT = 0.02

#: Work that a socket may ask for at once, and what it gets back a second. A snapshot for a list is 1.
BURST = 600.0
REFILL = 20.0


class Left(Exception):
    """The client is gone, and nothing of what it has sent waits any more."""


class Traffic(Counter[str]):
    """Characters that wait now, by visitor."""


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
        self._visitor: str | None = None
        self._waiting: deque[str | None] = deque()
        self._size = 0
        self._receiving: asyncio.Future[Event] | None = None
        self.on_flood: Callable[[], None] | None = None
        self.flooded = False
        #: True once the client is gone; what it had sent before may still wait.
        self.left = False

    def admit(self, visitor: str) -> None:
        """It is known whose this socket is."""
        self._visitor = visitor
        self._traffic[visitor] += self._size

    async def next(self) -> str | None:
        """The text of the next frame, None of a binary one. Raises `Left`."""
        while not self._waiting:
            if self.left:
                raise Left
            self._take(await (self._receive() if self._receiving is None else self._receiving))
            await self._take_all()
        text = self._waiting.popleft()
        self._count(-_size(text))
        return text

    async def during(self, work: Coroutine[object, None, T]) -> T:
        """Do `work`, and meanwhile take in what comes."""
        task = asyncio.ensure_future(work)
        try:
            if self._receiving is None:  # most work takes less, and a socket that comes says nothing yet
                await asyncio.wait((task,), timeout=SHORT)
            while not task.done():
                if self.left:
                    return await task
                receiving = self._received()
                await asyncio.wait((task, receiving), return_when=asyncio.FIRST_COMPLETED)
                if receiving.done():
                    self._take(await receiving)
            return await task
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait((task,))

    def close(self) -> None:
        """Nobody asks any more."""
        if self._receiving is not None:
            self._receiving.cancel()
        self._drop()
        if self._visitor is not None and self._traffic[self._visitor] <= 0:
            del self._traffic[self._visitor]

    async def _take_all(self) -> None:
        """Take in what the server has read already."""
        while not self.left:
            receiving = self._received()
            await asyncio.sleep(0)
            if not receiving.done():
                return
            self._take(receiving.result())

    def _received(self) -> asyncio.Future[Event]:
        """The next message, which outlives whoever waits for it."""
        if self._receiving is None:
            self._receiving = asyncio.ensure_future(self._receive())
        return self._receiving

    def _take(self, message: Event) -> None:
        self._receiving = None
        if message["type"] == "websocket.disconnect":
            self.left = True
        elif message["type"] == "websocket.receive" and not self.flooded:
            text = message.get("text")
            self._waiting.append(text)
            self._count(_size(text))
            if self._is_full():
                self._flood()

    def _is_full(self) -> bool:
        most = MAX_SIZE_AT_THE_DOOR if self._visitor is None else MAX_SIZE
        if self._size > most or len(self._waiting) > MAX_FRAMES:
            return True
        return self._visitor is not None and self._traffic[self._visitor] > MAX_SIZE_OF_VISITOR

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
        if self._visitor is not None:
            self._traffic[self._visitor] += size


def _size(text: str | None) -> int:
    return OVERHEAD + len(text or "")
