"""Huey's tasks are runs: stored before they are sent, claimed, ended once, tried again, revoked, chained."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone
from huey import crontab, signals
from huey.api import chord, group
from huey.exceptions import CancelExecution, ResultTimeout, RetryTask, TaskException
from huey.utils import SKIPPED, Error

import progress
from tasks import runs
from tasks.huey import attempt as attempts
from tasks.huey import engine as huey_engine
from tasks.huey import values
from tasks.huey.names import instances
from tasks.huey.queue import TrackedHuey
from tasks.models import State, TaskGroup, TaskRun
from tasks.resume import resumable, stopping
from tasks.runs import beats, engine, sending, waiting
from tasks.runs.state import public_state
from tests.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)

#: More executions than any test has: what goes on without end fails it.
MOST = 50


class Bench:
    """A Huey, tasks to put into it, and a consumer in this thread."""

    def __init__(self, huey: Any) -> None:
        self.huey = huey
        self.heard: list[str] = []
        self.said: list[Any] = []
        huey.signal()(lambda signal, task, *_: self.heard.append(signal))

    def task(self, function: Callable[..., Any], **options: Any) -> Any:
        return self.huey.task(**options)(function)

    def work(self) -> None:
        """One message after the other, until none is left; what was scheduled for before now as well."""
        for _ in range(MOST):
            for task in self.huey.read_schedule(None):
                self.huey.enqueue(task)
            task = self.huey.dequeue()
            if task is None:
                return
            self.huey.execute(task)
        raise AssertionError("it goes on without end")


def add(a: Any, b: Any = 1) -> Any:
    return a + b


def fail(*_: Any) -> None:
    raise ValueError("no luck", 3)


@pytest.fixture
def bench(valkey, monkeypatch) -> Iterator[Bench]:
    monkeypatch.setattr(sending, "_rests_until", {})
    monkeypatch.setattr(engine, "_engines", {**engine._engines})
    huey = TrackedHuey(f"tests{uuid.uuid4().hex[:8]}", blocking=False, immediate=False)
    yield Bench(huey)
    del instances[huey.name]


def row(result: Any) -> Any:
    return TaskRun.objects.get(pk=result.id)


# --- the start --------------------------------------------------------------------------------------------------------


def test_a_start_is_a_row_with_its_engine_and_its_message_follows_the_commit(bench):
    task = bench.task(add)
    with transaction.atomic():
        run = row(task(1, b=2))
        assert len(bench.huey) == 0
    assert len(bench.huey) == 1
    run.refresh_from_db()
    assert (run.engine, run.state, run.queue) == ("huey", "PENDING", bench.huey.name)
    assert (run.args, run.kwargs) == ([1], {"b": 2})
    assert run.name == f"{__name__}.add"
    assert run.sent_at is not None


#: Addresses of Redis: the class of the connections, and some of what they are made with.
ADDRESSES: dict[str, tuple[str, dict[str, object]]] = {
    "redis://:p%40ss@there:6380/3": ("Connection", {"password": "p@ss", "host": "there", "port": 6380, "db": 3}),
    "rediss://there/0?ssl_ca_certs=/ca.pem": ("SSLConnection", {"host": "there", "ssl_ca_certs": "/ca.pem"}),
    "unix:///run/redis.sock?db=2": ("UnixDomainSocketConnection", {"path": "/run/redis.sock", "db": 2}),
    "sentinel://:word@one:26379/1;sentinel://two": ("SentinelManagedConnection", {"password": "word", "db": 1}),
}


@pytest.mark.parametrize("url", ADDRESSES)
def test_redis_is_where_redis_url_says(bench, settings, url):
    settings.REDIS_URL = url
    pool = TrackedHuey(bench.huey.name, immediate=False).storage.pool
    name, expected = ADDRESSES[url]
    assert name in [cls.__name__ for cls in pool.connection_class.__mro__]
    assert {key: pool.connection_kwargs.get(key) for key in expected} == expected
    assert (
        TrackedHuey(bench.huey.name, immediate=False, url="redis://other:1/9").storage.pool.connection_kwargs["db"] == 9
    )


def test_a_rollback_leaves_nothing(bench):
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        bench.task(add)(1)
        raise ZeroDivisionError
    assert len(bench.huey) == 0
    assert not TaskRun.objects.exists()


def test_a_broker_that_is_away_costs_nothing_but_the_sending(bench, monkeypatch):
    def refuse(*_: Any) -> None:
        raise ConnectionRefusedError

    monkeypatch.setattr(bench.huey.storage, "enqueue", refuse)
    result = bench.task(add)(1)
    assert row(result).sent_at is None
    assert sending.broker_rests("huey")
    assert not sending.broker_rests("celery")


@pytest.mark.parametrize(
    "value",
    [
        None,
        1.5,
        "ü",
        [1, (2, 3)],
        {"a": (1,), 2: "b", (1, 2): 3},
        {"__type__": "date", "__value__": "no date"},
        {1, 2},
        frozenset((1,)),
        b"\x00\xff",
        Decimal("1.10"),
        uuid.UUID(int=7),
        date(2026, 1, 2),
        datetime(2026, 1, 2, 3, 4, tzinfo=UTC),
        timedelta(seconds=1.5),
        Error({"error": "x"}),
        SKIPPED,
    ],
)
def test_values_come_back_as_they_were(bench, value):
    task = bench.task(lambda one: one, name="echo")
    result = task(value)
    bench.work()
    assert row(result).state == State.SUCCESS, row(result).error
    assert result._get() == value
    assert type(result._get()) is type(value)
    assert public_state(row(result))["args_text"] != "(cannot be shown)"


@pytest.mark.parametrize("error", [ValueError("a", 1), ValidationError("b"), RuntimeError(object())])
def test_an_error_is_made_anew_as_far_as_it_can_be(error):
    made: Any = values.raised(values.describe(error))  # type: ignore[arg-type]
    assert isinstance(made, (type(error), values.RaisedElsewhere))
    assert values.describe(error)["type"] == type(error).__name__


REFUSED: dict[str, Callable[[Bench, Any], object]] = {
    "an object": lambda bench, task: task(object()),
    "not a number": lambda bench, task: task(float("nan")),
    "NUL": lambda bench, task: task("a\x00"),
    "too much": lambda bench, task: task("x" * 300_000),
    "half a priority": lambda bench, task: task(1, priority=1.5),
    "an id that is none": lambda bench, task: task(1, id="a/b"),
    "an object in what follows": lambda bench, task: bench.huey.enqueue(task.s(1).then(task, object())),
    "a group in a chord": lambda bench, task: bench.huey.enqueue(chord([group([task.s(1)])], task.s())),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_stored_is_refused_at_the_start_with_a_sentence(bench, what):
    with pytest.raises(runs.NotAccepted, match=r"\w+ \w+"):
        REFUSED[what](bench, bench.task(add))
    assert not TaskRun.objects.exists()


# --- the attempt ------------------------------------------------------------------------------------------------------


def test_a_result_is_in_the_row_and_get_reads_it_there(bench):
    result = bench.task(add)(2)
    assert result.get() is None
    with pytest.raises(ResultTimeout):
        result.get(blocking=True, timeout=0.1)
    bench.work()
    assert (row(result).state, row(result).attempt, row(result).result) == (State.SUCCESS, 1, 3)
    assert result.get(blocking=True, timeout=5) == 3
    assert bench.huey.result(result.id) == 3
    assert bench.huey.result(result.id) == 3, "it was forgotten by being read"
    assert signals.SIGNAL_COMPLETE in bench.heard


def test_none_is_an_answer_as_well(bench):
    result = bench.task(lambda: None, name="nothing")()
    bench.work()
    assert result.get(blocking=True, timeout=1) is None
    assert result.is_ready()


def test_a_failure_is_recorded_with_its_traceback_and_raised_by_get(bench):
    result = bench.task(fail)()
    bench.work()
    run = row(result)
    assert run.state == State.FAILURE
    assert (run.error["type"], "no luck" in run.error["message"], "fail" in run.traceback) == ("ValueError", True, True)
    with pytest.raises(TaskException, match="no luck"):
        result.get()


def test_a_copy_of_a_message_cannot_claim(bench):
    calls: list[int] = []
    result = bench.task(lambda: calls.append(1), name="once")()
    huey_engine.engine.publish(row(result))
    bench.work()
    assert calls == [1]
    assert row(result).attempt == 1


def test_an_attempt_that_lost_its_run_writes_nothing(bench):
    def slow() -> str:
        run = TaskRun.objects.get(name__endswith="slow")
        assert runs.lost(run.pk, run.worker, send_again=False) == State.RETRY
        assert runs.claim(run.pk, "another") is not None
        return "late"

    result = bench.task(slow)()
    bench.work()
    assert (row(result).state, row(result).worker, row(result).result) == (State.STARTED, "another", None)


def test_progress_reaches_the_row_and_a_cancel_reaches_the_task(bench):
    def count() -> None:
        progress.set(3, total=9)
        runs.cancel(progress.current().task_id)  # type: ignore[union-attr]
        progress.current().cancel()  # type: ignore[union-attr]
        progress.set(4)
        raise AssertionError("it was not cancelled")

    result = bench.task(count)()
    bench.work()
    run = row(result)
    assert (run.state, run.error["type"], run.progress["current"]) == (State.REVOKED, "Cancelled", 4)
    assert signals.SIGNAL_CANCELED in bench.heard


ENDS: dict[str, tuple[Callable[[], Any], str, str]] = {
    "a result that is no JSON": (object, "FAILURE", "NotEncodable"),
    "cancelled by itself": (lambda: _raise(CancelExecution("enough")), "REVOKED", "CancelExecution"),
    "a transaction left open": (lambda: transaction.atomic().__enter__(), "FAILURE", "LeftOpen"),
    "sys.exit": (lambda: _raise(SystemExit(3)), "FAILURE", "WorkerLost"),
}


def _raise(error: BaseException) -> None:
    raise error


@pytest.mark.parametrize("how", ENDS)
def test_however_it_is_left_it_has_an_end(bench, how):
    work, state, error = ENDS[how]
    result = bench.task(work, name="ends", max_attempts=2)()
    bench.work()
    assert (row(result).state, row(result).error["type"]) == (state, error)


def test_a_hook_that_cancels_ends_the_run(bench):
    bench.huey.pre_execute("no")(lambda task: _raise(CancelExecution()))
    result = bench.task(add)(1)
    bench.work()
    assert (row(result).state, row(result).error["type"]) == (State.REVOKED, "CancelExecution")


def test_hooks_and_signals_hear_what_huey_tells_them(bench):
    done: list[Any] = []
    bench.huey.post_execute("note")(lambda task, value, error: done.append((value, type(error))))
    bench.task(add)(1)
    bench.task(fail)()
    bench.work()
    assert done == [(2, type(None)), (None, ValueError)]
    assert {signals.SIGNAL_ENQUEUED, signals.SIGNAL_EXECUTING, signals.SIGNAL_COMPLETE, signals.SIGNAL_ERROR} <= set(
        bench.heard
    )


def test_a_message_of_a_task_that_is_gone_ends_its_run_and_stops_nobody(bench):
    gone = bench.task(add, name="gone")
    first, second = gone(1), bench.task(add)(2)
    gone.unregister()
    bench.work()
    bench.work()
    assert (row(first).state, row(first).error["type"]) == (State.FAILURE, "NotRegistered")
    assert row(second).state == State.SUCCESS
    bench.huey.storage.enqueue(b"no pickle")
    bench.work()


def test_a_message_that_was_sent_past_us_becomes_a_run(bench):
    task = bench.task(add).s(20)
    bench.huey.storage.enqueue(bench.huey.serialize_task(task))
    bench.work()
    assert TaskRun.objects.get(pk=task.id).result == 21


# --- again ------------------------------------------------------------------------------------------------------------


def test_retries_are_attempts_of_one_run(bench):
    calls: list[int] = []

    def flaky(context: Any = None, task: Any = None) -> str:
        calls.append(task.retries)
        if len(calls) < 3:
            raise ConnectionError("away")
        return "good"

    result = bench.task(flaky, retries=2, context=True)()
    bench.work()
    run = row(result)
    assert (run.state, run.attempt, run.result, calls) == (State.SUCCESS, 3, "good", [2, 1, 0])
    assert (run.tries, run.max_tries, run.lost) == (3, 3, 0)
    assert bench.heard.count(signals.SIGNAL_RETRYING) == 2


def test_a_retry_goes_on_at_its_checkpoint(bench):
    done: list[int] = []

    def flaky() -> None:
        for number in resumable(range(5), total=5):
            if number == 3 and -1 not in done:
                done.append(-1)
                raise ConnectionError("away")
            done.append(number)

    result = bench.task(flaky, retries=1)()
    bench.work()
    run = row(result)
    assert (run.state, run.attempt, done) == (State.SUCCESS, 2, [0, 1, 2, -1, 3, 4])


def test_a_task_stops_at_its_checkpoint_when_its_consumer_ends_and_another_one_goes_on(bench):
    done: list[int] = []

    def long() -> None:
        stopping.go_on()
        for number in resumable(range(4), total=4):
            done.append(number)
            if done == [0, 1]:
                stopping.stop()

    result = bench.task(long)()
    try:
        bench.work()
    finally:
        stopping.go_on()
    run = row(result)
    assert (run.state, run.attempt, run.tries, run.lost, done) == (State.SUCCESS, 2, 1, 0, [0, 1, 2, 3])


def test_a_retry_with_a_delay_waits_and_says_so(bench):
    result = bench.task(fail, retries=1, retry_delay=20, retry_backoff=3)()
    bench.work()
    run = row(result)
    assert (run.state, run.attempt, run.error["type"]) == (State.RETRY, 1, "ValueError")
    assert 15 < (run.next_retry_at - timezone.now()).total_seconds() <= 20
    assert waiting.explain([run])[run.pk]["reason"] == "retry"
    assert run.message["options"]["retry_delay"] == 60


def test_a_task_may_ask_for_its_next_attempt_itself(bench):
    calls: list[int] = []

    def again() -> str:
        calls.append(1)
        if len(calls) == 1:
            raise RetryTask(delay=0.01)
        return "good"

    result = bench.task(again)()

    def ended() -> bool:
        bench.work()
        return row(result).is_final

    wait_until(ended, 10, "the second attempt has ended")
    assert (row(result).state, row(result).attempt) == (State.SUCCESS, 2)


def test_a_run_is_started_again_with_its_arguments(bench):
    result = bench.task(fail, retries=0)(date(2026, 1, 2))
    bench.work()
    from tasks.runs.repeating import again

    new = again(row(result))
    assert (new.engine, new.retry_of, new.args) == ("huey", result.id, row(result).args)


# --- later, first, never ----------------------------------------------------------------------------------------------


def test_a_delay_keeps_the_run_waiting_until_its_time(bench):
    soon, late = bench.task(add).schedule((1,), delay=20), bench.task(add, name="late").schedule((1,), delay=3600)
    assert (len(bench.huey), bench.huey.scheduled_count()) == (0, 1)
    assert row(late).sent_at is None, "it waits in the database"
    bench.work()
    assert (row(soon).state, row(late).state) == (State.PENDING, State.PENDING)
    assert waiting.explain([row(late)])[late.id]["hint"].startswith("Starts at")


def test_what_is_due_is_moved_from_the_schedule_and_done(bench):
    result = bench.task(add)(1)
    bench.huey.storage.dequeue()
    task = bench.huey.class_of(row(result).name)((1,), {}, id=result.id)
    task.eta = bench.huey._get_timestamp() - timedelta(seconds=1)
    bench.huey.add_schedule(task)
    assert huey_engine.engine.count(bench.huey.name) == 1
    bench.work()
    assert row(result).state == State.SUCCESS


def test_the_larger_priority_goes_first_and_has_the_earlier_place(bench, monkeypatch):
    order: list[str] = []
    task = bench.task(order.append, name="say")
    starts = {name: task(name, priority=priority) for name, priority in (("low", -1), ("none", None), ("high", 5))}
    worker = beats.Worker("w", "w", [bench.huey.name], engine="huey")
    monkeypatch.setattr(waiting, "pulse", lambda: waiting.Pulse(True, [worker]))
    places = {name: waiting.explain([row(start)])[start.id].get("position") for name, start in starts.items()}
    assert places == {"high": 1, "none": 2, "low": 3}
    bench.work()
    assert order == ["high", "none", "low"]


def test_past_its_expiry_it_is_revoked(bench):
    result = bench.task(add)(1, expires=timedelta(seconds=30))
    assert row(result).expires is not None
    TaskRun.objects.filter(pk=result.id).update(expires=timezone.now() - timedelta(seconds=1))
    bench.work()
    assert (row(result).state, row(result).error["type"]) == (State.REVOKED, "Expired")
    assert signals.SIGNAL_EXPIRED in bench.heard


def test_a_revoked_run_is_revoked_at_once_and_not_done(bench):
    result = bench.task(add)(1)
    result.revoke()
    assert row(result).state == State.REVOKED
    bench.work()
    assert (row(result).state, row(result).attempt) == (State.REVOKED, 0)
    assert signals.SIGNAL_REVOKED in bench.heard


def test_a_revoked_task_revokes_its_runs_until_it_is_restored(bench):
    task = bench.task(add)
    task.revoke()
    first = task(1)
    bench.work()
    assert (row(first).state, row(first).error["type"]) == (State.REVOKED, "Cancelled")
    assert task.restore()
    second = task(1)
    bench.work()
    assert row(second).state == State.SUCCESS


def test_without_a_worker_it_says_which_command_starts_one(bench, monkeypatch):
    run = row(bench.task(add)(1))
    celery = beats.Worker("w", "w", [run.queue])  # one of another engine is no help
    monkeypatch.setattr(waiting, "pulse", lambda: waiting.Pulse(True, [celery]))
    said = waiting.explain([run])[run.pk]
    assert (said["reason"], "python manage.py run_huey" in said["hint"]) == ("no_worker", True)


def test_while_one_is_active_the_same_start_gives_that_one(bench):
    task = bench.task(add, one_while_active=("a",))
    first = task(1, b=2)
    assert (task(1, b=3).id, task(a=1).id) == (first.id, first.id)
    assert task(2).id != first.id
    keyed = task.apply_async(kwargs={"a": 9}, idempotency_key="k")
    bench.work()
    assert task.apply_async(kwargs={"a": 9}, idempotency_key="k").id == keyed.id
    with pytest.raises(runs.KeyReused):
        task.apply_async(kwargs={"a": 8}, idempotency_key="k")
    assert task(1).id != first.id


def test_immediate_is_hueys_own(bench):
    bench.huey.immediate = True
    assert bench.task(add)(1).get() == 2
    assert not TaskRun.objects.exists()


def test_a_tick_is_one_run_whoever_of_several_consumers_comes_first(bench):
    bench.huey.periodic_task(crontab(), name="tick")(lambda: None)
    now = datetime(2026, 1, 2, 3, 4, 5)
    for at in (now, now + timedelta(seconds=40), now + timedelta(seconds=60)):
        for task in bench.huey.read_periodic(at):
            bench.huey.enqueue(task)
    assert TaskRun.objects.filter(name__endswith=".tick").count() == 2
    bench.work()
    assert set(TaskRun.objects.values_list("state", flat=True)) == {State.SUCCESS}


# --- what follows -----------------------------------------------------------------------------------------------------


def test_the_links_of_a_pipeline_are_known_from_the_start_and_get_what_came_before(bench):
    task, pair = bench.task(add), bench.task(lambda a: (a, 10), name="pair")
    results = bench.huey.enqueue(task.s(1).then(pair).then(task))
    ids = [one.id for one in results]
    held = TaskRun.objects.filter(held=True)
    assert [run.after for run in held.order_by("accepted_at", "after")].count(ids[0]) == 1
    assert held.count() == 2
    bench.work()
    assert results.get() == [2, (2, 10), 12]
    assert {row(one).state for one in results} == {State.SUCCESS}


def test_a_failed_link_ends_those_behind_it(bench):
    task = bench.task(add)
    results = bench.huey.enqueue(bench.task(fail).s().then(task).then(task))
    bench.work()
    assert [row(one).state for one in results] == [State.FAILURE] * 3


def test_a_cancelled_pipeline_ends_as_a_whole(bench):
    task = bench.task(add)
    results = bench.huey.enqueue(task.s(1).then(task))
    runs.cancel(next(iter(results)).id)
    bench.work()
    assert [row(one).state for one in results] == [State.REVOKED] * 2


def test_an_error_handler_gets_the_exception_once_an_attempt(bench):
    heard: list[Any] = []
    handler = bench.task(lambda error: heard.append((type(error), error.args)), name="handler")
    bench.huey.enqueue(bench.task(fail, retries=1).s().error(handler))
    bench.work()
    assert heard == [(ValueError, ("no luck", 3))] * 2


def test_a_group_is_one_run_each_and_map_as_well(bench):
    task = bench.task(add)
    assert len(bench.huey.enqueue(group([task.s(1), task.s(2)]))) == 2
    results = task.map([(1, 2), (3, 4)])
    bench.work()
    assert results.get() == [3, 7]
    assert TaskRun.objects.count() == 4


def test_the_callback_of_a_chord_gets_all_results_in_order(bench):
    task, total = bench.task(add), bench.task(sum, name="total")
    wanted = chord([task.s(1), task.s(2).then(task), task.s(3)], total.s()).then(task)
    result = bench.huey.enqueue(wanted)
    assert row(result.callback).held
    bench.work()
    assert result.get() == 2 + 4 + 4
    assert result.pipeline_results.get() == [10, 11]
    assert TaskGroup.objects.get().engine == "huey"


def test_the_callback_of_a_chord_is_told_of_those_that_failed(bench):
    seen: list[Any] = []
    task, look = bench.task(add), bench.task(lambda parts: seen.extend(parts), name="look")
    result = bench.huey.enqueue(chord([task.s(1), bench.task(fail).s(), task.s(5)], look.s()))
    runs.cancel(result.results._results[2].id)
    bench.work()
    assert seen[0] == 2
    assert "no luck" in seen[1].metadata["error"]
    assert repr(seen[2]) == "SKIPPED"


def test_what_a_task_starts_is_its_child(bench):
    inner = bench.task(add, name="inner")
    outer = bench.task(lambda: inner(1).id, name="outer")()
    bench.work()
    assert TaskRun.objects.get(pk=row(outer).result).parent_id == outer.id


def test_the_database_that_is_away_at_the_claim_is_no_failure_of_the_task(bench, monkeypatch):
    from django.db import OperationalError

    result = bench.task(add)(1)
    monkeypatch.setattr(attempts, "with_retries", lambda call: _raise(OperationalError("away")))
    bench.work()
    monkeypatch.undo()
    assert row(result).state == State.PENDING


def test_a_redis_that_is_away_when_a_task_ends_costs_no_result(bench, monkeypatch):
    def away(*_: Any) -> None:
        raise ConnectionRefusedError

    def work() -> str:
        for name in ("delete_data", "put_data", "peek_many", "pop_data", "enqueue"):
            monkeypatch.setattr(bench.huey.storage, name, away)
        return "good"

    result = bench.task(work)()
    bench.huey.execute(bench.huey.dequeue())
    assert (row(result).state, row(result).attempt, row(result).result) == (State.SUCCESS, 1, "good")


def test_its_page_leads_to_no_page_of_flower(bench, client):
    result = bench.task(add)(1)
    session = client.session
    session.save()
    TaskRun.objects.filter(pk=result.id).update(session_key=session.session_key)
    page = client.get(f"/tasks/{result.id}/").content.decode()
    assert "python manage.py run_huey" in page
    assert "In Flower" not in page
    TaskRun.objects.filter(pk=result.id).update(engine="celery")
    assert "In Flower" in client.get(f"/tasks/{result.id}/").content.decode()
    TaskRun.objects.filter(pk=result.id).update(engine="gone")
    gone = client.get(f"/tasks/{result.id}/")
    assert (gone.status_code, "is not set up here" in gone.content.decode()) == (200, True)


def test_a_run_of_an_engine_that_is_gone_ends_and_is_not_repeated(bench, client, monkeypatch):
    result = bench.task(add)(1)
    session = client.session
    session.save()
    TaskRun.objects.filter(pk=result.id).update(session_key=session.session_key, engine="gone")
    with pytest.raises(sending.Unsendable, match="gone"):
        sending.try_to_send(row(result))
    assert runs.cancel(result.id)
    assert row(result).state == State.REVOKED
    assert client.post(f"/tasks/{result.id}/retry/").status_code < 500
    assert client.get(f"/tasks/{result.id}/").status_code == 200
    assert TaskRun.objects.count() == 1
