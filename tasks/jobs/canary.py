"""The job that `manage.py doctor` sends the whole way of a task, to see whether it comes back."""

from __future__ import annotations

import progress


def canary() -> str:
    """No work at all; returns a word."""
    progress.set(1, total=1)
    return "alive"
