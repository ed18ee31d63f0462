"""A killed task goes on where it was.

    from tasks.resume import checkpoint, fenced, resumable

    for order in resumable(orders, total=n, unit="orders"):  # after a death: goes on after the last one that was done
        save(order)

docs/RESUME.md says what holds, and what does not.
"""

from __future__ import annotations

from . import checkpoint
from .attempt import begin, end, settle
from .errors import CheckpointError, NotResumable, Stopped
from .fence import fenced
from .loop import resumable

__all__ = [
    "CheckpointError",
    "NotResumable",
    "Stopped",
    "begin",
    "checkpoint",
    "end",
    "fenced",
    "resumable",
    "settle",
]
