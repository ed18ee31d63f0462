"""The end of a Celery task, recorded and told: every one of them comes through here to `runs.end`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict, Unpack, cast

from django.db import transaction
from django.utils import timezone

from progress.active import current
from progress.messages import Changing, TaskError
from progress.types import JSON
from tasks import runs
from tasks.models import TaskRun
from tasks.runs.state import tell_last

from . import canvas
from .types import TaskRequest


class Holder(TypedDict, total=False):
    """Who ends the run: see `runs.end`."""

    attempt: int
    worker: str


class Outcome(TypedDict, total=False):
    """What an end leaves in the row."""

    result: JSON
    error: TaskError
    traceback: str


def end(
    task_id: str,
    state: str,
    *,
    attempt: int | None = None,
    worker: str | None = None,
    children: Sequence[JSON] = (),
    ignored: bool = False,
    **values: Unpack[Outcome],
) -> bool:
    """Record an end and tell it once it is committed; False when the attempt holds the run no longer.

    `children` are kept with the run's last numbers. An `ignored` value is given to what follows the run, and not kept.
    """
    reporter = current()
    if reporter is not None and reporter.task_id != task_id:
        reporter = None
    numbers = reporter.state() if reporter is not None else None
    quietly = reporter is not None
    if children:
        numbers = cast(Changing, {**(numbers or {}), "children": list(children)})
    if ignored:
        numbers = cast(Changing, {**(numbers or {}), "ignored": True})
    with transaction.atomic():
        run = runs.end(task_id, state, attempt=attempt, worker=worker, numbers=numbers, quietly=quietly, **values)
        if run is None:
            return False
        if ignored:
            canvas.forget_ignored(run)
    canvas.part_ended(run)
    if reporter is not None:
        tell_last(reporter, run)
    return True


def end_untracked(task_id: str, name: str, state: str, request: TaskRequest, values: Outcome) -> None:
    """Keep the end of a task that is no run (`tracked = False`, `base=celery.Task`), for those who ask for it."""
    run = TaskRun.objects.filter(pk=task_id).first()
    if run is None:
        now = timezone.now()
        group_id = getattr(request, "group", None)
        run = TaskRun(id=task_id, name=name, accepted_at=now, sent_at=now, group_id=group_id, max_attempts=1)
        options = {
            "link": getattr(request, "callbacks", None) if state == "SUCCESS" else None,
            "link_error": getattr(request, "errbacks", None),
        }
        run.message = {"args": [], "kwargs": {}, "options": {key: value for key, value in options.items() if value}}
        run.message["options"].pop("link", None)  # Celery has started those itself
        run.save(force_insert=True)
    runs.end(task_id, state, **values)
