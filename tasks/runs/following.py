"""Many ends at once that nothing follows: the children of a cancelled run, before they have begun."""

from __future__ import annotations

import logging

from django.db.models import QuerySet

from progress.record import get_record
from tasks.models import State, TaskGroup, TaskRun

from .engine import NoEngine, get_engine
from .state import changing

logger = logging.getLogger(__name__)

#: Ends of one statement.
SLICE = 500


def follow_alone(unfollowed: QuerySet[TaskRun]) -> int:
    """Settle up to `SLICE` of those that were revoked before they began, and that nothing waits for or hangs on.

    A few statements and one round trip; returns how many. The others are followed one by one: `moves.follow_up`.
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


def _calls_somebody(run: TaskRun) -> bool:
    try:
        return get_engine(run.engine).is_followed(run, ended_well=False)
    except NoEngine:  # whoever follows it by itself says so
        return True
