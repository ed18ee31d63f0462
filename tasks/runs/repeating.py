"""Run an ended run again."""

from __future__ import annotations

from tasks.models import TaskRun

from .accepting import accept
from .engine import get_engine
from .owner import Owner


def again(run: TaskRun, owner: Owner | None = None) -> TaskRun:
    """A new run with the arguments of an ended one, linked to it. Raises `NotAccepted`."""
    return accept(get_engine(run.engine).again(run), retry_of=run.pk, owner=owner)
