"""Ends that are easily forgotten: a cancel that meets a retry or a restart, and results that no database holds."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any

import pytest
from celery import chain, chord, group
from celery.result import AsyncResult
from django.utils import timezone
from kombu.exceptions import EncodeError

from tasks import runs
from tasks.celery.results import RunBackend
from tasks.models import FINAL, State, TaskGroup, TaskRun
from tasks.runs.invariants import check
from tasks.runs.sweep import Sweep
from tasks.tasks import demo_task, long_running_task

pytestmark = pytest.mark.django_db


@pytest.fixture
def running() -> TaskRun:
    """A run that is STARTED by w1."""
    run = runs.claim(demo_task.delay().id, "w1")
    assert run is not None
    return run


def test_a_cancelled_task_that_asks_for_a_retry_ends_instead(running):
    assert runs.cancel(running.pk)
    assert not runs.postpone(running.pk, 1, timezone.now(), {})
    running.refresh_from_db()
    assert (running.state, running.error) == (State.REVOKED, runs.CANCELLED)
    assert running.finished_at is not None


def test_a_cancelled_task_whose_worker_ends_is_not_given_back_but_ends(running):
    assert runs.cancel(running.pk)
    assert runs.release("w1") == 0
    running.refresh_from_db()
    assert (running.state, running.error) == (State.REVOKED, runs.CANCELLED)


def test_a_retry_without_a_cancel_waits_for_its_time(running):
    at = timezone.now() + timedelta(seconds=3)
    assert runs.postpone(running.pk, 1, at, {})
    running.refresh_from_db()
    assert (running.state, running.next_retry_at) == (State.RETRY, at)


def test_a_waiting_retry_that_is_cancelled_ends_at_once(running):
    runs.postpone(running.pk, 1, timezone.now() + timedelta(hours=1), {})
    assert runs.cancel(running.pk)
    running.refresh_from_db()
    assert running.state == State.REVOKED
    assert runs.claim(running.pk, "w2") is None


class Request:
    """What Celery hands to the backend beside a result."""

    def __init__(self, attempt: int) -> None:
        self.attempt = attempt
        self.task = "tasks.tasks.demo_task"
        self.chord = None
        self.ignore_result = False
        self.id = None


def store(run: TaskRun, result: Any, state: str = "SUCCESS", attempt: int = 1) -> None:
    from django_starter.celery import app

    RunBackend(app).store_result(run.pk, result, state, request=Request(attempt))


@pytest.mark.parametrize(
    "result", [None, 0, False, "", "text …", "\\u0000", [1, 2], {"rows": 3, "of": None}, 1.5, 2**60]
)
def test_a_result_comes_back_as_it_was(running, result):
    store(running, result)
    assert AsyncResult(running.pk).get(timeout=1) == result
    assert AsyncResult(running.pk).status == "SUCCESS"


@pytest.mark.parametrize("result", [object(), {1, 2}.__iter__(), float("nan"), [float("inf")], "x" * (1024 * 1024 + 1)])
def test_a_result_that_no_database_holds_is_refused_with_a_sentence(running, result):
    with pytest.raises(EncodeError):
        store(running, result)
    running.refresh_from_db()
    assert running.state == State.STARTED  # Celery makes a FAILURE of it


def test_a_stale_attempt_stores_nothing(running):
    runs.lost(running.pk, "w1", send_again=False)
    again = runs.claim(running.pk, "w2")
    assert again is not None
    assert again.attempt == 2
    store(running, "of the first", attempt=1)
    running.refresh_from_db()
    assert (running.state, running.attempt, running.result) == (State.STARTED, 2, None)
    store(running, "of the second", attempt=2)
    assert AsyncResult(running.pk).get(timeout=1) == "of the second"


def test_an_end_is_recorded_once(running):
    store(running, "first")
    store(running, ValueError("second"), state="FAILURE")
    assert AsyncResult(running.pk).get(timeout=1) == "first"


@pytest.mark.parametrize("state", ["STARTED", "PROGRESS", "HALFWAY"])
def test_what_is_no_end_moves_no_row(running, state):
    store(running, {"current": 1, "total": 2}, state=state)
    running.refresh_from_db()
    assert running.state == State.STARTED
    assert running.finished_at is None


@pytest.mark.parametrize("text", ["caf\udce9.csv", "a\x00b", "…"])
def test_an_error_whose_text_no_database_holds_is_recorded_all_the_same(running, text):
    from django_starter.celery import app

    error, traceback = FileNotFoundError(text), f"Traceback: {text}"
    RunBackend(app).store_result(running.pk, error, "FAILURE", traceback, request=Request(1))
    running.refresh_from_db()
    assert running.state == State.FAILURE
    for kept in (running.error["message"], running.traceback):
        assert "\x00" not in kept
        assert kept.encode()


@pytest.mark.parametrize("argument", [float("nan"), float("inf"), "a\x00b"])
def test_arguments_that_no_database_holds_are_refused_before_anything_is_stored(argument):
    with pytest.raises(runs.NotAccepted):
        long_running_task.apply_async(kwargs={"steps": argument})
    assert not TaskRun.objects.exists()


def test_an_error_with_a_long_text_is_cut_and_its_traceback_is_not_public(running):
    store(running, ValueError("x" * 100_000), state="FAILURE")
    running.refresh_from_db()
    assert running.error["type"] == "ValueError"
    assert len(running.error["message"]) == runs.MAX_ERROR


@pytest.mark.parametrize("state", [State.REVOKED, State.FAILURE])
def test_a_chord_further_down_the_chain_ends_as_the_link_before_it(state):
    """It was never started, so nobody has remembered what waits for its header."""
    last = chain(demo_task.si(), chord([demo_task.si(), demo_task.si()], demo_task.si()), demo_task.si()).apply_async()
    (first,) = TaskRun.objects.filter(held=False)
    assert runs.end(first.pk, state, error={"type": "Told", "message": "so"}) is not None
    ended = TaskRun.objects.values_list("state", "error__type", "held", "unfollowed").order_by().distinct()
    assert TaskRun.objects.filter(pk=last.id).exists()
    assert TaskRun.objects.count() == 5
    assert list(ended) == [(state, "Told", False, False)]


def orphaned_by(sweep: Sweep) -> int:
    """How many runs end in two looks of a sweep, long after they were accepted."""
    TaskRun.objects.update(accepted_at=timezone.now() - timedelta(minutes=1))
    sweep._orphans()
    sweep._orphans()
    return TaskRun.objects.filter(error__type="Orphaned").count()


def test_a_chord_further_down_a_chain_waits_for_its_turn_however_long_that_takes():
    chain(demo_task.si(), chord([demo_task.si(), group(demo_task.si(), demo_task.si())], demo_task.si())).apply_async()
    sweep: Any = Sweep(None, None)  # type: ignore[arg-type]
    assert orphaned_by(sweep) == 0
    assert check() == []
    assert TaskRun.objects.filter(held=True).count() == 4


def test_two_that_wait_for_each_other_and_one_that_waits_for_nobody_end():
    ids = [demo_task.delay().id for _ in range(4)]
    for pk, after in zip(ids, (ids[1], ids[0], "gone", None), strict=True):
        TaskRun.objects.filter(pk=pk).update(held=True, after=after)
    assert orphaned_by(Sweep(None, None)) == 4  # type: ignore[arg-type]


def test_a_part_that_was_cancelled_before_its_chord_was_stored_is_not_waited_for():
    chain(demo_task.si(), chord([demo_task.si(), demo_task.si()], demo_task.si())).apply_async()
    first = TaskRun.objects.get(held=False)
    part = TaskRun.objects.filter(held=True, after=first.pk)[0]
    assert runs.cancel(part.pk)
    assert runs.end(first.pk, State.SUCCESS) is not None
    assert TaskGroup.objects.get().left == 1
    other = TaskRun.objects.get(held=False, state=State.PENDING)
    assert runs.end(other.pk, State.SUCCESS) is not None
    assert not TaskRun.objects.exclude(state__in=FINAL).exists()
    assert set(TaskRun.objects.values_list("name", flat=True)) == {demo_task.name}
    assert check() == []


def test_an_end_that_cannot_be_followed_is_tried_three_times_and_keeps_its_time():
    first = demo_task.delay().id
    held = demo_task.delay().id
    at = timezone.now() - timedelta(minutes=1)
    TaskRun.objects.filter(pk=held).update(held=True, after=first)
    TaskRun.objects.filter(pk=first).update(state="SUCCESS", finished_at=at, unfollowed=True, message=[1])
    sweep = Sweep(None, None)  # type: ignore[arg-type]
    for _ in range(2):
        sweep._unfollowed()
        assert TaskRun.objects.get(pk=held).state == State.PENDING
    sweep._unfollowed()
    assert TaskRun.objects.filter(pk=held, error__type="Unreadable").exists()
    run = TaskRun.objects.get(pk=first)
    assert (run.unfollowed, run.finished_at) == (False, at)


def canvas(dice: random.Random, depth: int) -> Any:
    """A chain, group or chord of others, or a task."""
    kind = dice.choice(("task", "task", "chain", "group", "chord")) if depth else "task"
    if kind == "task":
        return demo_task.si()
    parts = [canvas(dice, depth - 1) for _ in range(dice.randint(2, 4))]
    if kind == "chord":
        return chord(parts, demo_task.si())
    return chain(*parts) if kind == "chain" else group(*parts)


def assert_all_that_is_held_can_be_freed() -> None:
    """It waits for a run, for a stored group, or for a group whose parts are held: else it is an orphan."""
    held = TaskRun.objects.filter(held=True)
    known: set[str | None] = set(TaskRun.objects.values_list("pk", flat=True))
    known |= set(TaskGroup.objects.values_list("pk", flat=True)) | set(held.values_list("group_id", flat=True))
    assert set(held.values_list("after", flat=True)) <= known


@pytest.mark.slow
@pytest.mark.parametrize("luck", [1.0, 0.9])
@pytest.mark.parametrize("seed", range(20))
def test_a_random_canvas_whose_runs_end_in_a_random_order_ends(seed, luck):
    dice = random.Random(seed)
    canvas(dice, 3).apply_async()
    sweep = Sweep(None, None)  # type: ignore[arg-type]
    while ready := list(TaskRun.objects.filter(held=False, state=State.PENDING).order_by("pk")):
        assert_all_that_is_held_can_be_freed()
        assert orphaned_by(sweep) == 0
        run = dice.choice(ready)
        if dice.random() < luck:
            assert runs.end(run.pk, State.SUCCESS, result=1) is not None
        else:
            assert runs.end(run.pk, State.FAILURE, error={"type": "Told", "message": "so"}) is not None
    assert not TaskRun.objects.exclude(state__in=FINAL).exists()
    assert luck < 1 or not TaskRun.objects.exclude(state=State.SUCCESS).exists()
    assert not TaskGroup.objects.filter(done=False, body__isnull=False).exists()
    assert check() == []
