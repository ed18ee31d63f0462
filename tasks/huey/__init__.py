"""Huey as an engine of runs: `HUEY = {"huey_class": "tasks.huey.TrackedHuey"}` is all that a project writes.

    queue.py ─► a call becomes a row (messages.py, values.py) ─► engine.py publishes it
    consumer.py ─► attempt.py: claim, work, end                  results.py: what `.get()` answers

Nothing here is imported unless `huey.contrib.djhuey` is in INSTALLED_APPS.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .queue import TrackedHuey

__all__ = ["TrackedHuey"]


def __getattr__(name: str) -> object:
    if name != "TrackedHuey":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from .queue import TrackedHuey

    return TrackedHuey
