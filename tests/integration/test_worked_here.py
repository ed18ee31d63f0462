"""Ways out of a task's own code, and shapes of canvas, worked on in this process: each body once, and all true."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from celery import chain, chord, group, shared_task
from celery.exceptions import (
    Ignore,
    Reject,
    Retry,
    TimeLimitExceeded,
    WorkerLostError,
    WorkerShutdown,
    WorkerTerminate,
)
from django.db import OperationalError

from tasks import runs
from tasks.celery.task import TrackedTask
from tasks.models import FINAL, State, TaskGroup, TaskRun
from tasks.resume import stopping
from tasks.runs.invariants import check

from .in_process import Here, here  # noqa: F401 - a fixture

#: What was called, in its order.
calls: list[Any] = []


@pytest.fixture(autouse=True)
def _nothing_called():
    calls.clear()


class Own(BaseException):
    pass


class Secretive(Exception):
    @property
    def args(self) -> Any:  # type: ignore[override]
        raise ValueError("no arguments")


class Speechless(BaseException):
    def __str__(self) -> str:
        raise ValueError("no text")


def deep() -> Any:
    value: Any = []
    for _ in range(100_000):
        value = [value]
    return value


def circle() -> Any:
    value: list[Any] = []
    value.append(value)
    return value


class OwnJSON:
    def __json__(self) -> Any:
        raise KeyError("no JSON")


def named(name: str, module: Any = "here") -> Exception:
    """An exception of a class whose names no database holds."""
    cls = type("Odd", (Exception,), {"__module__": module})
    cls.__qualname__ = name
    return cls("half \ud800", "a\x00b")


#: What is no Exception ends the attempt like the death of its process, in every pool.
DEATHS: dict[str, Callable[[], BaseException]] = {
    "SystemExit": SystemExit,
    "SystemExit, half a character": lambda: SystemExit("half \ud800 \x00"),
    "KeyboardInterrupt": KeyboardInterrupt,
    "GeneratorExit": GeneratorExit,
    "CancelledError": asyncio.CancelledError,
    "WorkerShutdown": WorkerShutdown,
    "WorkerTerminate": WorkerTerminate,
    "a group": lambda: BaseExceptionGroup("many", [Own()]),
    "own": Own,
    "without a text": Speechless,
}
ERRORS: dict[str, Callable[[], BaseException]] = {
    "ValueError": lambda: ValueError("no luck"),
    "MemoryError": MemoryError,
    "RecursionError": RecursionError,
    "Reject": lambda: Reject("no"),
    "Ignore": Ignore,
    "Retry that nobody asked for": Retry,
    "a time limit without a number": TimeLimitExceeded,
    "a time limit that is none": lambda: TimeLimitExceeded("x"),
    "arguments that cannot be asked for": Secretive,
    "a lost worker": lambda: WorkerLostError("x"),
    "a database that is away": lambda: OperationalError("gone"),
    "a group": lambda: ExceptionGroup("many", [ValueError("one")]),
    "half a character": lambda: ValueError("half \ud800", "a\x00b"),
    "names that are none": lambda: named("half \ud800 \x00"),
    "a module that is none": lambda: named("Odd", module=object()),
    "arguments that are none": lambda: ValueError(deep(), {1, 2}, OwnJSON()),
}
RESULTS: dict[str, Callable[[], Any]] = {
    "deep": deep,
    "its own JSON": OwnJSON,
    "half a character": lambda: {"half \ud800": 1},
    "NUL": lambda: ["a\x00"],
    "long number": lambda: 10**5_000,
    "not a number": lambda: float("nan"),
    "a set in a list": lambda: [{1}],
    "a circle": circle,
    "keys that are none": lambda: {(1, 2): 3},
    "a type that is none": lambda: {"__type__": "nobody's", "__value__": 1},
}


def _ends(kind: str, name: str) -> Any:
    calls.append("begun")
    if kind == "result":
        return RESULTS[name]()
    raise {"death": DEATHS, "error": ERRORS}[kind][name]()


def _good(*_: Any, role: str = "good") -> int:
    calls.append(role)
    return 1


def _total(values: Any) -> Any:
    calls.append("last")
    return values


def _fail(*_: Any) -> None:
    calls.append("fail")
    raise ValueError("no luck")


def _replaced(self: Any, how: str) -> Any:
    calls.append("replaced")
    return self.replace(REPLACEMENTS[how]())


ends: Any = shared_task(name="tests.here.ends")(_ends)
good: Any = shared_task(name="tests.here.good")(_good)
total: Any = shared_task(name="tests.here.total")(_total)
fail: Any = shared_task(name="tests.here.fail")(_fail)
replaced: Any = shared_task(name="tests.here.replaced", bind=True)(_replaced)

REPLACEMENTS: dict[str, Callable[[], Any]] = {
    "task": lambda: good.si(),
    "failure": lambda: fail.si(),
    "chain": lambda: chain(good.si(), good.si()),
    "group": lambda: group(good.si(), good.si()),
    "chord": lambda: chord([good.si(), good.si()], good.si()),
    "failing chord": lambda: chord([good.si(), fail.si()], good.si()),
    "replaced": lambda: replaced.si("task"),
}


def run_of(result: Any) -> TaskRun:
    return TaskRun.objects.get(pk=result.id)


# --- ways out ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", DEATHS)
def test_what_no_except_catches_is_counted_as_a_death_and_given_up(here: Here, name):  # noqa: F811
    result = ends.delay("death", name)
    here.work()
    run = run_of(result)
    assert (run.state, run.attempt, run.lost, calls) == (State.FAILURE, 3, 3, ["begun"] * 3)
    assert run.error is not None
    assert run.error["type"] == "WorkerLost"


@pytest.mark.parametrize("name", ERRORS)
def test_every_error_is_recorded_once(here: Here, name):  # noqa: F811
    result = ends.delay("error", name)
    here.work()
    run = run_of(result)
    assert (run.state, calls) == (State.REVOKED if name == "Ignore" else State.FAILURE, ["begun"])
    text = json.dumps(run.error, ensure_ascii=False)
    assert text.encode().decode() == text
    assert "\\u0000" not in text.replace("\\\\", "")


@pytest.mark.parametrize("name", RESULTS)
def test_every_result_that_cannot_be_stored_is_refused_with_a_sentence(here: Here, name):  # noqa: F811
    result = ends.delay("result", name)
    here.work()
    run = run_of(result)
    assert (run.state, calls) == (State.FAILURE, ["begun"])
    assert run.error is not None
    assert "The result must be JSON" in run.error["message"]


def test_a_pool_that_ends_its_processes_is_no_death_of_their_tasks(here: Here):  # noqa: F811
    """Its worker was told to end, and gives back what it has; nothing else is known of such a SystemExit."""
    result = ends.delay("death", "SystemExit")
    stopping.stop()
    try:
        here.work()
        assert (run_of(result).state, run_of(result).lost) == (State.STARTED, 0)
        assert runs.release(run_of(result).worker) == 1
    finally:
        stopping.go_on()
    assert (run_of(result).state, run_of(result).lost) == (State.RETRY, 0)


# --- a before_start of the task's own ---------------------------------------------------------------------------------

BEFORE: dict[str, tuple[Callable[[], BaseException], str, int]] = {
    "Ignore": (Ignore, State.REVOKED, 1),
    "Reject": (lambda: Reject("no"), State.FAILURE, 1),
    "ValueError": (ValueError, State.FAILURE, 1),
    "SystemExit": (SystemExit, State.FAILURE, 3),
    "own": (Own, State.FAILURE, 3),
}


class Before(TrackedTask):
    """Without `super().before_start()`, as many are written."""

    abstract = True

    def before_start(self, task_id: str, args: Any, kwargs: Any) -> None:
        calls.append("before")
        if args:
            raise BEFORE[args[0]][0]()


class BeforeAndSuper(Before):
    abstract = True

    def before_start(self, task_id: str, args: Any, kwargs: Any) -> None:
        TrackedTask.before_start(self, task_id, args, kwargs)
        super().before_start(task_id, args, kwargs)


def _body(*_: Any) -> str:
    calls.append("body")
    return "done"


prepared: dict[str, Any] = {
    "alone": shared_task(name="tests.here.before", base=Before)(_body),
    "with super": shared_task(name="tests.here.before_and_super", base=BeforeAndSuper)(_body),
}


@pytest.mark.parametrize("which", prepared)
def test_a_task_with_a_before_start_of_its_own_is_worked_on_once(here: Here, which):  # noqa: F811
    result = prepared[which].delay()
    here.messages *= 2
    here.work()
    run = run_of(result)
    assert (run.state, run.attempt, calls) == (State.SUCCESS, 1, ["before", "body"])


@pytest.mark.parametrize("which", prepared)
@pytest.mark.parametrize("name", BEFORE)
def test_however_a_before_start_is_left_the_run_has_that_end(here: Here, which, name):  # noqa: F811
    _, state, times = BEFORE[name]
    result = prepared[which].delay(name)
    here.work()
    assert (run_of(result).state, calls) == (state, ["before"] * times)


# --- error callbacks --------------------------------------------------------------------------------------------------


def _at_once(request: Any, exc: Any, traceback: Any, how: str = "") -> None:
    calls.append("at once")
    if how:
        raise {"ValueError": ValueError, "Ignore": Ignore, "SystemExit": SystemExit, "own": Own}[how]()


def _later(task_id: str, *, how: str = "") -> None:
    calls.append("later")
    if how:
        raise {"ValueError": ValueError, "Ignore": Ignore, "SystemExit": SystemExit, "own": Own}[how]()


at_once: Any = shared_task(name="tests.here.at_once")(_at_once)
later: Any = shared_task(name="tests.here.later", max_attempts=1)(_later)  # type: ignore[call-overload]


@pytest.mark.parametrize("kind", ["at once", "later"])
@pytest.mark.parametrize("how", ["ValueError", "Ignore", "SystemExit", "own"])
def test_an_error_callback_that_fails_itself_keeps_no_other_from_being_called(here: Here, kind, how):  # noqa: F811
    bad = {"at once": at_once, "later": later}[kind].s(how=how)
    errbacks = [bad, at_once.s(), later.s()]
    chain(good.si(), fail.si().set(link_error=errbacks), good.si()).apply_async()
    here.work()
    assert sorted(calls) == sorted(["good", "fail", "at once", "later", kind])
    assert not TaskRun.objects.exclude(state__in=FINAL).exists()


CALLBACKS: dict[str, Callable[[], Any]] = {
    "a task": lambda: good.si(role="last"),
    "a chain": lambda: chain(good.si(), good.si(role="last")),
    "a group": lambda: group(good.si(), good.si(role="last")),
    "a chord": lambda: chord([good.si()], good.si(role="last")),
    "a list": lambda: [good.si(), group(good.si(), good.si(role="last"))],
}


@pytest.mark.parametrize("name", CALLBACKS)
@pytest.mark.parametrize("kind", ["link", "link_error"])
def test_every_shape_may_be_a_callback(here: Here, kind, name):  # noqa: F811
    {"link": good, "link_error": fail}[kind].si().apply_async(**{kind: CALLBACKS[name]()})
    here.work()
    assert calls.count("last") == 1
    assert not TaskRun.objects.exclude(state__in=FINAL).exists()


# --- shapes -----------------------------------------------------------------------------------------------------------


def two() -> list[Any]:
    return [good.si(), good.si()]


def with_replaced_part(kind: str) -> Any:
    return chord([replaced.si(kind), good.si()], total.s())


#: Each ends in `last`. How often `good` is called.
SHAPES: dict[str, tuple[Callable[[], Any], int]] = {
    "chord in a chord": (lambda: chord([chord(two(), good.si()), good.si()], total.s()), 4),
    "three deep": (lambda: chord([chord([chord(two(), good.si()), good.si()], good.si())], total.s()), 5),
    "body is a chord": (lambda: chord(two(), chord(two(), total.s())), 4),
    "body is a chain": (lambda: chord(two(), chain(good.si(), total.s())), 3),
    "body is a group": (lambda: chord(two(), group(good.si(), total.s())), 3),
    "groups in a group": (lambda: group(group(two()), good.si()) | total.s(), 3),
    "group after a group": (lambda: group(two()) | group(good.si(), total.s()), 3),
    "chords in a chain": (lambda: chain(group(two()), good.si(), group(two()), total.s()), 5),
    "nothing in the header": (lambda: chord([], total.s()), 0),
    "nothing in a link": (lambda: chain(good.si(), group([]), total.si(1)), 1),
    "one in the header": (lambda: chord([good.si()], total.s()), 1),
    "chunks": (lambda: chord([good.chunks([(1,), (2,), (3,)], 2).group()], total.s()), 3),
    "map and starmap": (lambda: chord([good.map([1, 2]), good.starmap([(1,), (2,)])], total.s()), 4),
    "replaced body": (lambda: chain(chord(two(), replaced.si("chord")), total.s()), 5),
    "replaced link": (lambda: chain(good.si(), replaced.si("chord"), total.s()), 4),
}
for kind, count in (("task", 2), ("chain", 3), ("group", 3), ("chord", 4), ("replaced", 2)):
    SHAPES[f"part replaced by {kind}"] = (partial(with_replaced_part, kind), count)
#: Each fails before `last` is called.
BROKEN: dict[str, Callable[[], Any]] = {
    "part of a chord in a chord": lambda: chord([chord([fail.si(), good.si()], good.si()), good.si()], total.s()),
    "body of a chord in a chord": lambda: chord([chord(two(), fail.si()), good.si()], total.s()),
    "before a body that is a chord": lambda: chord([fail.si(), good.si()], chord(two(), total.s())),
    "group before a group": lambda: group(fail.si(), good.si()) | group(good.si(), total.si(1)),
    "part replaced by failure": lambda: chord([replaced.si("failure"), good.si()], total.s()),
    "part replaced by failing chord": lambda: chord([replaced.si("failing chord"), good.si()], total.s()),
    "link replaced by failing chord": lambda: chain(replaced.si("failing chord"), total.s()),
}


@pytest.mark.parametrize("name", SHAPES)
def test_every_shape_ends_well_and_each_part_is_called_once(here: Here, name):  # noqa: F811
    shape, count = SHAPES[name]
    shape().apply_async()
    here.work()
    assert (calls.count("good"), calls.count("last")) == (count, 1)
    assert set(TaskRun.objects.values_list("state", flat=True)) == {State.SUCCESS}
    assert not TaskGroup.objects.filter(done=False, body__isnull=False).exists()


@pytest.mark.parametrize("name", BROKEN)
def test_every_broken_shape_ends_and_nothing_follows_it(here: Here, name):  # noqa: F811
    BROKEN[name]().apply_async()
    here.work()
    assert "last" not in calls
    assert TaskRun.objects.filter(name="tests.here.total", state=State.FAILURE).count() == 1
    assert not TaskRun.objects.exclude(state__in=FINAL).exists()
    assert not TaskGroup.objects.filter(done=False, body__isnull=False).exists()


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("where", ["body", "first of the body", "part"])
def test_the_error_callbacks_of_a_broken_chord_are_called_once_each(here: Here, where, several):  # noqa: F811
    errbacks: Any = [later.s(), at_once.s()] if several else later.s()
    body, part = total.s(), fail.si()
    (part if where == "part" else body).set(link_error=errbacks)
    chord([part, good.si()], chain(body, good.si()) if where == "first of the body" else body).apply_async()
    here.work()
    assert sorted(calls) == sorted(["fail", "good", "later", *(["at once"] if several else [])])
    assert not TaskRun.objects.exclude(state__in=FINAL).exists()


def random_canvas(dice: random.Random, depth: int) -> Any:
    """A chain, group or chord of others, or a task that ends in one of many ways."""
    kind = dice.choice(("leaf", "chain", "group", "chord")) if depth else "leaf"
    if kind == "leaf":
        way = dice.choice(("good", "good", "good", "replaced", "replaced", "retry", "fail", "death", "ignore"))
        if way == "replaced":
            return replaced.si(dice.choice(list(REPLACEMENTS)))
        leaves = {"good": good.si(), "retry": retries.si(), "fail": fail.si().set(link_error=later.s())}
        leaves |= {"death": ends.si("death", "SystemExit"), "ignore": ends.si("error", "Ignore")}
        return leaves[way]
    parts = [random_canvas(dice, depth - 1) for _ in range(dice.randint(1, 3))]
    if kind == "chord":
        return chord(parts, random_canvas(dice, depth - 1))
    return chain(*parts) if kind == "chain" else group(*parts)


def _retries(self: Any) -> int:
    if not self.request.retries:
        raise self.retry(countdown=0)
    return 1


retries: Any = shared_task(name="tests.here.retries", bind=True)(_retries)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_a_random_canvas_whose_parts_end_in_random_ways_ends(here: Here, seed):  # noqa: F811
    dice = random.Random(seed)
    random_canvas(dice, 3).apply_async()
    here.work()
    assert not TaskRun.objects.exclude(state__in=FINAL).exists()
    assert not TaskGroup.objects.filter(done=False, body__isnull=False).exists()
    assert not TaskRun.objects.filter(unfollowed=True).exists()
    deaths = TaskRun.objects.filter(name="tests.here.ends", error__type="WorkerLost", attempt__gt=0)
    assert all(run.attempt == 3 for run in deaths)
    assert [one for one in check() if one.rule != "copies"] == []
