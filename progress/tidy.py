"""The memory of sockets that have gone is given back. Standard library only.

A web server leaves each of them in a circle of objects, and Python looks for such circles when many new objects are
made: a server at rest would keep its last thousand sockets. What is freed then, the C library keeps for itself, unless
it is told not to.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import sys
from collections.abc import Callable
from contextlib import suppress

#: Sockets that have gone since it was done last; one that was sent much, snapshots with long logs, counts as several.
MANY, MUCH = 250, 64 * 1024
#: Seconds until then: a web server itself forgets a socket only a moment after its end (Daphne: a second).
LATER = 3.0
#: Of all time, the part that may be spent with it: all others wait meanwhile.
SHARE = 0.01


class Tidy:
    """Counts the sockets of an event loop that have gone, and tidies up behind them."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._gone = 0
        self._begun = False
        self._not_before = 0.0

    def gone(self, sent: int = 0) -> None:
        """One more, which was sent so many bytes."""
        self._gone += 1 + sent // MUCH
        if self._gone >= MANY and not self._begun:
            self._begun = True
            self._loop.call_at(max(self._loop.time() + LATER, self._not_before), self._tidy)

    def _tidy(self) -> None:
        self._gone, self._begun = 0, False
        began = self._loop.time()
        gc.collect()
        give_back()
        now = self._loop.time()
        self._not_before = now + (now - began) / SHARE


def _find_trim() -> Callable[[int], object] | None:
    """`malloc_trim` of glibc; None where the C library is another one."""
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            found: Callable[[int], object] = ctypes.CDLL(None).malloc_trim
            return found
    return None


_trim = _find_trim()


def give_back() -> None:
    """Let the C library return to the system what is free."""
    if _trim is not None:
        _trim(0)
