"""A run that does not hear its cancel: ended by force where the pool can do that, and said where it cannot."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from progress.record import get_record
from tasks import runs
from tasks.models import TaskRun
from tasks.runs import sweep
from tasks.runs.worker import identity
from tasks.tasks import demo_task

pytestmark = pytest.mark.django_db


class Pool:
    """One that works on `active`."""

    def __init__(self, *active: str, kills: bool) -> None:
        self._active, self._kills = set(active), kills
        self.killed: list[str] = []

    def active(self) -> set[str]:
        return self._active

    def reserved(self) -> set[str]:
        return self._active

    def is_ending(self) -> bool:
        return False

    def can_kill(self) -> bool:
        return self._kills

    def kill(self, task_id: str) -> None:
        assert self._kills, "Celery raises NotImplementedError here, and that ends the worker"
        self.killed.append(task_id)


class Clock:
    now = 1_000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(sweep, "time", found)
    return found


def deaf() -> TaskRun:
    run = runs.claim(demo_task.delay().id, identity())
    assert run is not None
    assert runs.cancel(run.pk)
    return run


@pytest.mark.parametrize("kills", [True, False])
def test_it_is_ended_by_force_or_said_that_it_cannot_be(valkey, client, clock, kills):
    run = deaf()
    TaskRun.objects.update(owner=None, session_key=str(client.session.session_key))
    get_record().tell(run.pk, {"state": "STARTED", "attempt": 1, "current": 7, "total": 9}, final=False)
    pool = Pool(run.pk, kills=kills)
    look = sweep.Sweep(None, pool)  # type: ignore[arg-type]
    for _ in range(13):
        look._cancel_here()
        clock.now += 1
    assert pool.killed == ([run.pk] if kills else [])
    shown = client.get(f"/api/tasks/{run.pk}/").json()["task"]
    page = client.get(f"/tasks/{run.pk}/").content.decode()
    assert (shown["state"], shown["cancel_requested"], shown["current"]) == ("STARTED", True, 7)
    assert (shown["waiting"] or {}).get("reason") == (None if kills else "cancel")
    assert ("cannot end it by force" in page) is not kills


def test_the_sweep_goes_on_while_redis_is_away(clock):
    run = deaf()
    other = demo_task.delay().id
    TaskRun.objects.filter(pk=other).update(expires=timezone.now() - timedelta(seconds=1))
    look = sweep.Sweep(None, Pool(run.pk, kills=False))  # type: ignore[arg-type]
    for _ in range(13):
        look._cancel_here()
        clock.now += 1
    look._expired()
    assert TaskRun.objects.get(pk=other).state == "REVOKED"
