"""What cannot be started is refused with a sentence; what another program has left in queue and tables hurts nobody."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from celery import Task as CelerysTask
from celery import chain, current_app, shared_task
from celery.app.task import Context
from celery.exceptions import InvalidTaskError
from django.utils import timezone as clock

from tasks import runs
from tasks.celery.request import TrackedRequest
from tasks.celery.start import adopted
from tasks.models import FINAL, State, TaskGroup, TaskRun
from tasks.runs import waiting
from tasks.runs.prune import prune
from tasks.runs.state import public_state
from tasks.runs.sweep import Sweep
from tasks.tasks import demo_task

from .in_process import Here, here  # noqa: F401 - a fixture
from .people import signed_in, visitor

pytestmark = pytest.mark.django_db

#: Every start with one of these names the option, and what it must be.
REFUSED: dict[str, Any] = {
    "countdown": [1e12, float("nan"), float("inf"), "soon", [1]],
    "eta": ["soon", 1e30, datetime.max.replace(tzinfo=timezone(-timedelta(hours=1))), {}],
    "expires": ["never", -1e30, datetime.min.replace(tzinfo=timezone(timedelta(hours=1)))],
    "serializer": ["nope", 7, "pickle", "yaml", "msgpack"],
    "compression": ["nope", 7],
    "queue": [7, "q" * 101],
    "priority": ["high", 10**6, float("nan")],
    "time_limit": ["long", float("inf")],
    "soft_time_limit": ["long"],
    "retries": ["many"],
    "link": [7, [7], {"a": 1}],
    "link_error": ["text"],
    "chain": [7],
    "headers": [[7], "text"],
    "shadow": [7],
    "routing_key": [7],
    "parent_id": ["p" * 65],
    "group_id": ["g" * 65],
    "root_id": [[1]],
    "idempotency_key": ["half \ud800", "a\x00b"],
    "task_id": ["a b", "a/b", "", "x" * 65, "half \ud800"],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in REFUSED.items() for value in values])
def test_an_option_of_the_wrong_kind_is_refused_by_its_name(name, value):
    with pytest.raises(runs.NotAccepted, match=name):
        demo_task.apply_async(**{name: value})
    assert not TaskRun.objects.exists()


@pytest.mark.parametrize(
    "options",
    [
        *({"compression": name} for name in ("gzip", "zlib", "bzip2", "application/x-gzip")),
        {"serializer": "json"},
        {"priority": 9, "time_limit": 7.5, "soft_time_limit": 5, "shadow": "s", "headers": {"a": 1}},
        {"countdown": 1.5, "expires": 3600},
        {"eta": "2026-01-02T03:04:05", "expires": datetime(2126, 1, 1, tzinfo=UTC)},
        {"queue": "another", "routing_key": "another"},
    ],
    ids=str,
)
def test_what_is_in_order_is_sent(here: Here, options):  # noqa: F811
    result = demo_task.apply_async(**options)
    assert [message.headers["id"] for _, message in here.messages] == [result.id]


@pytest.mark.parametrize("options", [{"task_id": "a b"}, {"queue": "q" * 101}])
def test_a_later_link_that_has_no_room_is_refused_with_the_whole_chain(options):
    with pytest.raises(runs.NotAccepted):
        chain(demo_task.si(), demo_task.si(), demo_task.si().set(**options)).apply_async()
    assert not TaskRun.objects.exists()


def nested(depth: int) -> Any:
    value: Any = []
    for _ in range(depth):
        value = [value]
    return value


class OwnJSON:
    def __json__(self) -> Any:
        raise KeyError("no")


@pytest.mark.parametrize(
    "kwargs",
    [
        {"steps": nested(100_000)},
        {"steps": OwnJSON()},
        {"steps": object()},
        {"half \ud800": 1},
        {"steps": ["half \ud800"]},
        {"steps": {"NUL \x00": 1}},
        {"steps": float("nan")},
        {"steps": {"__type__": "nobody's", "__value__": 1}},
        {"steps": "x" * 300_000},
        {"steps": 10**5_000},
    ],
)
def test_arguments_that_cannot_be_stored_are_refused(kwargs):
    with pytest.raises(runs.NotAccepted, match=r"The arguments of tests\.odd\.anything"):
        anything.apply_async(kwargs=kwargs)
    assert not TaskRun.objects.exists()


def _anything(**_: Any) -> None: ...


anything: Any = shared_task(name="tests.odd.anything")(_anything)


def test_the_queue_that_is_named_by_an_object_is_its_name():
    run = TaskRun.objects.get(pk=demo_task.apply_async(queue=current_app.amqp.queues["celery"]).id)
    assert (run.queue, run.message["options"]["queue"]) == ("celery", "celery")


# --- what is shown of typed values ------------------------------------------------------------------------------------

TYPED: dict[str, Any] = {
    "Decimal('1.50')": Decimal("1.50"),
    "UUID('6c3f6c3e-0000-4000-8000-000000000001')": uuid.UUID("6c3f6c3e-0000-4000-8000-000000000001"),
    "datetime.datetime(2026, 1, 2, 3, 4, tzinfo=datetime.timezone.utc)": datetime(2026, 1, 2, 3, 4, tzinfo=UTC),
    "datetime.date(2026, 1, 2)": date(2026, 1, 2),
    "{'day': datetime.date(2026, 1, 2)}": {"day": date(2026, 1, 2)},
    "b'abc'": b"abc",
}


@pytest.mark.parametrize("text", TYPED)
def test_arguments_are_shown_as_python_shows_them(text):
    run = TaskRun.objects.get(pk=anything.delay(value=TYPED[text]).id)
    assert public_state(run)["args_text"] == f"value={text}"


@pytest.mark.parametrize("text", TYPED)
def test_no_page_shows_how_a_typed_value_is_stored(here: Here, text):  # noqa: F811
    alice = visitor()
    task_id = gives_back.delay(value=TYPED[text]).id
    here.work()
    TaskRun.objects.update(session_key=str(alice.session.session_key))
    run = TaskRun.objects.get(pk=task_id)
    assert run.state == State.SUCCESS
    for path in (f"/tasks/{task_id}/", "/", f"/api/tasks/{task_id}/"):
        answer = alice.get(path)
        assert answer.status_code == 200
        assert "__type__" not in answer.content.decode()
    assert gives_back.AsyncResult(task_id).get() == TYPED[text]


def _gives_back(value: Any) -> Any:
    return value


gives_back: Any = shared_task(name="tests.odd.gives_back")(_gives_back)

# --- ids that lead nowhere --------------------------------------------------------------------------------------------

ODD_IDS = ["a b", "a/b", "ü", "x?y#z", "../..", "", "\n"]


@pytest.mark.parametrize("odd", ODD_IDS)
def test_a_row_whose_id_has_no_address_breaks_no_page(odd):
    alice, staff = visitor(), signed_in("sarah", is_staff=True)
    good = TaskRun.objects.get(pk=demo_task.delay().id)
    for pk, values in ((odd, {"retry_of": good.pk}), (good.pk, {"retry_of": odd, "parent_id": odd})):
        columns: Any = {"name": "tests.odd", "queue": "celery", "accepted_at": clock.now(), **values}
        TaskRun.objects.update_or_create(pk=pk, defaults={**columns, "session_key": str(alice.session.session_key)})
    for who, path in ((alice, "/"), (alice, "/api/runs/"), (alice, f"/tasks/{good.pk}/"), (staff, "/runs/")):
        answer = who.get(path)
        assert answer.status_code == 200, path
        assert good.pk in answer.content.decode()


@pytest.mark.parametrize("odd", ODD_IDS)
def test_a_foreign_message_whose_id_has_no_address_is_refused(odd):
    with pytest.raises(InvalidTaskError, match="task_id"):
        TrackedRequest(None, task=demo_task, headers={"id": odd, "task": demo_task.name})  # type: ignore[arg-type]
    with pytest.raises(runs.NotAccepted, match="task_id"):
        runs.adopt(runs.Start(name="tests.odd", message={}, queue="celery", id=odd))
    assert not TaskRun.objects.exists()


# --- a message that another program has sent --------------------------------------------------------------------------


def test_all_that_a_foreign_message_carries_is_adopted_and_outlives_its_worker(here: Here):  # noqa: F811
    """`a | b` from a plain client, b to another queue; the worker dies in a."""
    first, then = anything.si(), gives_back.si(5).set(queue="other", task_id="then")
    request = Context(
        id="foreign",
        args=[],
        kwargs={},
        delivery_info={"routing_key": "celery", "priority": 3},
        chain=[dict(then)],
        errbacks=[dict(demo_task.si())],
        root_id="foreign",
        retries=0,
        timelimit=[7, None],
    )
    runs.adopt(adopted(first.type, request))
    run, held = TaskRun.objects.get(pk="foreign"), TaskRun.objects.get(pk="then")
    assert (run.queue, run.priority, held.held, held.after, held.queue) == ("celery", 3, True, "foreign", "other")
    assert run.message["options"]["time_limit"] == 7
    assert len(run.message["options"]["link_error"]) == 1
    assert runs.claim("foreign", "w1")
    assert runs.lost("foreign", "w1", send_again=True) == State.RETRY
    here.work()
    run.refresh_from_db()
    held.refresh_from_db()
    assert (run.state, run.attempt, held.state, held.queue, held.result) == ("SUCCESS", 2, "SUCCESS", "other", 5)


# --- one row that has time keeps no other waiting ---------------------------------------------------------------------


def test_a_run_that_is_not_due_keeps_no_other_from_being_sent(here: Here):  # noqa: F811
    """One of a clock that was set back: it has begun before its `eta`, and its worker died."""
    hour = clock.now() + timedelta(hours=1)
    long_ago = clock.now() - timedelta(minutes=1)
    odd = [
        {"state": State.RETRY, "attempt": 1, "eta": hour, "next_retry_at": None},
        {"state": State.RETRY, "attempt": 1, "eta": hour, "next_retry_at": long_ago},
    ]
    columns = {"name": "tests.odd.anything", "queue": "celery", "message": {}}
    for number, values in enumerate(odd):
        TaskRun.objects.create(
            pk=f"odd-{number}", accepted_at=long_ago + number * timedelta(seconds=1), **columns, **values
        )
    good = {"state": State.RETRY, "attempt": 1, "next_retry_at": long_ago}
    TaskRun.objects.create(pk="good", accepted_at=clock.now(), **columns, **good)
    sweep = Sweep(None, None)  # type: ignore[arg-type]
    sweep._unsent()
    assert [message.headers["id"] for _, message in here.messages] == ["odd-0", "odd-1", "good"]
    for _, message in here.messages:
        assert message.headers["eta"] is None or datetime.fromisoformat(message.headers["eta"]) < clock.now()
    assert runs.claim("odd-0", "w1")
    waits = TaskRun.objects.get(pk="odd-1")
    assert "Starts at" not in str(waiting.explain([waits]))


# --- groups -----------------------------------------------------------------------------------------------------------


def test_saved_groups_are_pruned_with_the_runs():
    for pk, body in (("saved", None), ("done", {"task": "x"}), ("waits", {"task": "x"})):
        TaskGroup.objects.create(pk=pk, members=[[pk, None], []], body=body, left=1, done=pk == "done")
    prune(timedelta(days=1))
    assert TaskGroup.objects.count() == 3
    TaskGroup.objects.update(created_at=clock.now() - timedelta(days=2))
    prune(timedelta(days=1))
    assert list(TaskGroup.objects.values_list("pk", flat=True)) == ["waits"]


@pytest.mark.slow
def test_six_hundred_groups_that_nobody_can_read_starve_no_other(here: Here, monkeypatch):  # noqa: F811
    monkeypatch.setattr("tasks.celery.engine.CeleryEngine.tracks_everything", lambda _: True)  # whatever tests define
    body: Any = {"task": "tests.odd.gives_back", "args": [], "kwargs": {}, "options": {}, "subtask_type": None}
    bad: list[Any] = [7, [7], {"a": 1}, "text"]
    groups = [
        TaskGroup(pk=f"bad-{number:03}", members=[["x", None], []], body=bad[number % len(bad)], left=-1)
        for number in range(600)
    ]
    good = TaskGroup(pk="the-good-one", members=[["the-good-one", None], [[["part", None], None]]], body=body, left=1)
    TaskGroup.objects.bulk_create([*groups, good])
    at = clock.now() - timedelta(minutes=1)
    TaskGroup.objects.update(created_at=at)
    part = {"state": State.SUCCESS, "attempt": 1, "finished_at": at, "result": 1, "group_id": good.pk}
    TaskRun.objects.create(pk="part", name="tests.odd", queue="celery", accepted_at=at, **part)
    sweep = Sweep(None, None)  # type: ignore[arg-type]
    for _ in range(4):
        sweep._open_groups()
    here.work()
    assert TaskRun.objects.filter(name="tests.odd.gives_back", state=State.SUCCESS, result=[1]).exists()


# --- the rest ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("attempt", "words"), [(0, "was not started before"), (1, "was not started again before")])
def test_what_expires_says_whether_it_had_begun(attempt, words):
    run = TaskRun.objects.get(pk=demo_task.delay().id)
    state = State.RETRY if attempt else State.PENDING
    TaskRun.objects.update(state=state, attempt=attempt, expires=clock.now() - timedelta(seconds=1))
    assert runs.expire(run.pk)
    run.refresh_from_db()
    assert run.error is not None
    assert words in run.error["message"]


def _daily(day: str = "today", *, full: bool = False) -> None: ...


daily: Any = shared_task(name="tests.odd.daily", one_while_active=("day", "full"))(_daily)  # type: ignore[call-overload]


def test_defaults_that_are_left_out_are_the_same_as_those_that_are_given():
    same = [daily.delay(), daily.delay("today"), daily.delay(day="today"), daily.delay(full=False), daily.s().delay()]
    assert len({result.id for result in same}) == 1
    assert daily.delay("tomorrow").id != same[0].id
    assert daily.delay(full=True).id != same[0].id
    TaskRun.objects.update(state=State.SUCCESS, finished_at=clock.now())
    assert daily.delay().id != same[0].id


@pytest.fixture
def plain() -> Iterator[Any]:
    """Not for longer than one test: while there is one, nobody can say which parts of a chord are gone."""
    yield current_app.task(name="tests.odd.plain", base=CelerysTask)(_plain)
    current_app.tasks.unregister("tests.odd.plain")


def _plain() -> str:
    return "plain"


def test_a_task_of_celerys_own_class_is_worked_on_once_and_ends(here: Here, plain):  # noqa: F811
    result = plain.delay()
    here.work()
    assert (here.begun, plain.AsyncResult(result.id).get()) == ([result.id], "plain")
    Sweep(None, None)._unsent()  # type: ignore[arg-type]
    assert here.messages == []
    assert not TaskRun.objects.exclude(state__in=FINAL).exists()
