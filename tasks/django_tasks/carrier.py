"""The Celery task that does Django's tasks, and Django's signals of their begin and end."""

from __future__ import annotations

import logging

from celery import shared_task
from django.dispatch import receiver
from django.utils import timezone

from tasks.celery.signals import run_ended
from tasks.celery.types import CeleryTask
from tasks.models import State, TaskRun

from . import api
from .api import CARRIER
from .results import carried_by, result_of

logger = logging.getLogger(__name__)


@shared_task(name=CARRIER, bind=True)
def call(self: CeleryTask, name: str, args: list[object], kwargs: dict[str, object]) -> object:
    """Do the task `name` in the attempt that was claimed under this run's id."""
    run = TaskRun.objects.get(pk=self.request.id)
    attempt = {"worker": run.worker, "at": timezone.now().isoformat()}
    run.attempts = [*run.attempts, attempt]
    TaskRun.objects.filter(pk=run.pk, attempt=run.attempt, state=State.STARTED).update(attempts=run.attempts)
    result = result_of(run)
    task = result.task
    api.signals.task_started.send(type(task.get_backend()), task_result=result)
    given = [api.TaskContext(task_result=result)] if task.takes_context else []
    return api.normalize_json(task.call(*given, *args, **kwargs))


@receiver(run_ended)
def _tell(run: TaskRun, **_: object) -> None:
    if carried_by(run) is None:
        return
    try:
        result = result_of(run)
        api.signals.task_finished.send(type(result.task.get_backend()), task_result=result)
    except Exception:
        logger.exception("Not everybody was told that %s has finished.", run)
