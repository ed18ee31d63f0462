"""Failures in groups: one of a fingerprint is like the others. All by indexes, however many runs there are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db.models import QuerySet
from django.utils import timezone

from tasks.models import IgnoredFailure, Release, TaskRun

from .alike import counted, first_and_last
from .bounded import Count
from .state import shown_error

#: Of each group that is shown, so many of its newest runs say which workers, tasks and releases it is of.
NEWEST = 50
#: A group grows that has twice as many in these minutes as in those before, and at least so many.
GROWS_WITHIN, GROWN_LEAST = timedelta(minutes=10), 10


@dataclass
class Group:
    """Failures that are alike. What follows `last` is of its newest runs, and filled in by `describe`."""

    fingerprint: str
    first: datetime
    last: datetime
    number: Count = field(default_factory=lambda: Count(0))
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
    found = [Group(*one) for one in first_and_last()]
    return sorted(found, key=lambda group: group.last, reverse=True)


def runs_of(fingerprint: str, since: datetime | None = None) -> QuerySet[TaskRun]:
    """The runs of a group that failed `since` then."""
    found = TaskRun.objects.filter(fingerprint=fingerprint)
    return found if since is None else found.filter(finished_at__gte=since)


def _newest_of(fingerprint: str) -> QuerySet[TaskRun]:
    """In the order of the one index that has it: asked for equality, PostgreSQL would look through that of all."""
    found = TaskRun.objects.filter(fingerprint__gte=fingerprint, fingerprint__lte=fingerprint)
    return found.order_by("-fingerprint", "-finished_at")


def number(found: Sequence[Group], since: datetime | None = None) -> None:
    """Count each group, as far as one counts."""
    numbers = counted([group.fingerprint for group in found], since)
    for group in found:
        group.number = numbers[group.fingerprint]


def describe(found: Iterable[Group]) -> None:
    """Say of each group what its newest runs have in common."""
    columns = ("pk", "name", "worker", "release")
    newest: dict[str, Group] = {}
    for group in found:
        runs = list(_newest_of(group.fingerprint).values_list(*columns)[:NEWEST])
        if not runs:  # pruned in this moment
            continue
        group.newest = runs[0][0]
        newest[group.newest] = group
        group.tasks = [name for name, _ in Counter(name for _, name, _, _ in runs).most_common(3)]
        group.workers = Counter(host_of(worker) for *_, worker, _ in runs if worker).most_common(3)
        group.releases = list(dict.fromkeys(release for *_, release in runs if release))[:3]
    for pk, error in TaskRun.objects.filter(pk__in=newest).values_list("pk", "error"):
        newest[pk].message = (shown_error(error) or {"message": ""})["message"]


def growing(fingerprints: Sequence[str], now: datetime) -> set[str]:
    """Those of which there were far more in the last minutes than in those before."""
    middle = now - GROWS_WITHIN
    late, before = counted(fingerprints, middle), counted(fingerprints, middle - GROWS_WITHIN, middle)
    return {one for one in fingerprints if late[one].number >= max(GROWN_LEAST, 2 * before[one].number)}


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
