"""Failures in groups: one of a fingerprint is like the others. All by indexes, however many runs there are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from django.db import connection
from django.db.models import QuerySet
from django.utils import timezone

from tasks.models import IgnoredFailure, Release, TaskRun

from .bounded import Count, count
from .search import Filter
from .state import shown_error

#: Groups that are looked at.
MOST = 1_000
#: Of each group that is shown, so many of its newest runs say which workers, tasks and releases it is of.
NEWEST = 100
#: A group grows that has twice as many in these minutes as in those before, and at least so many; counted up to.
GROWS_WITHIN, GROWN_LEAST, GROWN = timedelta(minutes=10), 10, 1_000

#: Each group by one step of the index, and of each the first and the last, by a step each.
_GROUPS = """
WITH RECURSIVE groups(name) AS (
  SELECT (SELECT MIN(fingerprint) FROM tasks_taskrun WHERE fingerprint IS NOT NULL)
  UNION ALL
  SELECT (SELECT MIN(fingerprint) FROM tasks_taskrun WHERE fingerprint > groups.name)
  FROM groups WHERE groups.name IS NOT NULL
)
SELECT groups.name,
  (SELECT MIN(finished_at) FROM tasks_taskrun WHERE fingerprint = groups.name),
  (SELECT MAX(finished_at) FROM tasks_taskrun WHERE fingerprint = groups.name)
FROM groups WHERE groups.name IS NOT NULL LIMIT %s
"""


@dataclass
class Group:
    """Failures that are alike. What follows `last` is of its newest runs, and filled in by `describe`."""

    fingerprint: str
    first: datetime
    last: datetime
    number: Count = field(default_factory=lambda: Count(0))
    again: Count = field(default_factory=lambda: Count(0))
    tasks: list[str] = field(default_factory=list)
    workers: list[tuple[str, int]] = field(default_factory=list)
    releases: list[str] = field(default_factory=list)
    newest: str = ""
    message: str = ""

    @property
    def kind(self) -> str:
        """Its type."""
        return self.fingerprint.partition(" in ")[0]

    @property
    def place(self) -> str:
        """Where it is raised."""
        return self.fingerprint.partition(" in ")[2]

    def is_new(self, release: Release | None) -> bool:
        """True if there was none before that release came, though there were runs."""
        return release is not None and self.first >= release.since


def groups() -> list[Group]:
    """All groups, the one that failed last first."""
    with connection.cursor() as cursor:
        cursor.execute(_GROUPS, [MOST])
        rows = cursor.fetchall()
    found = [Group(name, _moment(first), _moment(last)) for name, first, last in rows]
    return sorted(found, key=lambda group: group.last, reverse=True)


def runs_of(fingerprint: str, since: datetime | None = None) -> QuerySet[TaskRun]:
    """The runs of a group that failed `since` then."""
    found = TaskRun.objects.filter(fingerprint=fingerprint)
    return found if since is None else found.filter(finished_at__gte=since)


def number(found: Iterable[Group], since: datetime | None = None) -> None:
    """Count each group, as far as one counts."""
    for group in found:
        group.number = count(runs_of(group.fingerprint, since))


def describe(found: Iterable[Group]) -> None:
    """Say of each group what its newest runs have in common."""
    for group in found:
        newest = list(
            runs_of(group.fingerprint)
            .order_by("-finished_at")
            .only("pk", "name", "worker", "release", "error")[:NEWEST]
        )
        if not newest:  # pruned in this moment
            continue
        group.newest = newest[0].pk
        group.message = (shown_error(newest[0].error) or {"message": ""})["message"]
        group.tasks = [name for name, _ in Counter(run.name for run in newest).most_common(3)]
        group.workers = Counter(host_of(run.worker) for run in newest if run.worker).most_common(3)
        group.releases = list(dict.fromkeys(run.release for run in newest if run.release))[:3]
        group.again = count(Filter(fingerprint=group.fingerprint, again="no").find())


def grows(fingerprint: str, now: datetime) -> bool:
    """True if there were far more of it in the last minutes than in those before."""
    middle = now - GROWS_WITHIN
    late = count(runs_of(fingerprint, middle), GROWN).number
    return (
        late >= GROWN_LEAST
        and late >= 2 * count(runs_of(fingerprint, middle - GROWS_WITHIN).filter(finished_at__lt=middle), GROWN).number
    )


def host_of(worker: str) -> str:
    """The machine of a worker: what stands before its process and its start."""
    return worker.rsplit(":", 2)[0]


def ignored() -> set[str]:
    """The groups that are ignored."""
    return set(IgnoredFailure.objects.values_list("fingerprint", flat=True))


def ignore(fingerprint: str, by: str) -> None:
    """Show it among the ignored, and raise no alert for it."""
    IgnoredFailure.objects.get_or_create(fingerprint=fingerprint, defaults={"at": timezone.now(), "by": by[:150]})


def watch(fingerprint: str) -> None:
    """Ignore it no more."""
    IgnoredFailure.objects.filter(fingerprint=fingerprint).delete()


def _moment(value: datetime | str) -> datetime:
    """A time as the database gives it to who does not ask through a model: SQLite's is a text in UTC."""
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    return value if value.tzinfo else value.replace(tzinfo=UTC)
