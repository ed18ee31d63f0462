"""Which run each of a consumer's workers is at, seen by its parent: a few bytes of memory that they share.

Workers are processes, threads or greenlets. Each writes into its own place; nobody else does.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable
from contextvars import ContextVar

#: Bytes of a place: the length of an id, and the id, which has 64 characters at most.
PLACE = 80

_mine: ContextVar[tuple[Board, int] | None] = ContextVar("tasks_huey_place", default=None)
_ending: ContextVar[Callable[[], bool] | None] = ContextVar("tasks_huey_ending", default=None)


class Board:
    """`places` of them, empty."""

    def __init__(self, places: int) -> None:
        self._memory = mmap.mmap(-1, max(places, 1) * PLACE)

    def write(self, place: int, text: str) -> None:
        """The length goes last, so that nobody reads half of an id."""
        start, data = place * PLACE, text.encode()[: PLACE - 1]
        self._memory[start] = 0
        self._memory[start + 1 : start + 1 + len(data)] = data
        self._memory[start] = len(data)

    def read(self, place: int) -> str:
        """The id in that place; "" for none."""
        start = place * PLACE
        length = self._memory[start]
        return self._memory[start + 1 : start + 1 + length].decode(errors="replace")


def take(board: Board, place: int, ending: Callable[[], bool]) -> None:
    """This worker writes there. `ending` says whether its consumer was told to end."""
    _mine.set((board, place))
    _ending.set(ending)
    board.write(place, "")


def is_ending() -> bool:
    """True if this worker shall begin nothing any more."""
    ending = _ending.get()
    return ending is not None and ending()


def begin(task_id: str) -> None:
    """This worker is at that run."""
    if (mine := _mine.get()) is not None:
        mine[0].write(mine[1], task_id)


def end() -> None:
    """It is at nothing."""
    begin("")
