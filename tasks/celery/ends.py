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
from tasks.models import State, TaskRun
from tasks.runs.state import tell_last, tell_pause
from tasks.runs.waiting import retry_waiting

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
    claimed: TaskRun | None = None,
    **values: Unpack[Outcome],
) -> bool:
    """Record an end and tell it once it is committed; False when the attempt holds the run no longer.

    `children` are kept with the run's last numbers. An `ignored` value is given to what follows the run, and not kept.
    `claimed`: the run as the attempt claimed it; where nothing follows it, a good end is one statement.
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
    if claimed is not None and state == "SUCCESS" and runs.is_alone(claimed):
        if ignored:
            values["result"] = None
        run = runs.end(task_id, state, numbers=numbers, attempt=attempt, quietly=quietly, alone=True, **values)
    else:
        with transaction.atomic():
            run = runs.end(task_id, state, attempt=attempt, worker=worker, numbers=numbers, quietly=quietly, **values)
            if run is not None and ignored:
                canvas.forget_ignored(run)
    if run is None:
        return False
    canvas.part_ended(run)
    if reporter is not None:
        tell_last(reporter, run)
    return True


def give_back(task_id: str, attempt: int) -> None:
    """The attempt stops at a checkpoint, because its worker ends: the run waits again, and is sent."""
    reporter = current()
    if not runs.give_back(task_id, attempt, send_again=True) or reporter is None:
        return
    run = TaskRun.objects.filter(pk=task_id, attempt=attempt, state=State.RETRY).first()
    if run is not None:
        tell_pause(reporter, run, retry_waiting(run))


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
