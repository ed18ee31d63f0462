"""Rights end when they end: an open socket is asked about again, with all others, and before each of its commands."""

from __future__ import annotations

from typing import Protocol

from .async_source import AsyncSource
from .batch import Batch
from .source import OpenSocket, Viewer

#: Seconds between two looks at who all these people are now. A socket whose right has ended is closed within 5.
RECHECK_EVERY = 2.0


class Guest(Protocol):
    """A socket that came in."""

    def seen(self) -> OpenSocket:
        """What the source is asked about it."""

    def recognise(self, viewer: Viewer) -> bool:
        """Go on as `viewer`; False when that is nobody any more, and the socket closes."""


class Rights:
    """Asks the project's source who the people at all open sockets are now."""

    def __init__(self, source: AsyncSource) -> None:
        self._source = source
        self._guests: dict[Guest, None] = {}
        self._asked: Batch[OpenSocket, Viewer] = Batch(source.recheck)

    def enter(self, guest: Guest) -> None:
        """Ask about this socket from now on."""
        self._guests[guest] = None

    def leave(self, guest: Guest) -> None:
        """The socket is gone."""
        self._guests.pop(guest, None)

    async def hold(self, guest: Guest) -> bool:
        """True if the person at this socket may go on; asked now, as a command waits for it."""
        return guest.recognise(await self._asked.ask(guest.seen()))

    async def recheck(self) -> None:
        """Ask about all sockets at once. An error is no answer: then they stay until the next look."""
        asked = [(guest, guest.seen()) for guest in self._guests]
        if not asked:
            return
        viewers = await self._source.recheck([seen for _, seen in asked])
        for (guest, seen), viewer in zip(asked, viewers, strict=True):
            if guest in self._guests and guest.seen().viewer == seen.viewer:  # a command may have asked since
                guest.recognise(viewer)
