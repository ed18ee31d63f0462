"""Is this worker ending? One byte that a worker's parent shares with the pool processes that it forks.

No message, no lock and no I/O: a task looks at it between two items.
"""

from __future__ import annotations

import mmap

#: `flag[0]`: 1 from the moment at which the worker was told to end.
flag = mmap.mmap(-1, mmap.PAGESIZE)


def stop() -> None:
    """Tasks with checkpoints stop at their next one."""
    flag[0] = 1


def is_asked() -> bool:
    """True once the worker was told to end."""
    return bool(flag[0])


def go_on() -> None:
    """A worker that begins does not end."""
    flag[0] = 0
