"""What Celery's own classes get of a run, where no worker is needed."""

from __future__ import annotations

import json
import time
from types import SimpleNamespace
from typing import Any

import pytest
from celery import chain, chord, group
from celery.backends.base import BaseBackend
from celery.exceptions import TaskRevokedError, TimeoutError
from celery.result import AsyncResult
from celery.utils.nodenames import worker_direct
from celery.utils.serialization import UnpickleableExceptionWrapper, get_pickleable_exception
from kombu import Exchange, Queue
from kombu.exceptions import EncodeError
from kombu.utils.json import dumps as kombu_dumps
from kombu.utils.json import loads as kombu_loads

from tasks import runs
from tasks.celery import errors
from tasks.celery.results import RunBackend
from tasks.celery.task import TrackedTask
from tasks.models import State, TaskGroup, TaskRun
from tasks.runs import barrier
from tasks.runs.state import public_state
from tasks.runs.worker import identity
from tasks.tasks import demo_task, long_running_task

pytestmark = pytest.mark.django_db


class OrderError(Exception):
    pass


class Formats(Exception):
    """Makes a text of its argument, which is then its argument."""

    def __init__(self, number: Any) -> None:
        super().__init__(f"number {number}")


class TwoParts(Exception):
    def __init__(self, one: str, two: str) -> None:
        super().__init__(one)


def failed(error: BaseException) -> TaskRun:
    run = runs.claim(demo_task.delay().id, "w1")
    assert run is not None
    runs.end(run.pk, State.FAILURE, attempt=1, error=errors.describe(error))
    run.refresh_from_db()
    return run


def raised_by(run: TaskRun) -> BaseException:
    result: AsyncResult[Any] = AsyncResult(run.pk)
    with pytest.raises(BaseException) as raised:
        result.get(timeout=1)
    return raised.value


# --- exceptions -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error", [ValueError("no", 42), KeyError("order"), OrderError("no", {"id": 7}), OSError(2, "gone"), Formats(5)]
)
def test_a_failure_is_the_very_class_with_its_arguments(error):
    found = raised_by(failed(error))
    assert (type(found), found.args) == (type(error), error.args)


def test_a_failure_has_its_cause():
    error = OrderError("no")
    error.__cause__ = KeyError("id")
    found = raised_by(failed(error)).__cause__
    assert (type(found), found and found.args) == (KeyError, ("id",))


def test_one_that_cannot_be_made_again_is_what_celery_makes_of_it():
    found = raised_by(failed(TwoParts("a", "b")))
    assert isinstance(found, UnpickleableExceptionWrapper)
    assert (found.exc_cls_name, found.exc_args) == ("TwoParts", ("a",))


class KeywordOnly(Exception):
    def __init__(self, *, code: int) -> None:
        super().__init__(code)


def _local() -> Exception:
    class Local(OrderError):
        pass

    return Local("here", 2)


@pytest.mark.parametrize(
    "error",
    [
        TwoParts("a", "b"),
        KeywordOnly(code=5),
        _local(),
        type("Gone", (Exception,), {"__module__": "not.there"})("gone", 3),
        type("Gone", (KeyError,), {"__module__": "not.there"})("gone", 3),
        ExceptionGroup("many", [ValueError(1), KeyError("a")]),
        json.JSONDecodeError("bad", "{", 1),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"),
        FileNotFoundError(2, "no such file", "/a"),
        ValueError(b"ab", {1, 2}, int),
        AttributeError("no such", name="x", obj=3),
        StopIteration(3),
    ],
    ids=repr,
)
def test_one_that_celery_cannot_give_back_is_what_celery_makes_of_it(error):
    celery = BaseBackend(demo_task.app, serializer="json")
    stored = kombu_dumps(celery.prepare_exception(get_pickleable_exception(error)))
    wanted = celery.exception_to_python(kombu_loads(stored))
    found = raised_by(failed(error))
    assert (type(found), list(found.args), str(found)) == (type(wanted), list(_tuples(wanted.args)), str(wanted))


def _tuples(args: Any) -> Any:
    """A wrapper has the arguments of what it wraps as a list, once they were JSON."""
    return [tuple(one) if isinstance(one, list) else one for one in args]


@pytest.mark.parametrize("reason", ["revoked", "terminated"])
def test_a_worker_says_why_it_revoked(reason):
    run = runs.claim(demo_task.delay().id, identity())
    assert run is not None
    RunBackend(demo_task.app).mark_as_revoked(run.pk, reason)
    found = raised_by(run)
    assert (type(found), found.args) == (TaskRevokedError, (reason,))
    run.refresh_from_db()
    assert public_state(run)["error"] == {"type": "Cancelled", "message": "The task was cancelled."}


def test_a_class_that_is_not_there_keeps_its_name_and_arguments():
    run = failed(ValueError("x"))
    error = {**(run.error or {}), "raised": {"module": "nowhere.at_all", "name": "LostError", "args": ["x", 1]}}
    TaskRun.objects.filter(pk=run.pk).update(error=error)
    found = raised_by(run)
    assert (type(found).__name__, found.args) == ("LostError", ("x", 1))


def test_what_is_no_exception_is_never_called():
    run = failed(ValueError("x"))
    error = {**(run.error or {}), "raised": {"module": "os", "name": "system", "args": ["true"]}}
    TaskRun.objects.filter(pk=run.pk).update(error=error)
    assert type(raised_by(run)).__name__ == "SecurityError"


def test_an_argument_that_is_no_json_is_kept_as_python_shows_it():
    assert raised_by(failed(ValueError({1, 2}))).args == ("{1, 2}",)


def test_what_makes_an_exception_anew_has_a_bound():
    run = failed(ValueError("x" * 100_000))
    assert len(json.dumps(run.error)) < errors.MAX_RAISED


def test_viewers_get_type_and_message_alone():
    assert public_state(failed(ValueError("no", 42)))["error"] == {"type": "ValueError", "message": "('no', 42)"}


@pytest.mark.parametrize(
    ("error", "text"), [(runs.CANCELLED, "revoked"), ({"type": "Expired", "message": ""}, "expired")]
)
def test_a_revoked_run_raises_what_celery_raises(error, text):
    run = runs.claim(demo_task.delay().id, "w1")
    assert run is not None
    runs.end(run.pk, State.REVOKED, attempt=1, error=error)
    found = raised_by(run)
    assert (type(found), found.args) == (TaskRevokedError, (text,))


# --- starts -----------------------------------------------------------------------------------------------------------


def test_arguments_that_are_no_json_are_celerys_error_and_ours():
    for argument in (object(), float("inf"), {1, 2}, "half \ud800"):
        for error in (EncodeError, runs.NotAccepted):
            with pytest.raises(error):
                long_running_task.apply_async((argument,))


@pytest.mark.parametrize(
    ("options", "queue"),
    [
        ({}, "celery"),
        ({"exchange": "media", "routing_key": "media.cut"}, "video"),
        ({"exchange": Exchange("media"), "routing_key": "media"}, "video"),
        ({"exchange": "media", "routing_key": "other"}, "celery"),
        ({"exchange": "exact", "routing_key": "a.b"}, "one"),
        ({"exchange": "all", "routing_key": "whatever"}, "every"),
        ({"queue": "mine", "exchange": "media", "routing_key": "media.cut"}, "mine"),
        ({"queue": Queue("mine")}, "mine"),
        ({"queue": worker_direct("w1@here")}, "w1@here.dq2"),
    ],
)
def test_a_run_knows_the_queue_that_its_message_goes_to(options, queue, monkeypatch):
    queues = [
        *(Queue("celery"), Queue("video", Exchange("media", type="topic"), routing_key="media.#")),
        *(Queue("one", Exchange("exact"), routing_key="a.b"), Queue("every", Exchange("all", type="fanout"))),
    ]
    monkeypatch.setattr(demo_task.app.amqp, "queues", demo_task.app.amqp.Queues(queues))
    assert TaskRun.objects.get(pk=demo_task.apply_async(**options).id).queue == queue


def test_a_soft_limit_above_the_hard_one_is_refused_at_the_start(monkeypatch):
    monkeypatch.setattr(demo_task, "time_limit", 1)
    monkeypatch.setattr(demo_task, "soft_time_limit", 2)
    with pytest.raises(ValueError, match="soft_time_limit must be less than or equal to time_limit"):
        demo_task.delay()


def test_ignore_result_is_known_to_the_caller():
    assert demo_task.apply_async(ignore_result=True).ignored is True
    assert demo_task.delay().ignored is False


# --- ids that were given out ------------------------------------------------------------------------------------------


def test_a_frozen_signature_that_is_called_again_begins_again():
    signature = demo_task.s()
    task_id = signature.freeze().id
    assert signature.delay().id == task_id
    runs.claim(task_id, "w1")
    runs.end(task_id, State.SUCCESS, attempt=1, result=1)
    assert signature.delay().id == task_id
    run = TaskRun.objects.get(pk=task_id)
    assert (run.state, run.result, run.attempt) == (State.PENDING, None, 1)
    assert runs.claim(task_id, "w1") is not None


def test_an_id_that_was_revoked_stays_revoked():
    signature = demo_task.s()
    task_id = signature.freeze().id
    signature.delay()
    assert runs.cancel(task_id)
    signature.delay()
    assert TaskRun.objects.get(pk=task_id).state == State.REVOKED


def test_a_callers_own_id_is_the_same_run():
    demo_task.apply_async(task_id="mine")
    runs.claim("mine", "w1")
    runs.end("mine", State.SUCCESS, attempt=1, result=1)
    demo_task.apply_async(task_id="mine")
    assert TaskRun.objects.get(pk="mine").state == State.SUCCESS


def test_a_cancelled_link_is_not_begun_again_by_the_link_before_it():
    last = chain(demo_task.si(), demo_task.si(), demo_task.si())()
    second, first = last.parent, last.parent.parent
    assert runs.cancel(last.id)
    runs.claim(first.id, "w1")
    runs.end(first.id, State.SUCCESS, attempt=1, result=1)
    assert TaskRun.objects.get(pk=second.id).held is False
    assert TaskRun.objects.get(pk=last.id).state == State.REVOKED


def test_a_chord_that_was_never_sent_ends_with_what_came_before_it():
    last = chain(demo_task.si(), group(demo_task.si(), demo_task.si()), demo_task.si(), demo_task.si())()
    first = last
    while first.parent is not None:
        first = first.parent
    runs.claim(first.id, "w1")
    runs.end(first.id, State.FAILURE, attempt=1, error=errors.describe(ValueError("no")))
    assert set(TaskRun.objects.values_list("state", flat=True)) == {State.FAILURE}


def work_off() -> None:
    """Every run whose turn has come is claimed, and succeeds, until there is none."""
    while ready := list(TaskRun.objects.filter(held=False, state=State.PENDING).values_list("pk", flat=True)):
        for pk in ready:
            run = runs.claim(pk, "w1")
            assert run is not None
            runs.end(pk, State.SUCCESS, attempt=run.attempt, result=1)


REPLACEMENTS = {
    "a task": lambda: demo_task.si(),
    "a chain": lambda: chain(demo_task.si(), demo_task.si()),
    "a chord": lambda: group(demo_task.si(), demo_task.si()) | demo_task.si(),
    "a chain with a chord": lambda: group(demo_task.si(), demo_task.si()) | demo_task.si() | demo_task.si(),
    "a chord in a chain": lambda: demo_task.si() | group(demo_task.si(), demo_task.si()) | demo_task.si(),
    "two chords": lambda: (
        group(demo_task.si(), demo_task.si()) | demo_task.si() | group(demo_task.si(), demo_task.si()) | demo_task.si()
    ),
    "a generator's chord": lambda: chord((demo_task.si() for _ in range(2)), demo_task.si() | demo_task.si()),
}


@pytest.mark.parametrize("within", ["a chord", "a chain", "nothing"])
@pytest.mark.parametrize("kind", REPLACEMENTS)
def test_what_waits_for_a_task_waits_for_what_replaced_it(kind, within):
    first: Any = demo_task.si().set(task_id="first")
    last: Any = {
        "a chord": lambda: chord([first, demo_task.si()])(demo_task.si()),
        "a chain": lambda: chain(first, demo_task.si())(),
        "nothing": lambda: first.delay(),
    }[within]()
    run = runs.claim("first", "w1")
    assert run is not None
    signature: Any = REPLACEMENTS[kind]()
    signature.freeze("first")
    message = run.message["options"]
    signature.set(chord=message.get("chord"), group_id=message.get("group_id"), root_id="first")
    for link in reversed(message.get("chain") or ()):
        signature |= demo_task.app.signature(link)
    TrackedTask._replace(SimpleNamespace(id="first", attempt=1, replacement=signature))
    assert TaskRun.objects.get(pk="first").group_id == run.group_id
    work_off()
    assert set(TaskRun.objects.values_list("state", flat=True)) == {State.SUCCESS}
    assert TaskRun.objects.filter(pk=last.id).exists()


def pair() -> Any:
    return group(demo_task.si(), demo_task.si())


CANVASES = {
    "a task, two groups and a task": lambda: demo_task.si() | pair() | pair() | demo_task.si(),
    "three groups": lambda: pair() | pair() | pair(),
    "a chord of chords": lambda: chord([chord(pair(), demo_task.si()), demo_task.si()], demo_task.si()),
    "a chord whose body is a chord": lambda: chord(pair(), chord(pair(), demo_task.si())),
    "a chord of chains of chords": lambda: chord([pair() | demo_task.si() | demo_task.si()], demo_task.si()),
    "a chord of groups of chains": lambda: chord([group(demo_task.si() | demo_task.si(), pair())], demo_task.si()),
    "a group that follows a chord": lambda: pair() | demo_task.si() | pair(),
    "a chain in a chord in a chain": lambda: (
        demo_task.si() | chord([demo_task.si() | demo_task.si(), demo_task.si()], demo_task.si()) | demo_task.si()
    ),
}


@pytest.mark.parametrize("kind", CANVASES)
def test_every_part_of_a_canvas_has_its_turn(kind):
    CANVASES[kind]().delay()
    work_off()
    assert set(TaskRun.objects.values_list("state", flat=True)) == {State.SUCCESS}
    assert set(TaskGroup.objects.filter(body__isnull=False).values_list("done", flat=True)) <= {True}


# --- chords over generators -------------------------------------------------------------------------------------------


def test_a_chord_does_not_consume_its_generator_first():
    seen = []

    def parts():
        for number in range(3):
            seen.append(TaskRun.objects.filter(held=False).count())
            yield demo_task.si()
            assert number < 3

    result = chord(parts())(demo_task.si())
    waiting = TaskGroup.objects.get()
    assert (waiting.left, seen[-1]) == (3, 1)
    for pk in TaskRun.objects.filter(held=False).values_list("pk", flat=True):
        runs.claim(pk, "w1")
        runs.end(pk, State.SUCCESS, attempt=1, result=1)
    body = TaskRun.objects.get(pk=result.id)
    assert (body.held, body.state) == (False, State.PENDING)


def test_a_group_that_still_grows_is_not_complete():
    TaskGroup.objects.create(pk="g", members=[["g", None], []], body={"task": "x"}, left=barrier.UNKNOWN)
    assert barrier.arrive("g") is None
    barrier.settle("g", 2)
    assert TaskGroup.objects.get(pk="g").left == 1
    assert barrier.arrive("g") is not None


# --- results ----------------------------------------------------------------------------------------------------------


def test_a_forgotten_value_is_not_given_and_the_run_stays():
    run = runs.claim(demo_task.delay().id, "w1")
    assert run is not None
    runs.end(run.pk, State.SUCCESS, attempt=1, result=5)
    result: AsyncResult[Any] = AsyncResult(run.pk)
    assert result.get(timeout=1) == 5
    result.forget()
    assert AsyncResult(run.pk).state == "PENDING"
    assert TaskRun.objects.get(pk=run.pk).result == 5


def test_on_message_hears_of_the_end():
    run = runs.claim(demo_task.delay().id, "w1")
    assert run is not None
    runs.end(run.pk, State.SUCCESS, attempt=1, result=5)
    heard: list[Any] = []
    assert AsyncResult(run.pk).get(timeout=1, on_message=heard.append) == 5
    assert [meta["result"] for meta in heard] == [5]


def test_a_wait_without_redis_looks_and_ends_in_time(settings):
    result: AsyncResult[Any] = AsyncResult("nobody-knows-me")
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        result.get(timeout=0.3)
    assert 0.25 < time.monotonic() - began < 3


def test_the_meta_of_another_task_is_not_taken_for_an_attempts_own():
    run = runs.claim(demo_task.delay().id, "w1")
    other = runs.claim(demo_task.delay().id, "w1")
    assert run is not None
    assert other is not None

    mine = run.pk

    class Request:
        id = mine
        attempt = 9
        task = "tasks.tasks.demo_task"

    from django_starter.celery import app

    RunBackend(app).store_result(other.pk, 1, "SUCCESS", request=Request())
    assert TaskRun.objects.get(pk=run.pk).state == State.STARTED
