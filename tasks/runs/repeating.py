"""Run an ended run again: from the start, or where it was."""

from __future__ import annotations

from tasks.models import TaskRun

from .accepting import accept
from .engine import NotAccepted, get_engine
from .owner import Owner

#: Where a run that is repeated begins.
START, CHECKPOINT = "start", "checkpoint"
BEGINNINGS = (START, CHECKPOINT)


def is_repeated(task_id: str) -> bool:
    """True of a run that a person has started because another one had ended."""
    return TaskRun.objects.filter(pk=task_id, retry_of__isnull=False).exists()


def again(run: TaskRun, owner: Owner | None = None, *, begin: str = START) -> TaskRun:
    """A new run with the arguments of an ended one, linked to it; it begins at the `START` or at the `CHECKPOINT`.

    Raises `NotAccepted`.
    """
    start = get_engine(run.engine).again(run)
    if begin == CHECKPOINT:
        if run.checkpoint_at is None:
            raise NotAccepted("The task has no checkpoint: it can only begin at the start.")
        start.goes_on = run
    return accept(start, retry_of=run.pk, owner=owner)
