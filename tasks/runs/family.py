"""What a run is made of and belongs to: the parts of a group, the links of a chain, what a task has started."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet

from progress.messages import ID_PATTERN, Parts
from tasks.models import CLAIMABLE, State, TaskRun

#: Parts that a page lists; the others are counted.
MOST_LISTED = 100


def parts_of(found: Sequence[TaskRun]) -> dict[str, Parts]:
    """How the parts of each run stand, of those that have any: two queries, however many runs."""
    owners = {run.pk: [run.pk] for run in found}
    for run in found:
        if run.after:
            owners.setdefault(run.after, []).append(run.pk)
    counted: dict[str, Parts] = {}
    for field, rows in (("parent_id", _started_by(list(owners))), ("group_id", _grouped([*owners]))):
        for owner, state, count in rows.order_by().values_list(field, "state").annotate(count=Count("pk")):
            for pk in owners[owner]:
                if (field == "parent_id") == (pk == owner):
                    _add(counted.setdefault(pk, _none()), state, count)
    return counted


def roots(found: QuerySet[TaskRun]) -> QuerySet[TaskRun]:
    """`found` without those that are folded under the run that has started them: its owner's, and with an address."""
    theirs = Q(owner=OuterRef("owner_id")) | Q(owner=None, session_key=OuterRef("session_key"))
    above = TaskRun.objects.filter(theirs, pk=OuterRef("parent_id"), pk__regex=f"^{ID_PATTERN.pattern}$")
    return found.filter(Q(parent_id=None) | Q(parent_id=F("pk")) | ~Exists(above))


def parts_within(run: TaskRun, visible: QuerySet[TaskRun]) -> QuerySet[TaskRun]:
    """The parts of `run` among those that are `visible`, the first one first."""
    return visible.filter(pk__in=_parts(run).values("pk")).order_by("accepted_at", "pk")


def failed_parts(run: TaskRun) -> QuerySet[TaskRun]:
    """The parts of `run` that have failed and were not started again since."""
    failed = TaskRun.objects.filter(pk__in=_parts(run).values("pk"), state=State.FAILURE)
    return failed.filter(~Exists(TaskRun.objects.filter(retry_of=OuterRef("pk")))).order_by("accepted_at", "pk")


def _parts(run: TaskRun) -> QuerySet[TaskRun]:
    """What it has started; of a chord's body, what it waits for."""
    return _started_by([run.pk]) | (_grouped([run.after]) if run.after else TaskRun.objects.none())


def _started_by(parents: list[str]) -> QuerySet[TaskRun]:
    """What these have started; not the body of a chord, which is what its parts are for."""
    header = TaskRun.objects.filter(group_id=OuterRef("after"))
    started = TaskRun.objects.filter(parent_id__in=parents).exclude(pk=F("parent_id"))
    return started.filter(Q(after=None) | ~Exists(header))


def _grouped(groups: list[str]) -> QuerySet[TaskRun]:
    return TaskRun.objects.filter(group_id__in=groups).exclude(after=F("group_id"))


def _none() -> Parts:
    return {"total": 0, "done": 0, "failed": 0, "cancelled": 0, "running": 0, "waiting": 0}


def _add(parts: Parts, state: str, count: int) -> None:
    names = {State.SUCCESS: "done", State.FAILURE: "failed", State.REVOKED: "cancelled", State.STARTED: "running"}
    name = "waiting" if state in CLAIMABLE else names[State(state)]
    counts = cast("dict[str, int]", parts)
    counts[name] += count
    counts["total"] += count
