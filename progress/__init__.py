"""Live progress: a task says how far it is, and everybody who may watch it sees that.

    import progress

    for row in progress.track(rows, total=len(rows), unit="rows"):
        save(row)

Every function acts on the running task, also in a thread that the task has started (`threads.py` says how far). Outside
a task, `track` draws a bar where standard error is a terminal, and the others do nothing. Only the standard library is
imported here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import TypeVar

from .active import _current
from .errors import Cancelled
from .messages import Level
from .reporter import Reporter
from .threads import reporter_here as current
from .threads import reporter_of_thread
from .types import Group
from .values import whole_number

__all__ = ["Cancelled", "Reporter", "advance", "children", "current", "log", "missing", "set", "step", "track"]

T = TypeVar("T")

#: `current` without a Python call of its own: `set` is called in the inner loops of tasks.
_reporter = _current.get


def set(
    current: float | None = None,
    total: float | None = None,
    message: str | None = None,
    unit: str | None = None,
) -> None:
    """Say how far the running task is; what is left out stays as it was.

    `current` and `total` are numbers of any size in the same `unit` ("row", "bytes", …); `message` is one line of up
    to 500 characters. Raises `Cancelled` when the task was asked to stop.
    """
    reporter = _reporter() or reporter_of_thread()
    if reporter is not None:
        reporter.set(current, total, message, unit)


def advance(n: float = 1) -> None:
    """Add `n` to what the running task has done. Raises `Cancelled` when the task was asked to stop."""
    reporter = current()
    if reporter is not None:
        reporter.advance(n)


def track(iterable: Iterable[T], total: float | None = None, unit: str = "", message: str | None = None) -> Iterator[T]:
    """Yield from `iterable` and count. `total` is taken from its length where it has one and none is given.

    Raises `Cancelled` when the task was asked to stop. Outside a task a terminal gets a bar of its own.
    """
    reporter = current()
    if reporter is not None:
        return reporter.track(iterable, total, unit, message)
    from .terminal import track_in_terminal

    return track_in_terminal(iterable, total, unit, message)


def step(name: str, weight: float = 1) -> AbstractContextManager[Reporter | None]:
    """A named part of the running task, with a bar and a duration of its own; steps nest.

    After `progress.set(total=…)` with the sum of the weights, the percentage is that of the whole; without it nobody
    can know how far the whole is: pages say "step 3", and each step has its own bar.
    """
    reporter = current()
    return nullcontext() if reporter is None else reporter.step(name, weight)


def missing(count: int) -> None:
    """Say that `count` pieces are missing in what the running task has done: its end is shown as "done, 2 missing"."""
    reporter = current()
    if reporter is not None:
        reporter.missing = whole_number(count)
        reporter.set()


def log(text: str, level: Level = "info") -> None:
    """Add a line to the running task's log. `level` is debug, info, warning or error."""
    reporter = current()
    if reporter is not None:
        reporter.log(text, level)


def children(group: Group, unit: str = "tasks") -> None:
    """Wait until every task of `group` (a Celery GroupResult) has ended; the running task's bar shows how many have.

    The waiting task keeps its place in the pool; a chord does not need one. Raises `Cancelled`.
    """
    from .child_count import children as wait_for  # here: it brings Redis, which a reporter alone does not need

    wait_for(group, unit)
