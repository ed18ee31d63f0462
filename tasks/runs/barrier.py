"""A group whose parts must all have ended before something follows: each end is one decrement."""

from __future__ import annotations

from collections.abc import Sequence

from django.db.models import F, Q

from tasks.models import CELERY, FINAL, TaskGroup, TaskRun

#: Ids that are looked up at once.
SLICE = 500

#: How many parts a group has whose parts are not counted yet: they are made while the first of them run.
UNKNOWN = 2**30


def ended_before(parts: Sequence[str]) -> int:
    """How many of `parts` have ended before their group was stored: each was cancelled while it waited in a chain."""
    slices = [parts[at : at + SLICE] for at in range(0, len(parts), SLICE)]
    return sum(TaskRun.objects.filter(pk__in=some, state__in=FINAL, unfollowed=False).count() for some in slices)


def raise_barrier(group_id: str, parts: int, members: object, body: object, engine: str = CELERY) -> bool:
    """Remember that `body` waits for `parts` ends. False if it is remembered already."""
    values = {"members": members, "body": body, "left": parts, "done": False, "engine": engine}
    _, created = TaskGroup.objects.get_or_create(pk=group_id, defaults=values)
    if not created:  # it was saved as a plain group before
        free = Q(body__isnull=True) | Q(done=True)  # done: a canvas whose ids were given out is called once more
        return bool(TaskGroup.objects.filter(free, pk=group_id).update(**values))
    return created


def settle(group_id: str, parts: int) -> None:
    """The group that was raised with `UNKNOWN` parts has this many."""
    waiting = TaskGroup.objects.filter(pk=group_id, left__gt=UNKNOWN // 2)
    waiting.update(left=F("left") - UNKNOWN + parts)


def arrive(group_id: str) -> TaskGroup | None:
    """A part of the group has ended. The group, if that was the last one and its body waits: to the caller alone."""
    waiting = TaskGroup.objects.filter(pk=group_id, done=False, body__isnull=False)
    if not waiting.update(left=F("left") - 1):
        return None
    if not waiting.filter(left__lte=0).update(done=True):
        return None
    return TaskGroup.objects.get(pk=group_id)


def is_open(group_id: str) -> bool:
    """True if the group's parts were sent, and something still waits for them."""
    return TaskGroup.objects.filter(pk=group_id, done=False).exists()


def mark_untracked(group_id: str) -> None:
    """A part of the group has no run until it ends: nobody can say that it is gone."""
    TaskGroup.objects.filter(pk=group_id, untracked=False).update(untracked=True)
