"""What is enqueued becomes a run."""

from __future__ import annotations

from typing import TypedDict

from celery import current_app
from django.conf import settings

from tasks import runs
from tasks.celery.start import UnknownTask, start_of
from tasks.celery.types import Options

from . import api
from .api import CARRIER

#: What Celery's default queue is called in Django.
DEFAULT_QUEUE = "default"


class Carried(TypedDict):
    """The part of a message that only this backend reads."""

    task: str
    backend: str
    priority: int
    queue_name: str
    run_after: str | None


def enqueue(backend: api.Backend, task: api.DjangoTask, args: object, kwargs: object) -> api.DjangoResult:
    """Store the run, and say that it is there."""
    made = api.TaskResult(
        task=task,
        id="",
        status=api.TaskResultStatus.READY,
        enqueued_at=None,
        started_at=None,
        last_attempted_at=None,
        finished_at=None,
        args=args,  # made JSON, or refused, by the result itself
        kwargs=kwargs,
        backend=backend.alias,
        errors=[],
        worker_ids=[],
    )
    carried: Carried = {
        "task": CARRIER,
        "backend": backend.alias,
        "priority": task.priority,
        "queue_name": task.queue_name,
        "run_after": task.run_after.isoformat() if task.run_after is not None else None,
    }
    options: Options = {"carried": carried, "priority": celery_priority(task.priority)}
    if task.queue_name != DEFAULT_QUEUE:
        options["queue"] = task.queue_name
    if task.run_after is not None:
        options["eta"] = task.run_after
    start = start_of(UnknownTask(task.module_path, current_app), made.args, made.kwargs, options)
    start.max_attempts = int(backend.options.get("max_attempts", start.max_attempts))
    run = runs.accept(start)
    object.__setattr__(made, "id", run.pk)
    object.__setattr__(made, "enqueued_at", run.accepted_at)
    api.signals.task_enqueued.send(type(backend), task_result=made)
    return made


def celery_priority(priority: int) -> int:
    """Django's -100 … 100, the largest first, as the broker's.

    Redis has a list for each of four steps, the smallest first. RabbitMQ's quorum queues know high and normal.
    """
    if settings.BROKER.queue_type == "quorum":
        return 9 if priority > 0 else 0
    if priority > 0:
        return 0
    if priority == 0:
        return 3
    return 6 if priority > -50 else 9
