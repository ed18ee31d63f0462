"""Where a task is: the Python stack of its thread, taken by another one. Standard library only.

Files, lines and functions; no arguments and no local variables.
"""

from __future__ import annotations

import sys
import threading
import traceback
import weakref
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Protocol

#: Characters of a stack that are told: its end, which is where the task is.
MAX_STACK = 20_000


class _Greenlet(Protocol):
    """`gr_frame`: None of one that runs, here or in another thread."""

    gr_frame: FrameType | None


class Thread:
    """The thread, or the greenlet, that makes it: the task's."""

    __slots__ = ("_greenlet", "_ident", "base")

    def __init__(self, base: str = "") -> None:
        #: The file of the code that calls the task: what is outside of it is not the task's.
        self.base = base
        self._ident = threading.get_ident()
        getcurrent = getattr(sys.modules.get("greenlet"), "getcurrent", None)
        self._greenlet: weakref.ref[_Greenlet] | None = weakref.ref(getcurrent()) if getcurrent is not None else None

    def stack(self) -> str:
        """As Python prints one, the innermost call last; "" if the thread is gone."""
        frame = self._frame()
        if frame is None:
            return ""
        return within([line.rstrip("\n") for line in traceback.format_stack(frame)], self.base)

    def tell(self, asked: Callable[[str], None]) -> None:
        """Answer who asks. What goes wrong there is theirs: the task is told on."""
        with suppress(Exception):
            asked(self.stack())

    def _frame(self) -> FrameType | None:
        # A greenlet that waits is in no thread's stack.
        greenlet = self._greenlet() if self._greenlet is not None else None
        frame = greenlet.gr_frame if greenlet is not None else None
        return frame if frame is not None else sys._current_frames().get(self._ident)


def within(calls: list[str], base: str) -> str:
    """The text of `calls`, the outermost first, without those outside of the last one in the file `base`."""
    last = max((at for at, call in enumerate(calls) if base and f'"{base}"' in call), default=-1)
    inner = calls[last + 1 :] or calls
    return "\n".join(inner)[-MAX_STACK:]
