"""Questions over all runs that cost the same however many there are: by their indexes, and never to the end."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import QuerySet

from tasks.models import TaskRun

#: This many are counted; of more it is only said that they are more.
COUNTED = 10_000


@dataclass(frozen=True, slots=True)
class Count:
    """How many there are; with `more`, at least this many."""

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


def pairs(found: QuerySet[TaskRun], first: str, second: str) -> list[tuple[str, str]]:
    """The different values of two columns by which an index begins, in order."""
    return [(one, other) for one in distinct(found, first) for other in distinct(found.filter(**{first: one}), second)]
