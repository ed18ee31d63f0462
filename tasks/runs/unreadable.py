"""Rows that cannot be read as what they should be: they end, and so does what waits for them. Nobody else notices."""

from __future__ import annotations

import logging

from django.db import transaction

from progress.messages import TaskError
from tasks.models import State, TaskGroup, TaskRun

from . import barrier
from .database import DatabaseAway
from .engine import get_engine
from .message import MAX_ERROR, plain
from .moves import end

logger = logging.getLogger(__name__)


def end_unreadable(task_id: str, error: TaskError) -> None:
    """FAILURE of a row that cannot be read as what it should be: what is wrong in it is emptied."""
    emptied: dict[str, object] = {"message": {}, "eta": None, "expires": None, "progress": {}}
    end(task_id, State.FAILURE, error=error, others=emptied)


def follow_blindly(task_id: str, why: str) -> None:
    """An end that cannot be followed, because its row or its group cannot be read: what waits for it ends."""
    with transaction.atomic():
        if not TaskRun.objects.filter(pk=task_id, unfollowed=True).update(unfollowed=False):
            return
        _fail_held(task_id, why)
        group_id = TaskRun.objects.values_list("group_id", flat=True).get(pk=task_id)
        if group_id and barrier.arrive(group_id) is not None:
            complete_group(group_id)


def complete_group(group_id: str) -> None:
    """All parts have ended: start what waits for the group. Where its row cannot be read, that ends."""
    with transaction.atomic():
        group = TaskGroup.objects.get(pk=group_id)
        TaskGroup.objects.filter(pk=group_id).update(done=True)
        try:
            with transaction.atomic():
                get_engine(group.engine).complete(group)
        except DatabaseAway:
            raise
        except Exception as error:
            logger.exception("The group %s cannot be completed.", group_id)
            _fail_held(group_id, f"{type(error).__name__}: {error}")


def _fail_held(after: str, why: str) -> None:
    message = f"What it waited for has ended, but cannot be followed: {why}"
    error: TaskError = {"type": "Unreadable", "message": plain(message)[:MAX_ERROR]}
    for pk in list(TaskRun.objects.filter(after=after, held=True, state=State.PENDING).values_list("pk", flat=True)):
        end(pk, State.FAILURE, error=error)
