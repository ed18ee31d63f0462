"""What the hub needs of a channel layer, and nothing more. Standard library only."""

from __future__ import annotations

from typing import Literal, Protocol, TypedDict


class Published(TypedDict):
    """What the record's script publishes into a task's group: a ready frame, and what has to be known to forward it."""

    type: Literal["progress.frame"]
    task_id: str
    epoch: str
    seq: int
    kind: Literal["log", "update"]
    final: bool
    text: str


class Listener(Protocol):
    """One end of the channel layer. All methods but `receive` raise `redis.AWAY` while Redis is away."""

    async def open(self) -> None:
        """Begin to listen, to no group yet."""

    async def join(self, group: str) -> None:
        """Hear what is published into `group` from now on."""

    async def leave(self, group: str) -> None:
        """Hear it no longer."""

    async def receive(self) -> list[Published]:
        """All messages that have arrived, at least one. Those of an outage of Redis are lost."""
