"""A group whose parts must all have ended before something follows: each end is one decrement."""

from __future__ import annotations

from collections.abc import Sequence

from django.db.models import F

from tasks.models import FINAL, TaskGroup, TaskRun

#: Ids that are looked up at once.
SLICE = 500


def raise_barrier(group_id: str, parts: Sequence[str], members: object, body: object) -> bool:
    """Remember that `body` waits for the ends of `parts`. False if it is remembered already.

    A part that waited in a chain may have been cancelled before its group was stored: nobody counts it any more.
    """
    slices = [parts[at : at + SLICE] for at in range(0, len(parts), SLICE)]
    ended = sum(TaskRun.objects.filter(pk__in=some, state__in=FINAL, unfollowed=False).count() for some in slices)
    values = {"members": members, "body": body, "left": len(parts) - ended, "done": False}
    _, created = TaskGroup.objects.get_or_create(pk=group_id, defaults=values)
    if not created:  # it was saved as a plain group before
        return bool(TaskGroup.objects.filter(pk=group_id, body__isnull=True).update(**values))
    return created


def arrive(group_id: str) -> TaskGroup | None:
    """A part of the group has ended. The group, if that was the last one and its body waits: to the caller alone."""
    waiting = TaskGroup.objects.filter(pk=group_id, done=False, body__isnull=False)
    if not waiting.update(left=F("left") - 1):
        return None
    if not waiting.filter(left__lte=0).update(done=True):
        return None
    return TaskGroup.objects.get(pk=group_id)


def mark_untracked(group_id: str) -> None:
    """A part of the group has no run until it ends: nobody can say that it is gone."""
    TaskGroup.objects.filter(pk=group_id, untracked=False).update(untracked=True)
