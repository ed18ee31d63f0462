"""What a list socket is told beside single tasks: feeds, which are JSON values of the project's own.

All are looked at together, several times a second, and one is sent when it says something else than before. Nothing is
pushed, so nothing can get lost on the way. A source that answers with the very object of before says: nothing is new.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence

from .messages import dumps, feed
from .outbox import Outbox
from .size import fits
from .source import Viewer
from .types import JSON

logger = logging.getLogger(__name__)

#: Feeds that one socket may follow.
MAX_FEEDS = 10

Look = Callable[[Sequence[tuple[Viewer, str]]], Awaitable[Sequence[JSON]]]


class Feeds:
    """The followers of each feed, and what each of them heard last. `look` is `AsyncSource.feeds`."""

    def __init__(self, look: Look) -> None:
        self._look = look
        self._followers: dict[Outbox, tuple[Viewer, dict[str, str]]] = {}  # the text said last, by name
        self._texts: dict[tuple[Viewer, str], tuple[JSON, str]] = {}

    async def follow(self, outbox: Outbox, viewer: Viewer, names: Sequence[str]) -> list[str]:
        """Tell `outbox` what these feeds say, now and from now on; answers those that do not exist."""
        _, said = self._followers.setdefault(outbox, (viewer, {}))
        new = [name for name in dict.fromkeys(names) if name not in said]
        unknown = new[MAX_FEEDS - len(said) :]
        new = new[: MAX_FEEDS - len(said)]
        for name, value in zip(new, await self._ask([(viewer, name) for name in new]), strict=True):
            if value is None:
                unknown.append(name)
            elif outbox in self._followers:
                said[name] = ""
                self._tell(outbox, said, name, dumps(value), value)
        return unknown

    def leave(self, outbox: Outbox, names: Sequence[str]) -> None:
        """Tell `outbox` these feeds no longer."""
        for name in names:
            self._followers.get(outbox, (None, {}))[1].pop(name, None)

    def recognise(self, outbox: Outbox, viewer: Viewer) -> None:
        """The person behind `outbox` is `viewer` now, such as somebody who is no longer staff."""
        if outbox in self._followers:
            self._followers[outbox] = (viewer, self._followers[outbox][1])

    def forget(self, outbox: Outbox) -> None:
        """The socket is gone."""
        self._followers.pop(outbox, None)

    async def tick(self) -> None:
        """Look at every feed that is followed, once for all viewers, and tell what is new."""
        asked = list({(viewer, name): None for viewer, said in self._followers.values() for name in said})
        before, self._texts = self._texts, {}
        for key, value in zip(asked, await self._ask(asked), strict=True):
            old = before.get(key)
            self._texts[key] = old if old is not None and old[0] is value else (value, dumps(value))
        for outbox, (viewer, said) in list(self._followers.items()):
            for name, last in list(said.items()):
                value, text = self._texts.get((viewer, name), (None, last))
                if text != last:
                    self._tell(outbox, said, name, text, value)

    async def _ask(self, asked: Sequence[tuple[Viewer, str]]) -> Sequence[JSON]:
        return await self._look(asked) if asked else []

    @staticmethod
    def _tell(outbox: Outbox, said: dict[str, str], name: str, text: str, value: JSON) -> None:
        if text == said[name]:
            return
        frame = feed(name, value)
        if not fits(dumps(frame)):
            logger.error("The feed %s says more than fits into a frame: %s characters.", name, f"{len(text):,}")
            said[name] = text
        # One that cannot be sent now, because its reader does not read, is sent by a later look.
        elif outbox.put_answer(frame):
            said[name] = text
