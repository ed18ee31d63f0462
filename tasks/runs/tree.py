"""The runs around one, as a tree: what has started it, the links of its chain, its parts, and what follows those."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from django.db.models import Q, QuerySet

from progress.messages import ID_PATTERN
from tasks.models import TaskRun

from .family import MOST_LISTED, parts_within

#: Links of a chain that are shown on either side of a run.
MOST_LINKS = 10


@dataclass(slots=True)
class Part:
    """A part and the links that follow it, in their order; without a `run`: parts together, for which `then` waits."""

    run: TaskRun | None
    parts: list[Part] = field(default_factory=list)
    then: list[TaskRun] = field(default_factory=list)


@dataclass(slots=True)
class Family:
    """`before` and `after`: the links of its chain, in their order."""

    parent: TaskRun | None
    before: list[TaskRun]
    after: list[TaskRun]
    parts: list[Part]

    def __bool__(self) -> bool:
        return bool(self.parent or self.before or self.after or self.parts)


def family_of(run: TaskRun, visible: QuerySet[TaskRun]) -> Family:
    """The runs around `run`, of those that are `visible` and have an address."""
    visible = visible.filter(pk__regex=f"^{ID_PATTERN.pattern}$")
    above = {one.pk: one for one in visible.filter(pk__in=[pk for pk in (run.parent_id, run.after) if pk])}
    listed = list(parts_within(run, visible)[:MOST_LISTED])
    groups = {one.group_id for one in listed if one.group_id}
    known = [run.pk, *(one.pk for one in listed)]
    bodies = list(visible.filter(after__in=groups).exclude(pk__in=known)[:MOST_LISTED]) if groups else []
    return Family(
        above.get(run.parent_id or "") if run.parent_id != run.pk else None,
        _before(above.get(run.after or ""), visible),
        _after(run, visible),
        tree([*listed, *bodies]),
    )


def _before(link: TaskRun | None, visible: QuerySet[TaskRun]) -> list[TaskRun]:
    found: list[TaskRun] = []
    while link is not None and link not in found and len(found) < MOST_LINKS:
        found.insert(0, link)
        link = visible.filter(pk=link.after).first() if link.after else None
    return found


def _after(run: TaskRun, visible: QuerySet[TaskRun]) -> list[TaskRun]:
    found: list[TaskRun] = []
    last, known = [run], {run.pk}
    for _ in range(MOST_LINKS):
        follows = Q(after__in=[one.pk for one in last]) | Q(after__in=[one.group_id for one in last if one.group_id])
        last = list(visible.filter(follows).exclude(pk__in=known).order_by("accepted_at", "pk")[:MOST_LISTED])
        if not last:
            break
        found += last
        known |= {one.pk for one in last}
    return found[:MOST_LISTED]


def tree(found: Sequence[TaskRun]) -> list[Part]:
    """`found` as parts: a link is with the first of its chain, a body with the parts for which it waits."""
    by_pk = {one.pk: one for one in found}
    members: dict[str, list[TaskRun]] = {}
    for one in found:
        if one.group_id and one.group_id != one.after:  # Celery says of a body that it is in the group it waits for
            members.setdefault(one.group_id, []).append(one)
    lines: dict[str, Part] = {}
    groups: dict[str, Part] = {}
    within: dict[int, Part] = {}

    def line_of(one: TaskRun) -> Part:
        """The part of which it is a link; its own, if it is the first."""
        if one.pk in lines:
            return lines[one.pk]
        line = lines[one.pk] = Part(one)  # which ends a circle, as another program may have written one
        if one.after in by_pk:
            line = line_of(by_pk[one.after])
        elif one.after in members:
            beside = list({id(line): line for line in map(line_of, members[one.after])}.values())
            line = beside[0]
            if len(beside) > 1:
                line = groups.setdefault(one.after, Part(None, beside))
                within.update({id(inner): line for inner in beside})
        if line.run is not one:
            line.then.append(one)
        lines[one.pk] = line
        return line

    for one in found:
        line_of(one)
    roots = [within.get(id(line), line) for line in map(line_of, found)]
    return list({id(line): line for line in roots}.values())
