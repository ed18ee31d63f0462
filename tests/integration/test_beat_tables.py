"""Entries of django-celery-beat's tables, read through stand-ins of its models: the package is optional."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest
from celery import current_app
from celery.schedules import BaseSchedule, crontab, schedule
from django.core.checks import run_checks

from tasks.celery.beat_tables import BeatTables
from tasks.models import Schedule, TaskRun
from tasks.schedules import entry, firing
from tasks.schedules.firing import Firing

from .test_schedules import DEMO, NOON, Clock

pytestmark = pytest.mark.django_db


@dataclass
class Row:
    """A PeriodicTask: the columns, and `schedule` and `expires_`, which it makes of others."""

    name: str
    schedule: Any
    task: str = DEMO
    args: str = "[]"
    kwargs: str = "{}"
    headers: str = "{}"
    queue: str | None = None
    exchange: str | None = None
    routing_key: str | None = None
    priority: int | None = None
    expires_: Any = None
    expires: datetime | None = None
    start_time: datetime | None = None
    one_off: bool = False
    enabled: bool = True
    last_run_at: datetime | None = None
    total_run_count: int = 0
    date_changed: datetime = NOON
    pk: int = field(default_factory=itertools.count(1).__next__)


class Tables:
    """`django_celery_beat.models` as far as it is asked."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.saved = 0
        self.broken = False
        self.PeriodicTask = self.objects = self.PeriodicTasks = self

    def add(self, name: str, when: BaseSchedule, **columns: Any) -> Row:
        self.rows.append(Row(name, when, **columns))
        self.update_changed()
        return self.rows[-1]

    def last_change(self) -> int:
        if self.broken:
            raise LookupError("no such table")
        return self.saved

    def update_changed(self) -> None:
        self.saved += 1

    def filter(self, **wanted: Any) -> Found:
        return Found([row for row in self.rows if all(getattr(row, name) == value for name, value in wanted.items())])


class Found(list[Row]):
    def select_related(self, *names: str) -> Found:
        return self

    def update(self, **values: Any) -> None:
        for row in self:
            for name, value in values.items():
                setattr(row, name, row.total_run_count + 1 if hasattr(value, "lhs") else value)


@pytest.fixture
def tables(monkeypatch) -> Iterator[Tables]:
    found = Tables()
    before = current_app.conf.beat_schedule
    current_app.conf.beat_schedule = {"of-the-code": {"task": DEMO, "schedule": 10}}
    monkeypatch.setattr(entry, "_sources", [*entry._sources, BeatTables(found)])
    monkeypatch.setattr(firing, "RELOAD_EVERY", 0.0)
    yield found
    current_app.conf.beat_schedule = before


class Round:
    """Two workers that look once a second."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.workers = [Firing(self.clock), Firing(self.clock)]

    def __call__(self, seconds: int) -> None:
        for _ in range(seconds):
            for worker in self.workers:
                worker.look()
            self.clock.go(seconds=1)


def fired(name: str) -> list[str]:
    found = TaskRun.objects.filter(periodic=name).order_by("tick").values_list("tick", flat=True)
    return [f"{tick:%H:%M:%S}" for tick in found if tick is not None]


def test_its_entries_fire_with_their_arguments_and_are_counted(tables):
    row = tables.add(
        "import",
        schedule(timedelta(seconds=10)),
        task="tasks.tasks.long_running_task",
        args="[3]",
        kwargs='{"delay": 0}',
        headers='{"who": "staff"}',
        queue="slow",
        priority=2,
        expires_=30,
    )
    Round()(25)
    assert fired("import") == ["12:00:10", "12:00:20"]
    run = TaskRun.objects.filter(periodic="import").first()
    assert run is not None and (run.args, run.kwargs, run.queue, run.priority) == ([3], {"delay": 0}, "slow", 2)
    assert run.message["options"]["headers"]["who"] == "staff" and run.expires is not None
    assert row.total_run_count == 2 and row.last_run_at == NOON + timedelta(seconds=20)


def test_what_staff_changes_switches_off_and_on_is_seen_and_nothing_is_made_up_for(tables):
    goes = Round()
    row = tables.add("one", schedule(timedelta(seconds=10)))
    goes(11)
    row.enabled = False
    tables.update_changed()
    goes(60)
    assert fired("one") == ["12:00:10"]
    row.enabled, row.date_changed = True, goes.clock.now
    tables.update_changed()
    goes(11)
    row.schedule, row.date_changed = schedule(timedelta(seconds=5)), goes.clock.now
    tables.update_changed()
    goes(6)
    assert fired("one") == ["12:00:10", "12:01:21", "12:01:27"] and Schedule.objects.get(name="one").missed == 0
    tables.rows.remove(row)
    tables.update_changed()
    goes(30)
    assert len(fired("one")) == 3


class Clocked(BaseSchedule):
    """As its `clocked` answers."""

    def __init__(self, at: datetime) -> None:
        super().__init__()
        self.at = at

    def remaining_estimate(self, last_run_at: datetime | None) -> timedelta:
        return self.at - self.now()


def test_start_end_and_once(tables):
    at = {number: NOON + timedelta(seconds=number) for number in (20, 40)}
    tables.add("bounded", schedule(timedelta(seconds=5)), start_time=at[20], expires=at[40])
    once = tables.add("once", Clocked(at[20]), one_off=True)
    first = tables.add("first", schedule(timedelta(seconds=10)), one_off=True)
    Round()(60)
    assert fired("bounded") == ["12:00:20", "12:00:25", "12:00:30", "12:00:35"]
    assert fired("once") == ["12:00:20"] and not once.enabled and once.last_run_at == at[20]
    assert fired("first") == ["12:00:10"] and not first.enabled and first.total_run_count == 0


def test_rows_that_cannot_be_read_stop_no_other_and_no_start(tables):
    wrong: dict[str, dict[str, Any]] = {
        "args": {"args": "{"},
        "kinds": {"args": "{}"},
        "kwargs": {"kwargs": "[1]"},
        "headers": {"headers": "nonsense"},
        "unknown": {"task": "shop.gone"},
        "no schedule": {"schedule": None},
    }
    for name, columns in wrong.items():
        tables.rows.append(Row(name, **{"schedule": crontab(), **columns}))
    tables.add("good", schedule(timedelta(seconds=10)))
    assert not run_checks(tags=["tasks"])
    Round()(11)
    assert fired("good") == ["12:00:10"] and TaskRun.objects.exclude(periodic__in=("good", "of-the-code")).count() == 0
    found = entry.entries()
    assert all(found[name].problem for name in ("args", "kinds", "kwargs", "headers", "unknown", "no schedule"))


def test_tables_that_are_not_there_yet_stop_no_entry_of_the_code(tables):
    goes = Round()
    tables.broken = True
    goes(11)
    assert fired("of-the-code") == ["12:00:10"]
    tables.broken = False
    tables.add("one", crontab(minute=1))
    goes(55)
    assert fired("one") == ["12:01:00"]


def test_an_entry_of_the_code_is_not_overruled_by_its_copy_in_the_tables(tables):
    tables.add("of-the-code", schedule(timedelta(seconds=1)))
    Round()(21)
    assert fired("of-the-code") == ["12:00:10", "12:00:20"]
