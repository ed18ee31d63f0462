"""Ends that were not followed in their own transaction: one by one, or many at once that nothing follows."""

from __future__ import annotations

import logging

from django.db import transaction
from django.db.models import QuerySet

from progress.record import get_record
from tasks.models import FINAL, State, TaskGroup, TaskRun

from .engine import NoEngine, get_engine
from .moves import cancel_children, follow
from .state import changing, tell

logger = logging.getLogger(__name__)

#: Ends of one statement.
SLICE = 500


def is_alone(run: TaskRun) -> bool:
    """True if nothing waits for the good end of this claimed run: no link, no callback, no chord."""
    return not run.group_id and not get_engine(run.engine).is_followed(run)


def follow_alone(unfollowed: QuerySet[TaskRun]) -> int:
    """Settle up to `SLICE` of those that were revoked before they began, and that nothing waits for or hangs on.

    A few statements and one round trip; returns how many. The others are followed one by one: `follow_up`.
    """
    found = list(unfollowed.filter(unfollowed=True, state=State.REVOKED, attempt=0).order_by("finished_at")[:SLICE])
    if not found:
        return 0
    ids, groups = {run.pk for run in found}, {run.group_id for run in found if run.group_id}
    open_groups = set(TaskGroup.objects.filter(pk__in=groups, done=False).values_list("pk", flat=True))
    waited_for = set(TaskRun.objects.filter(held=True, after__in=ids | groups).values_list("after", flat=True))
    children = TaskRun.objects.filter(parent_id__in=ids, finished_at=None).order_by()  # they are cancelled with them
    parents = set(children.values_list("parent_id", flat=True).distinct())
    alone = [
        run
        for run in found
        if run.pk not in parents
        and run.group_id not in open_groups
        and not {run.pk, run.group_id} & waited_for
        and not _calls_somebody(run)
    ]
    TaskRun.objects.filter(pk__in=[run.pk for run in alone]).update(unfollowed=False)
    try:
        get_record().tell_many([(run.pk, changing(run)) for run in alone])
    except Exception as error:
        logger.debug("%s ends could not be told; their viewers are repaired: %s", len(alone), error)
    return len(alone)


def follow_up(task_id: str) -> Exception | None:
    """Follow an end that nobody has followed yet, and tell it. Returns why that is not possible now."""
    run = TaskRun.objects.filter(pk=task_id, state__in=FINAL, unfollowed=True).first()
    if run is None:
        return None
    if run.state == State.REVOKED and run.cancel_requested_at is not None:
        cancel_children(run.pk)  # before its own callbacks are accepted
    with transaction.atomic():
        # Of two that come at once, one follows: the row is locked until it has.
        if not TaskRun.objects.filter(pk=task_id, unfollowed=True).update(unfollowed=True):
            return None
        error = follow(run)
    tell(run)
    return error


def _calls_somebody(run: TaskRun) -> bool:
    try:
        return get_engine(run.engine).is_followed(run, ended_well=False)
    except NoEngine:  # whoever follows it by itself says so
        return True
