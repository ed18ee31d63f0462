"""Log lines of one attempt that wait to be published. Standard library only."""

from __future__ import annotations

import threading
import time
from collections import deque

from .messages import LEVELS, dumps
from .values import MAX_LINE, MAX_UNIT, plain_text

#: Log lines that wait for a Redis that is away; then the oldest go.
MAX_PENDING_LINES = 10_000
#: Log lines in one frame.
MAX_LINES_A_FRAME = 200


class Lines:
    """In the order in which they were said. Its lock is re-entrant: a signal handler may log."""

    __slots__ = ("_dropped", "_lock", "_told", "_waiting")

    def __init__(self) -> None:
        self._waiting: deque[str] = deque()
        self._dropped = 0
        self._told = 0  # of this attempt's lines, those before the first that waits
        self._lock = threading.RLock()

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def said(self) -> int:
        """How many there were in all."""
        return self._told + len(self._waiting)

    def add(self, text: object, level: str) -> None:
        """Say one more; an unknown `level` is info."""
        level = plain_text(level, MAX_UNIT)
        level = level if level in LEVELS else "info"
        line = dumps({"ts": round(time.time(), 3), "level": level, "text": plain_text(text, MAX_LINE)})
        with self._lock:
            if len(self._waiting) >= MAX_PENDING_LINES:
                self._waiting.popleft()
                self._told += 1
                self._dropped += 1
            self._waiting.append(line)

    def next_frame(self) -> tuple[list[str], int, int]:
        """The lines of the next frame, how many of the attempt came before them, and how many of those were lost."""
        with self._lock:
            lines = [self._waiting[at] for at in range(min(len(self._waiting), MAX_LINES_A_FRAME))]
            told, dropped = self._told, self._dropped
        if dropped:  # the note takes the place of the last one that was lost
            note = {"ts": round(time.time(), 3), "level": "warning", "text": f"{dropped} log lines were lost."}
            lines.insert(0, dumps(note))
        return lines, told - bool(dropped), dropped

    def were_told(self, lines: list[str], before: int, dropped: int) -> None:
        """What `next_frame` gave was published."""
        with self._lock:
            self._dropped -= dropped
            while self._waiting and self._told < before + len(lines):
                self._waiting.popleft()
                self._told += 1
