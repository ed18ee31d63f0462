"""Questions over all runs that cost the same however many there are: by their indexes, and never to the end.

What is not worth a scan is bounded, and says so: see `Count` and `NEWEST`.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.contrib.auth import get_user_model
from django.db import connection
from django.db.models import Q, QuerySet

from tasks.models import TaskRun

#: So many are counted; of more it is only said that they are more.
COUNTED = 10_000
#: Of each name, owner and so on that a search finds, so many of its newest runs.
NEWEST = 300
#: Names and owners that one search may find.
NAMES = 10
#: The newest runs of all, whose arguments and workers are searched.
READ = 1_000


@dataclass(frozen=True, slots=True)
class Count:
    """How many there are; with `more`, at least so many."""

    number: int
    more: bool = False

    def __str__(self) -> str:
        return f"{self.number:,}{'+' if self.more else ''}"


def count(found: QuerySet[TaskRun], most: int = COUNTED) -> Count:
    """Up to `most`."""
    number = found.order_by()[: most + 1].count()
    return Count(min(number, most), number > most)


def distinct(found: QuerySet[TaskRun], column: str, most: int = 200) -> list[str]:
    """The different values of an indexed column, in order: one step of the index for each, not one for each run."""
    values: list[str] = []
    while len(values) < most:
        more = found.filter(**{f"{column}__gt": values[-1]}) if values else found
        value = more.order_by(column).values_list(column, flat=True).first()
        if value is None:
            break
        values.append(value)
    return values


def search(text: str) -> set[str]:
    """Ids of runs whose id begins with `text`, whose task or owner has it in the name (of each the newest `NEWEST`), or
    whose worker or message has it, among the newest `READ` of all."""
    newest = TaskRun.objects.order_by("-accepted_at")
    wanted = text.lower()
    names = [name for name in distinct(TaskRun.objects.all(), "name") if wanted in name.lower()][:NAMES]
    owners = get_user_model()._default_manager.filter(username__icontains=text)[:NAMES]
    parts: list[QuerySet[TaskRun]] = [TaskRun.objects.order_by().filter(_begins_with(text))[:NEWEST]]
    parts += [newest.filter(name=name)[:NEWEST] for name in names]
    parts += [newest.filter(owner_id=owner.pk)[:NEWEST] for owner in owners]
    found = {pk for part in parts for pk in part.values_list("pk", flat=True)}
    read = newest.values_list("pk", "worker", "message")[:READ]
    return found | {pk for pk, worker, message in read if wanted in f"{worker} {message}".lower()}


def _begins_with(text: str) -> Q:
    if connection.vendor == "postgresql":
        return Q(pk__startswith=text)  # by an index of its own
    return Q(pk__gte=text, pk__lt=text + chr(0x10FFFF))  # SQLite's LIKE knows no index; it compares as bytes
