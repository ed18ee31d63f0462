"""Tells NOTIFY_URLS of ticks that were missed and of runs that failed, for the entries whose rules say `alert`."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from django.conf import settings

from tasks.models import Schedule, State, TaskRun
from tasks.runs.notify import Messenger

from .entry import Entry

#: Failures that are older are told no more, also where nobody has told them.
TOLD_WITHIN = timedelta(hours=1)


def tell_missed(entry: Entry, count: int) -> None:
    """That `count` ticks of it did not fire."""
    if entry.rules.alert:
        _send(f"{entry.name}: missed", f"{count:,} tick{'' if count == 1 else 's'} of {entry.name} did not fire.")


def tell_failures(entries: Iterable[Entry], now: datetime) -> None:
    """Each failed run once, whoever looks."""
    names = [entry.name for entry in entries if entry.rules.alert]
    if not names:
        return
    failed = TaskRun.objects.filter(periodic__in=names, state=State.FAILURE, finished_at__gt=now - TOLD_WITHIN)
    told = dict(Schedule.objects.filter(name__in=names).values_list("name", "alerted_at"))
    for run in failed.order_by("finished_at"):
        if run.finished_at is None or run.periodic not in told or told[run.periodic] >= run.finished_at:
            continue
        mine = Schedule.objects.filter(name=run.periodic, alerted_at__lt=run.finished_at)
        if mine.update(alerted_at=run.finished_at):
            error = run.error or {}
            _send(f"{run.periodic}: failed", f"{run.name} {run.pk}: {error.get('type')}: {error.get('message')}")


def _send(title: str, body: str) -> None:
    Messenger(settings.NOTIFY_URLS).send(title, body)
