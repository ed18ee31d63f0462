"""What people are told of the entries: when each fires next, how its last runs went, and why it does not fire."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from itertools import islice

from django.conf import settings

from tasks.models import CELERY, FINAL, Schedule, TaskRun
from tasks.runs.engine import get_engine
from tasks.runs.waiting import pulse

from .due import MISSED_AFTER
from .entry import Entry, entries
from .when import times

#: Runs, and times to come, that are told of each entry.
SHOWN = 5


@dataclass(frozen=True, slots=True)
class Outlook:
    """One entry. `coming` is in the entry's own zone; `problems` are sentences, the gravest first.

    `notes`: what was missed or skipped before, and is over. `overdue`: its time came, and nobody fired it.
    """

    entry: Entry
    paused_at: datetime | None
    coming: Sequence[datetime]
    runs: Sequence[TaskRun]
    problems: Sequence[str]
    notes: Sequence[str]
    overdue: bool = False

    @property
    def zone(self) -> tzinfo | None:
        """In which its times are meant."""
        return self.entry.when.zone if self.entry.when else None


def names() -> list[str]:
    """Of all entries, in their order."""
    return sorted(entries())


def outlooks(now: datetime, only: Sequence[str] | None = None) -> list[Outlook]:
    """Of the entries of these names, or of all, by name."""
    found = entries()
    wanted = sorted(found if only is None else set(only) & set(found))
    rows = {row.name: row for row in Schedule.objects.filter(name__in=wanted)}
    return [_outlook(found[name], rows.get(name), now) for name in wanted]


def _outlook(entry: Entry, row: Schedule | None, now: datetime) -> Outlook:
    runs = list(TaskRun.objects.filter(periodic=entry.name).order_by("-accepted_at")[:SHOWN])
    if entry.when is None or entry.problem:
        return Outlook(entry, None, [], runs, [entry.problem], [])
    anchor = row.anchor if row else now
    coming = [at.astimezone(entry.when.zone) for at in islice(times(entry.when, now, anchor), SHOWN)]
    overdue = _overdue(entry, row, now)
    problems = [*_nobody(entry)]
    if row is None:
        problems.append("No worker has seen this entry yet: restart the workers.")
    elif row.paused_at is not None:
        by = f" by {row.paused_by}" if row.paused_by else ""
        problems.insert(0, f"It is paused since {_told(row.paused_at, entry)}{by}.")
    elif row.fingerprint != entry.fingerprint:
        problems.append("The workers have other times for this entry than this process: restart those with older code.")
    elif overdue and not problems:
        problems.append("Its time has come, and no worker has fired it: read the workers' logs.")
    if row is not None and row.error and row.error_at is not None:
        problems.append(f"It could not be started at {_told(row.error_at, entry)}: {row.error}")
    return Outlook(entry, row.paused_at if row else None, coming, runs, problems, _notes(entry, row, runs), overdue)


def _nobody(entry: Entry) -> list[str]:
    now = pulse()
    if not now.reachable:
        return ["Redis is down: its runs are stored, and begin when it is back."]
    if not any(worker.alive for worker in now.workers):
        return [f"No worker is running: {settings.TASKS_START_WORKER}"]
    if entry.queue and not now.serves(entry.queue):
        return [f"No worker serves the queue {entry.queue}: {get_engine(CELERY).start_command(entry.queue)}"]
    return []


def _overdue(entry: Entry, row: Schedule | None, now: datetime) -> bool:
    if row is None or row.paused_at is not None or row.fingerprint != entry.fingerprint or entry.when is None:
        return False
    due = entry.when.next(row.last_due, row.anchor)
    return due is not None and now - entry.fires_at(due) > MISSED_AFTER


def _notes(entry: Entry, row: Schedule | None, runs: Sequence[TaskRun]) -> list[str]:
    if row is None or entry.when is None:
        return []
    notes = []
    if row.held_due is not None:
        notes.append(f"The tick of {_told(row.held_due, entry)} waits until the last run has ended.")
    if row.skipped_at is not None:
        still = ": the last run was still active"
        now = ", and is" if runs and runs[0].state not in FINAL else ""
        notes.append(f"{_count(row.skipped, 'tick')} skipped, the last at {_told(row.skipped_at, entry)}{still}{now}.")
    if row.missed_at is not None:
        when = _told(row.missed_at, entry)
        notes.append(f"{_count(row.missed, 'tick')} missed, as was seen at {when}: no worker was there.")
    return notes


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun} was" if number == 1 else f"{number:,} {noun}s were"


def _told(at: datetime, entry: Entry) -> str:
    return f"{at.astimezone(entry.when.zone if entry.when else None):%d %b %H:%M:%S}"
