"""Which sockets come in: a viewer may watch what is theirs, and may hold only so many sockets."""

from __future__ import annotations

from collections import Counter

from .async_source import AsyncSource
from .batch import Batch
from .source import Admitted, Handshake, Viewer


class Admission:
    """Asks the source about many handshakes at once, and counts the sockets that came in.

    `max_sockets`: how many one viewer may hold in this process; 0 means no limit.
    """

    def __init__(self, source: AsyncSource, max_sockets: int) -> None:
        self._source = source
        self._handshakes: Batch[Handshake, Admitted] = Batch(source.admit)
        self._max_sockets = max_sockets
        self._sockets: Counter[str] = Counter()

    async def admit(self, handshake: Handshake) -> Admitted:
        """The viewer, and the state of the task they want to see if it is theirs."""
        return await self._handshakes.ask(handshake)

    def enter(self, viewer: Viewer, handshake: Handshake) -> str | None:
        """Count one more socket of this viewer: the name to `leave` with, or None when it is one too many."""
        name = self._source.counted_as(viewer, handshake) if self._max_sockets else ""
        if self._max_sockets and self._sockets[name] >= self._max_sockets:
            return None
        self._sockets[name] += 1
        return name

    def leave(self, name: str) -> None:
        """The socket that `enter` counted is gone."""
        self._sockets[name] -= 1
        if self._sockets[name] <= 0:
            del self._sockets[name]
