"""Deletes runs that ended long ago, and what hangs on them."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from datetime import timedelta

from django.db.models import Q
from django.utils import timezone

from tasks.models import FINAL, TaskGroup, TaskRun

logger = logging.getLogger(__name__)

#: Runs deleted by one statement: short enough that a start never waits long for SQLite's one writer.
SLICE = 500
#: What the workers do once a day: `TASKS_KEEP_RUNS`.
KEEP_RUNS = "30d"

_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def parse_age(text: str) -> timedelta:
    """`30d`, `12h`, `90m`, `2w` as a time span. Raises ValueError that says what is allowed."""
    match = re.fullmatch(r"(\d{1,6})([mhdw])", text.strip())
    if match is None:
        raise ValueError(f"An age is a number with m, h, d or w, like 30d, but got {text!r}.")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


def prune_slice(older_than: timedelta) -> int:
    """Delete up to `SLICE` of the runs that ended before `older_than` ago; returns how many."""
    ended = TaskRun.objects.filter(finished_at__lt=timezone.now() - older_than).order_by("finished_at")  # by its index
    ids = list(ended.values_list("pk", flat=True)[:SLICE])
    # By their ids: what is deleted with them would be looked for with whole rows, and a result may be a megabyte.
    deleted = TaskRun.objects.filter(pk__in=ids, state__in=FINAL).only("pk").delete()[1] if ids else {}
    return deleted.get(TaskRun._meta.label, 0)


def prune(older_than: timedelta) -> int:
    """Delete the runs that ended before `older_than` ago; returns how many."""
    before = timezone.now() - older_than
    count = 0
    while deleted := prune_slice(older_than):
        count += deleted
    # A group that was only saved has no end of its own.
    TaskGroup.objects.filter(Q(done=True) | Q(body__isnull=True), created_at__lt=before).delete()
    for prune_more in _more:
        prune_more(older_than)
    return count


_more: list[Callable[[timedelta], object]] = []


def also_prune(more: Callable[[timedelta], object]) -> None:
    """Call `more` with the age each time that runs are pruned: what hangs on them elsewhere goes as well."""
    if more not in _more:
        _more.append(more)
