"""What the hub needs of a channel layer, and nothing more. Standard library only."""

from __future__ import annotations

from typing import Final, Literal, Protocol, TypedDict, TypeGuard

#: Characters of a frame; the script's largest, a result and its log lines, has a tenth of it.
MAX_TEXT: Final = 4_000_000


class Published(TypedDict):
    """What the record's script publishes into a task's group: a ready frame, and what has to be known to forward it."""

    type: Literal["progress.frame"]
    task_id: str
    epoch: str
    seq: int
    kind: Literal["log", "update"]
    final: bool
    text: str


def is_published(message: object) -> TypeGuard[Published]:
    """True if `message` is one of the record's script. Everybody may publish into a group: the rest is ignored."""
    if not isinstance(message, dict) or message.get("type") != "progress.frame":
        return False
    task_id, epoch, seq, text = (message.get(key) for key in ("task_id", "epoch", "seq", "text"))
    kind, final = message.get("kind"), message.get("final")
    if not (isinstance(task_id, str) and isinstance(epoch, str) and isinstance(text, str) and isinstance(kind, str)):
        return False
    if kind not in ("log", "update") or type(seq) is not int or type(final) is not bool or len(text) > MAX_TEXT:
        return False
    return text.startswith(f'{{"v":1,"type":"{kind}","task_id":"{task_id}"') and text.endswith("}")


class Listener(Protocol):
    """One end of the channel layer. All methods but `receive` raise `redis.AWAY` while Redis is away."""

    async def open(self) -> None:
        """Begin to listen, to no group yet; again after `receive` failed."""

    async def join(self, group: str) -> None:
        """Hear what is published into `group` from now on."""

    async def leave(self, group: str) -> None:
        """Hear it no longer."""

    async def receive(self) -> list[Published]:
        """All messages of ours that have arrived, once any message has. Those of an outage of Redis are lost."""
