"""Which reporter is the running task's, and which are active in this process at all. Standard library only."""

from __future__ import annotations

import contextvars
import os

from .reporter import Reporter

_current: contextvars.ContextVar[Reporter | None] = contextvars.ContextVar("progress_reporter", default=None)
#: The reporters that some context of this process has made its own, in the order in which they came.
_active: dict[int, Reporter] = {}


def current() -> Reporter | None:
    """The reporter of the task that runs in this context; None outside a task, and in a thread that a task started."""
    return _current.get()


def active() -> list[Reporter]:
    """The reporters of all tasks that run in this process now."""
    return [one for one in list(_active.values()) if not one.has_ended]


def activate(reporter: Reporter | None) -> contextvars.Token[Reporter | None]:
    """Make `reporter` the running task's; the token goes to `deactivate`. None: the task has ended."""
    if reporter is None:
        _retire(_current.get())
    else:
        _active[id(reporter)] = reporter
    return _current.set(reporter)


def deactivate(token: contextvars.Token[Reporter | None]) -> None:
    """Undo `activate`."""
    _retire(_current.get())
    _current.reset(token)


def _retire(reporter: Reporter | None) -> None:
    if reporter is not None:
        _active.pop(id(reporter), None)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_active.clear)
