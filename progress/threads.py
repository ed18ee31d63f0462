"""Whose progress a thread tells that a task has started: its own task's, as far as that can be known.

A context is not inherited by threads before Python 3.14, so `progress.set` in a `ThreadPoolExecutor` finds no reporter.
Where one task runs in the process (prefork, solo), it is that task's thread. Standard library only.
"""

from __future__ import annotations

import logging
import threading

from .active import active, current
from .reporter import Reporter

logger = logging.getLogger(__name__)

#: For which task this thread told first: a thread that outlives its task must not tell for the next one.
_thread = threading.local()
_warned = False

WARNING = (
    "progress was called in a thread while several tasks run in this process: it cannot know whose progress this is. "
    "Start the thread's work with contextvars.copy_context().run, for example "
    "executor.submit(contextvars.copy_context().run, work). This is said once a process."
)


def reporter_here() -> Reporter | None:
    """The running task's reporter, also in a thread that the task has started; None outside a task."""
    return current() or reporter_of_thread()


def reporter_of_thread() -> Reporter | None:
    """The reporter of the only task that runs in this process; None where there is none, or more than one."""
    candidates = active()
    if not candidates:
        return None
    first: Reporter | None = getattr(_thread, "first", None)
    if first is not None and not _serves_many():
        return first if first in candidates else None  # its task has ended
    if len(candidates) > 1:
        _warn()
        return None
    _thread.first = candidates[0]
    return candidates[0]


def _serves_many() -> bool:
    """True if this thread belongs to an executor, whose next piece of work may be another task's."""
    target = getattr(threading.current_thread(), "_target", None)
    return getattr(target, "__module__", "") == "concurrent.futures.thread"


def _warn() -> None:
    global _warned
    if not _warned:
        _warned = True
        logger.warning(WARNING)
