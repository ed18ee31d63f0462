"""`invariants`: each rule finds the fault that is planted for it, and two hundred healthy runs are left in peace."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.utils import timezone

from progress.record import get_record
from progress.redis import make_client
from tasks.models import FINAL, State, TaskGroup, TaskRun
from tasks.runs import beats, invariants, waiting
from tasks.runs.engine import get_engine
from tasks.runs.invariants import Report, Violation, check, lasting, look
from tasks.runs.state import changing

pytestmark = pytest.mark.django_db

#: Older than every patience of the rules.
LONG_AGO = timedelta(seconds=60)


class Broker:
    """How many messages are in each queue; raises while it is away."""

    def __init__(self) -> None:
        self.messages: dict[str, int] = {}
        self.away = False

    def count(self, queue: str) -> int:
        if self.away:
            raise ConnectionError("refused")
        return self.messages.get(queue, 0)


@pytest.fixture
def broker(monkeypatch) -> Broker:
    broker = Broker()
    monkeypatch.setattr(get_engine("celery"), "count", broker.count, raising=False)
    return broker


@pytest.fixture(autouse=True)
def system(monkeypatch, valkey, broker) -> None:
    """A worker lives and serves the queue celery; nothing is cached."""
    monkeypatch.setattr(waiting, "_last", waiting.Pulse(reachable=True))
    monkeypatch.setattr(waiting, "_client", None)
    monkeypatch.setattr(waiting, "FRESH", 0.0)
    monkeypatch.setattr(invariants, "LOOK_EVERY", 0.01)
    beat()


def beat(*active: str, worker: str = "w1", silent_for: float = 0.0) -> None:
    with make_client(django_settings.REDIS_URL) as client:
        beats.beat(client, beats.Worker(worker, f"{worker}@test", ["celery"], 4, list(active)))
        if silent_for:
            client.zincrby(beats._keys()[0], -silent_for, worker)


def run(state: str = State.PENDING, *, age: timedelta = LONG_AGO, **values: Any) -> TaskRun:
    at = timezone.now() - age
    given: dict[str, Any] = {"name": "tasks.tasks.demo_task", "queue": "celery", "accepted_at": at, "state": state}
    if state in FINAL:
        given |= {"started_at": at, "finished_at": at, "attempt": 1, "sent_at": at}
    if state == State.STARTED:
        given |= {"started_at": at, "attempt": 1, "sent_at": at, "worker": "w1"}
    return TaskRun.objects.create(**{**given, **values})


def found() -> dict[str, set[str]]:
    """The ids of each rule that is broken."""
    by: dict[str, set[str]] = {}
    for one in check():
        by.setdefault(one.rule, set()).update(one.ids)
    return by


def member(pk: str) -> Any:
    return [[pk, None], None]


def group(pk: str, *parts: TaskRun, left: int, age: timedelta = LONG_AGO, **values: Any) -> TaskGroup:
    made = TaskGroup.objects.create(
        pk=pk, members=[[pk, None], [member(part.pk) for part in parts]], body={}, left=left, **values
    )
    TaskGroup.objects.filter(pk=pk).update(created_at=timezone.now() - age)
    TaskRun.objects.filter(pk__in=[part.pk for part in parts]).update(group_id=pk)
    return made


def tell(row: TaskRun, **said: Any) -> None:
    get_record().tell(row.pk, {**changing(row), **said}, final=True)  # type: ignore[typeddict-item]


# --- nothing is wrong -------------------------------------------------------------------------------------------------


def test_two_hundred_healthy_runs_of_all_states_break_no_rule(broker):
    now = timezone.now()
    started = [run(State.STARTED) for _ in range(20)]
    for state in FINAL:
        for number in range(20):
            row = run(state, result=number if state == State.SUCCESS else None)
            tell(row)
    for _ in range(40):
        run(sent_at=now - LONG_AGO)  # in the queue
        run(State.RETRY, attempt=1, next_retry_at=now + LONG_AGO)  # waits for its time
    broker.messages["celery"] = 40
    run(eta=now + timedelta(days=1))
    run(queue="nobody", sent_at=now)  # waits for a worker
    broker.messages["nobody"] = 1
    run(age=timedelta(seconds=1))  # is being sent
    run(State.SUCCESS, age=timedelta(seconds=1), unfollowed=True)
    waits = started[0]
    run(held=True, after=waits.pk)
    run(State.STARTED, age=timedelta(seconds=1), worker="died just now")
    parts = [run(State.SUCCESS), started[1], started[2]]
    group("g", *parts, left=2)
    run(held=True, after="g")
    group("done", *[run(State.SUCCESS) for _ in range(2)], left=0, done=True)
    group("young", *[run(State.SUCCESS) for _ in range(2)], left=2, age=timedelta(seconds=1))
    assert TaskRun.objects.count() > 170
    beat(*(one.pk for one in started))  # now, or on a busy machine the worker has been silent for too long
    assert look() == Report()


def test_an_empty_system_breaks_no_rule():
    assert look() == Report()


# --- each rule, and what breaks it ------------------------------------------------------------------------------------


@pytest.mark.parametrize("gone", ["ended", "no such run", "itself", "a group that is done", "nothing"])
def test_a_run_that_is_held_behind_what_is_over(gone):
    held = run(held=True)
    if gone == "ended":
        held.after = run(State.SUCCESS).pk
    elif gone == "itself":
        held.after = held.pk
    elif gone == "a group that is done":
        held.after = group("g", left=0, done=True).pk
    elif gone == "no such run":
        held.after = "never-there"
    held.save()
    assert found() == {"held": {held.pk}}


def test_a_run_that_is_held_behind_what_ended_just_now_has_its_time():
    run(held=True, after=run(State.SUCCESS, finished_at=timezone.now()).pk)
    assert found() == {}


def test_an_end_that_nobody_heard():
    ended = run(State.REVOKED, unfollowed=True)
    assert found() == {"followed": {ended.pk}}


def test_a_run_that_was_never_sent():
    unsent = run()
    retry = run(State.RETRY, attempt=1, next_retry_at=timezone.now() - LONG_AGO)
    assert found() == {"sent": {unsent.pk, retry.pk}}


def test_without_a_worker_nobody_says_that_a_run_should_have_been_sent():
    run()
    beat(silent_for=4)
    assert look() == Report([], ["sent: No worker is running, so nobody sends what was not sent."])


def test_a_message_that_is_gone(broker):
    lost = run(sent_at=timezone.now() - LONG_AGO)
    assert found() == {"message": {lost.pk}}
    broker.messages["celery"] = 1
    assert found() == {}


def test_a_message_that_is_gone_and_was_overtaken(broker):
    lost = run(sent_at=timezone.now() - LONG_AGO)
    for _ in range(3):
        run(age=timedelta(seconds=20), sent_at=timezone.now() - timedelta(seconds=20))
    run(State.SUCCESS, age=timedelta(seconds=19))
    broker.messages["celery"] = 3
    assert found() == {"message": {lost.pk}}


def test_a_message_that_a_worker_holds_is_not_gone():
    with_worker = run(sent_at=timezone.now() - LONG_AGO)
    beat(with_worker.pk)
    assert found() == {}


def test_more_messages_than_runs(broker):
    run(sent_at=timezone.now() - LONG_AGO)
    broker.messages["celery"] = 3
    (violation,) = check()
    assert violation == Violation("copies", ("celery",), "3 messages are in the queue, but 1 runs have one there.")


def test_the_message_of_a_run_that_was_cancelled_while_it_waited_is_no_copy(broker):
    cancelled = run(State.REVOKED, attempt=0, started_at=None)
    broker.messages["celery"] = 1
    assert found() == {}
    run(State.SUCCESS, age=timedelta(seconds=1))  # of a much later one: its message has been thrown away by now
    assert cancelled.sent_at is not None
    assert found() == {"copies": {"celery"}}


def test_a_broker_that_cannot_say_is_not_an_empty_queue(broker):
    run(sent_at=timezone.now() - LONG_AGO)
    broker.away = True
    report = look()
    assert report.violations == []
    assert [text.partition(":")[0] for text in report.unknown] == ["message", "copies"]
    assert "refused" in report.unknown[0]


@pytest.mark.parametrize("worker", ["never heard of", "w1", "dead"])
def test_a_run_that_nobody_is_at(worker):
    beat(worker="dead", silent_for=30)
    beat("another")
    started = run(State.STARTED, worker=worker)
    assert found() == {"started": {started.pk}}


def test_a_run_whose_worker_has_fallen_silent_just_now_has_its_time():
    beat(worker="w2", silent_for=8)
    run(State.STARTED, worker="w2")
    assert found() == {}


def test_another_end_was_told_than_is_recorded():
    other_state, other_result, other_error = run(State.FAILURE), run(State.SUCCESS, result=1), run(State.REVOKED)
    tell(other_state, state="SUCCESS")
    tell(other_result, result=2)
    tell(other_error, error={"type": "Cancelled", "message": ""})
    assert found() == {"told": {other_state.pk, other_result.pk, other_error.pk}}


def test_an_end_was_told_that_nobody_recorded():
    started = run(State.STARTED)
    beat(started.pk)
    tell(started, state="SUCCESS")
    assert found() == {"told": {started.pk}}


def test_the_end_of_an_attempt_before_is_of_no_account():
    row = run(State.FAILURE)
    tell(row, state="SUCCESS")
    TaskRun.objects.filter(pk=row.pk).update(attempt=2)
    assert found() == {}


def test_a_group_whose_parts_have_all_ended_and_whose_body_has_not_begun():
    group("g", run(State.SUCCESS), run(State.FAILURE), left=0)
    assert found() == {"completed": {"g"}}


def test_a_group_that_waits_for_another_number_of_parts_than_there_are():
    going = run(State.STARTED)
    beat(going.pk)
    group("g", run(State.SUCCESS), going, left=2)
    group("negative", going_too := run(State.STARTED), left=-1)
    beat(going.pk, going_too.pk)
    assert found() == {"counted": {"g", "negative"}}


def test_a_group_with_parts_that_are_no_runs_is_not_counted():
    going = run(State.STARTED)
    beat(going.pk)
    group("g", going, left=5)
    TaskGroup.objects.filter(pk="g").update(members=[["g", None], [member(going.pk), member("no run")]])
    group("nonsense", left=0)
    TaskGroup.objects.filter(pk="nonsense").update(members={"no": ["group"]})
    assert found() == {}


# --- one rule stops no other, and a moment is no fault ----------------------------------------------------------------


def test_a_rule_that_breaks_is_unknown_and_the_others_are_asked(monkeypatch):
    def broken() -> Any:
        raise KeyError("x")
        yield

    monkeypatch.setitem(invariants.RULES, "held", broken)
    ended = run(State.REVOKED, unfollowed=True)
    report = look()
    assert report.unknown == ["held: KeyError('x')"]
    assert [one.ids for one in report.violations] == [(ended.pk,)]


def looks_twice(monkeypatch: pytest.MonkeyPatch, between: Callable[[], object]) -> None:
    """`lasting(0.1)` looks once, then `between` happens, then it looks again, however slow the machine is."""
    clock = iter([0.0, 0.0, 1.0])
    time = SimpleNamespace(monotonic=lambda: next(clock), sleep=lambda _: between())
    monkeypatch.setattr("tasks.runs.invariants.time", time)


def test_what_is_over_at_the_next_look_does_not_last(monkeypatch):
    first, second = run(unfollowed=True, state=State.REVOKED), run(unfollowed=True, state=State.REVOKED)
    looks_twice(monkeypatch, lambda: TaskRun.objects.filter(pk=first.pk).update(unfollowed=False))
    (violation,) = lasting(0.1).violations
    assert violation.ids == (second.pk,)


def test_what_cannot_be_judged_any_more_lasts(broker, monkeypatch):
    run(sent_at=timezone.now() - LONG_AGO)
    broker.messages["celery"] = 3
    looks_twice(monkeypatch, lambda: setattr(broker, "away", True))
    report = lasting(0.1)
    assert [one.rule for one in report.violations] == ["copies"]
    assert report.unknown
