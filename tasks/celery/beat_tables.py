"""The tables of django-celery-beat, where it is installed: staff writes schedules, any worker fires them.

Nothing here imports it; `tasks.apps` gives its models. What it keeps of each entry (`last_run_at`, `total_run_count`,
`enabled` of one that comes once) is kept.
"""

from __future__ import annotations

import json
from datetime import datetime
from functools import partial
from typing import Any, Protocol

from django.db.models import F

from tasks.schedules.entry import Entry, rules_of
from tasks.schedules.when import Between

from .schedules import refuse, tracked_entry, when_of
from .types import Options

#: Options of a PeriodicTask that it has columns for.
COLUMNS = ("queue", "exchange", "routing_key", "priority")


class PeriodicTask(Protocol):
    """A row of theirs, as far as it is read here."""

    pk: object
    name: str
    task: str
    args: str
    kwargs: str
    headers: str
    schedule: object
    one_off: bool
    start_time: datetime | None
    expires: datetime | None
    expires_: object
    date_changed: datetime


class BeatTables:
    """See `schedules.entry.Source`. `models`: those of django_celery_beat."""

    stored = True

    def __init__(self, models: Any) -> None:
        self._models = models

    def version(self) -> object:
        """When its admin last saved an entry or a schedule of one: its own convention."""
        return self._models.PeriodicTasks.last_change()

    def entries(self) -> list[Entry]:
        """Those that are enabled."""
        found = self._models.PeriodicTask.objects.filter(enabled=True)
        kinds = ("interval", "crontab", "solar", "clocked")
        return [self._entry(one) for one in found.select_related(*kinds)]

    def _entry(self, one: PeriodicTask) -> Entry:
        try:
            rules = rules_of(one.name)
            when = when_of(one.schedule, rules=rules, may_be_over=True)
            args, kwargs = json.loads(one.args or "[]"), json.loads(one.kwargs or "{}")
            options: Options = {name: value for name in COLUMNS if (value := getattr(one, name)) is not None}
            if one.expires_:
                options["expires"] = one.expires_
            if headers := json.loads(one.headers or "{}"):
                options["headers"] = headers
            if not isinstance(args, list) or not isinstance(kwargs, dict):
                raise ValueError("its arguments must be a JSON list, its keyword arguments a JSON object.")
        except Exception as error:  # a schedule that cannot be made of what its admin took
            return Entry(one.name, one.task, "", refuse, None, problem=f"{type(error).__name__}: {error}"[:500])
        fired = partial(self._fired, one.pk, one.one_off)
        bounded = Between(when, one.start_time, one.expires, saved=one.date_changed)
        return tracked_entry(one.name, one.task, bounded, rules, tuple(args), kwargs, options, fired)

    def _fired(self, pk: object, one_off: bool, now: datetime) -> None:
        row = self._models.PeriodicTask.objects.filter(pk=pk)
        if one_off:
            row.update(last_run_at=now, total_run_count=0, enabled=False)
            self._models.PeriodicTasks.update_changed()
        else:
            row.update(last_run_at=now, total_run_count=F("total_run_count") + 1)
