"""When a task has last told something new, and from when on its silence is worth a word. Standard library only.

The task's loop has no clock: the flusher's thread, which looks at what the task tells, sees that it is another thing.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime

#: Seconds of silence that are worth a word, of a task that has told something; a task's `quiet_after` says otherwise.
QUIET_AFTER = 60.0
#: Seconds between two words of an advance that no number shows (a log line, a checkpoint).
SHOWN_EVERY = 1.0


class Advance:
    """When what a task has told was another thing than before; never, as long as it is what it began with."""

    __slots__ = ("_at", "_due", "_seen", "_shown")

    def __init__(self) -> None:
        self._seen: tuple[object, ...] | None = None
        self._at = self._shown = 0.0  # seconds since 1970; 0.0: never
        self._due = 0.0

    def look(self, told: tuple[object, ...]) -> None:
        """`told` is what the task has told until now; the first look sees what it began with."""
        if self._seen is not None and told != self._seen:
            self._at = time.time()
        self._seen = told

    def is_due(self, told: tuple[object, ...]) -> bool:
        """True if an advance that was not shown may be shown now."""
        news = self._at != self._shown or (self._seen is not None and told != self._seen)
        return news and time.monotonic() >= self._due

    def shown(self) -> None:
        """Viewers have heard it."""
        if self._shown != self._at:
            self._shown, self._due = self._at, time.monotonic() + SHOWN_EVERY

    @property
    def at(self) -> str | None:
        """As frames carry it; None: the task has told nothing."""
        return datetime.fromtimestamp(self._at, UTC).isoformat(timespec="milliseconds") if self._at else None
