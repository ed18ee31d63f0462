"""The machine's clock is set while runs wait in the database: a countdown stays as long as it was."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from celery import chain
from django.utils import timezone

from tasks import runs
from tasks.celery.engine import CeleryEngine
from tasks.models import State, TaskGroup, TaskRun
from tasks.runs import beats, clock, sweep
from tasks.runs.worker import identity
from tasks.tasks import demo_task

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)


class Machine:
    """Its clock as it is set, and the one that nobody sets."""

    CLOCK_MONOTONIC = 1

    def __init__(self) -> None:
        self.now, self.since_start = time.time(), 5_000.0

    def time(self) -> float:
        return self.now

    def clock_gettime(self, which: int) -> float:
        return self.since_start

    def passes(self, seconds: float) -> None:
        self.now, self.since_start = self.now + seconds, self.since_start + seconds

    def monotonic(self) -> float:
        return self.since_start

    def utc(self) -> datetime:
        return datetime.fromtimestamp(self.now, UTC)


@pytest.fixture
def machine(monkeypatch) -> Machine:
    found = Machine()
    monkeypatch.setattr(clock, "time", found)
    monkeypatch.setattr(sweep, "time", found)
    monkeypatch.setattr(timezone, "now", found.utc)
    return found


@pytest.fixture
def sent(monkeypatch) -> list[str]:
    found: list[str] = []
    monkeypatch.setattr(CeleryEngine, "publish", lambda self, run: found.append(run.pk))
    monkeypatch.setattr("tasks.runs.sending._rests_until", {})
    return found


@pytest.fixture
def look(machine, monkeypatch) -> Any:
    """A sweep that leads."""
    mine = beats.Worker(id=identity(), hostname="here")
    monkeypatch.setattr(beats, "look", lambda client: [mine])
    found = sweep.Sweep(None, None)  # type: ignore[arg-type]
    return found


def leads(look: Any, machine: Machine) -> None:
    assert look._workers() is not None
    look._countdowns.keep()
    look._unsent()
    look._unsent()


@pytest.mark.parametrize("set_by", [-HOUR, -10 * HOUR, HOUR, timedelta(seconds=-40)], ids=str)
def test_a_countdown_lasts_as_long_as_it_was_asked_for(set_by, machine, look, sent):
    waits = demo_task.apply_async(countdown=60).id
    again = TaskRun.objects.get(pk=demo_task.delay().id)
    pause = machine.utc() + timedelta(seconds=60)
    TaskRun.objects.filter(pk=again.pk).update(state=State.RETRY, attempt=1, sent_at=None, next_retry_at=pause)
    leads(look, machine)
    machine.passes(10)
    machine.now += set_by.total_seconds()
    leads(look, machine)
    machine.passes(15)
    leads(look, machine)
    assert sent == []
    machine.passes(36)
    leads(look, machine)
    assert sorted(sent) == sorted([waits, again.pk])
    for run in TaskRun.objects.all():
        assert run.due_at is not None
        assert abs((run.due_at - machine.utc()).total_seconds()) < 2


def test_a_time_that_was_named_is_kept(machine, look):
    at = machine.utc() + 2 * HOUR
    demo_task.apply_async(eta=at)
    leads(look, machine)
    machine.now -= 3600
    leads(look, machine)
    assert TaskRun.objects.get().eta == at


def test_a_message_that_its_worker_holds_keeps_its_time(machine, look):
    """The worker waits by its own timer, and claims with the time that its message names."""
    at = machine.utc() + timedelta(seconds=20)
    demo_task.apply_async(countdown=20)
    TaskRun.objects.update(sent_at=machine.utc(), eta=at)
    machine.now -= 3600
    leads(look, machine)
    assert TaskRun.objects.get().eta == at


def test_a_clock_that_is_slewed_moves_nothing(machine, look):
    demo_task.apply_async(countdown=60)
    at = TaskRun.objects.get().eta
    for _ in range(50):
        machine.passes(1)
        machine.now -= 0.5
        leads(look, machine)
    assert TaskRun.objects.get().eta == at


def test_one_of_several_workers_moves_them_once(machine, look, monkeypatch):
    """Another one leads when the clock is set, and has moved them; this one leads from then on."""
    demo_task.apply_async(countdown=60)
    at = TaskRun.objects.get().eta
    machine.now -= 3600
    (mine,) = beats.look(None)  # type: ignore[arg-type]
    before = beats.Worker(id="", hostname="there")
    monkeypatch.setattr(beats, "look", lambda client: [mine, before])
    assert look._workers() is None
    monkeypatch.setattr(beats, "look", lambda client: [mine])
    leads(look, machine)
    assert TaskRun.objects.get().eta == at


@pytest.mark.parametrize("set_by", [-HOUR, HOUR], ids=str)
def test_what_was_left_over_before_the_clock_was_set_is_found_as_always(set_by, machine, look, sent, monkeypatch):
    """A start that was never sent, an end that nobody heard, one that waits for nobody, a chord without its parts."""
    monkeypatch.setattr("tasks.celery.engine.CeleryEngine.tracks_everything", lambda _: True)  # whatever tests define
    unsent, unheard, orphan, behind, body = (demo_task.delay().id for _ in range(5))
    ended = {"state": State.SUCCESS, "attempt": 1, "finished_at": machine.utc(), "unfollowed": True}
    TaskRun.objects.filter(pk=unsent).update(sent_at=None)  # the process ended between the row and the message
    TaskRun.objects.filter(pk=unheard).update(**ended)
    for pk, after in ((orphan, "gone"), (behind, "a-group"), (body, "a-group")):
        TaskRun.objects.filter(pk=pk).update(held=True, after=after)
    TaskGroup.objects.create(pk="a-group", members=[["a-group", None], []], body={"task": "x"}, left=1)
    TaskGroup.objects.update(created_at=machine.utc())
    machine.now += set_by.total_seconds()
    for _ in range(8):
        machine.passes(1)
        for step in (look._unsent, look._unfollowed, look._orphans, look._open_groups):
            step()
    assert unsent in sent
    assert TaskRun.objects.get(pk=unheard).unfollowed is False
    assert TaskRun.objects.get(pk=orphan).state == State.FAILURE
    assert TaskGroup.objects.get().done
    assert {TaskRun.objects.get(pk=pk).state for pk in (behind, body)} == {State.FAILURE}


def test_what_was_let_go_is_its_sender_s_and_the_sweep_s_when_the_broker_refused(
    machine, look, sent, monkeypatch, django_capture_on_commit_callbacks
):
    """Else its message went twice, and every signal of it: a look between its commit and its message saw it unsent."""
    last = chain(demo_task.si(), demo_task.si())()
    machine.passes(60)
    runs.claim(last.parent.id, "w1")
    with django_capture_on_commit_callbacks() as sends:
        runs.end(last.parent.id, State.SUCCESS, attempt=1, result=1)
    assert TaskRun.objects.get(pk=last.id).held is False
    for _ in range(3):  # others are sent before it
        machine.passes(1)
        look._unsent()
    assert sent == []
    refused(sends, monkeypatch)
    look._unsent()
    assert sent == [last.id]


def test_what_was_let_go_while_the_broker_rested_is_left_to_its_sender_for_a_moment(machine, look, sent, monkeypatch):
    monkeypatch.setattr("tasks.runs.accepting.goes_now", lambda run: False)
    last = chain(demo_task.si(), demo_task.si())()
    machine.passes(60)
    runs.claim(last.parent.id, "w1")
    runs.end(last.parent.id, State.SUCCESS, attempt=1, result=1)
    TaskRun.objects.filter(pk=last.parent.id).update(sent_at=machine.utc())
    look._unsent()
    assert sent == []
    machine.passes(sweep.UNSENT_AFTER.total_seconds() + 0.1)
    look._unsent()
    assert sent == [last.id]


def refused(sends: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """What was to be sent on commit meets a broker that refuses it, and is there again."""

    def refuse(self: Any, run: TaskRun) -> None:
        raise OSError("no broker")

    with monkeypatch.context() as away:
        away.setattr(CeleryEngine, "publish", refuse)
        for send in sends:
            send()
    monkeypatch.setattr("tasks.runs.sending._rests_until", {})


def test_a_retry_is_its_sender_s_while_that_sends_it_and_the_sweep_s_when_the_broker_refused(
    machine, look, sent, monkeypatch, django_capture_on_commit_callbacks
):
    task_id = demo_task.delay().id
    runs.claim(task_id, "w1")
    with django_capture_on_commit_callbacks() as sends:
        runs.postpone(task_id, 1, machine.utc() + timedelta(seconds=0.1), {})
    machine.passes(1)
    look._unsent()
    assert sent == []

    refused(sends, monkeypatch)
    look._unsent()
    assert sent == [task_id]
