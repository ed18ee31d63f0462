"""What waits though nothing can free it any more."""

from __future__ import annotations

from datetime import timedelta

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from tasks.models import CLAIMABLE, FINAL, TaskGroup, TaskRun

from . import barrier
from .clock import long_ago

#: A held run that nothing can free any more is ended after this long.
ORPHANED_AFTER = timedelta(seconds=6)
#: A group whose parts come from a generator gets its next part within this time, or its sender is taken for dead.
UNFINISHED_AFTER = timedelta(minutes=10)


def orphans() -> QuerySet[TaskRun]:
    """Held, but what it waits for has ended and was followed, or is gone."""
    alive = TaskRun.objects.filter(pk=OuterRef("after"))
    alive = alive.filter(Q(unfollowed=True) | ~Q(state__in=FINAL)).exclude(pk=OuterRef("pk"))
    alive = alive.exclude(held=True, after=OuterRef("pk"))  # two that wait for each other
    group = TaskGroup.objects.filter(pk=OuterRef("after"), done=False)
    # A chord further down a chain: its group is stored when its turn comes, its parts are held until then.
    part = TaskRun.objects.filter(Q(unfollowed=True) | ~Q(state__in=FINAL), group_id=OuterRef("after"))
    part = part.exclude(held=True, after=OuterRef("after"))  # a body that says it is one
    held = TaskRun.objects.filter(long_ago("accepted_at", ORPHANED_AFTER), held=True).order_by("after")  # by its index
    return held.filter(~Exists(alive), ~Exists(group), ~Exists(part))


def cancelled_parents() -> QuerySet[TaskRun]:
    """For `Exists` over runs: the parent, if its cancel was asked for before it had ended and after it started the run.

    What is accepted at the end of a cancelled run (an error callback) is no part of it.
    """
    cancelled = TaskRun.objects.filter(pk=OuterRef("parent_id"), cancel_requested_at__isnull=False)
    return cancelled.filter(Q(finished_at=None) | Q(finished_at__gt=OuterRef("accepted_at")))


def cancelled(within: timedelta | None) -> list[QuerySet[TaskRun]]:
    """Runs that were asked to end, and wait; children that were started as their parent was cancelled.

    `within`: cancels of this time; None: of all time.
    """
    asked = TaskRun.objects.filter(cancel_requested_at__isnull=False).order_by()
    if within is not None:
        asked = asked.filter(cancel_requested_at__gt=timezone.now() - within)
    waiting = TaskRun.objects.filter(state__in=CLAIMABLE, finished_at=None).order_by()
    children = waiting.filter(Exists(cancelled_parents()), parent_id__in=asked.values("pk"))
    return [waiting.filter(pk__in=asked.filter(finished_at=None).values("pk")), children]


def groups() -> QuerySet[TaskGroup]:
    """Groups whose body waits though none of their parts can still end: a part's row is gone."""
    part = TaskRun.objects.filter(group_id=OuterRef("pk")).exclude(state__in=FINAL)
    part = part.exclude(held=True, after=OuterRef("pk"))  # a body that says it is one
    ended = TaskRun.objects.filter(group_id=OuterRef("pk"), unfollowed=True)
    gone = TaskGroup.objects.filter(~Exists(part), ~Exists(ended), done=False, body__isnull=False, untracked=False)
    gone = gone.filter(long_ago("created_at", ORPHANED_AFTER))
    late = timezone.now() - UNFINISHED_AFTER
    growing = TaskRun.objects.filter(group_id=OuterRef("pk"), accepted_at__gt=late)
    return gone.exclude(Q(left__gt=barrier.UNKNOWN // 2) & (Exists(growing) | Q(created_at__gt=late)))
