"""What happens often, said seldom: one line with a count. Standard library only."""

from __future__ import annotations

import time


class Seldom:
    """Counts how often something happens, and says so at most once every `seconds`."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._said_at = float("-inf")
        self._count = 0

    def times(self) -> int:
        """It happened once more: how often since it was said last, if it is to be said now; else 0."""
        self._count += 1
        now = time.monotonic()
        if now - self._said_at < self._seconds:
            return 0
        count, self._count, self._said_at = self._count, 0, now
        return count
