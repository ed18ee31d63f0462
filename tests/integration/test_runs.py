"""The life of a run: each move is made once, by who may make it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from celery.result import AsyncResult
from django.db import transaction
from django.utils import timezone

from tasks import runs
from tasks.celery.start import start_of
from tasks.models import State, TaskRun
from tasks.runs.engine import get_engine
from tasks.tasks import demo_task
from tasks.tasks import long_running_task as typed_task

long_running_task: Any = typed_task  # some of what it is given here is wrong on purpose

pytestmark = pytest.mark.django_db


def accepted(**options: Any) -> Any:
    return TaskRun.objects.get(pk=long_running_task.apply_async(kwargs={"steps": 1}, **options).id)


def test_a_start_is_a_row_and_its_message_follows_the_commit(django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks() as callbacks:
        run = accepted()
    assert (run.state, run.attempt, run.sent_at) == (State.PENDING, 0, run.accepted_at)
    assert len(callbacks) == 1


def test_a_rollback_leaves_nothing_and_sends_nothing(django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks() as callbacks, pytest.raises(ZeroDivisionError), transaction.atomic():
        demo_task.delay()
        raise ZeroDivisionError
    assert callbacks == []
    assert not TaskRun.objects.exists()


def test_a_broker_that_is_away_costs_nothing_but_the_sending(monkeypatch, django_capture_on_commit_callbacks):
    def refuse(run: TaskRun) -> None:
        raise ConnectionRefusedError

    monkeypatch.setattr(get_engine("celery"), "publish", refuse)  # another file's Valkey may listen by now
    monkeypatch.setattr("tasks.runs.sending._rests_until", {})
    with django_capture_on_commit_callbacks(execute=True):
        run = accepted()
    run.refresh_from_db()
    assert (run.state, run.sent_at) == (State.PENDING, None)


def test_a_run_is_claimed_once():
    run = accepted()
    claimed = runs.claim(run.pk, "w1")
    assert claimed is not None
    assert (claimed.state, claimed.attempt, claimed.worker) == (State.STARTED, 1, "w1")
    assert runs.claim(run.pk, "w2") is None


def test_the_end_is_written_once_and_by_the_attempt_that_holds_the_run():
    run = accepted()
    runs.claim(run.pk, "w1")
    assert runs.lost(run.pk, "w1", send_again=False) == State.RETRY
    runs.claim(run.pk, "w2")
    assert not runs.end(run.pk, State.SUCCESS, attempt=1, result="stale")
    assert runs.end(run.pk, State.SUCCESS, attempt=2, result="true")
    assert not runs.end(run.pk, State.FAILURE, attempt=2)
    run.refresh_from_db()
    assert (run.state, run.attempt, run.result) == (State.SUCCESS, 2, "true")


def test_a_run_whose_workers_die_fails_after_the_allowed_number():
    run = accepted()
    states = []
    for _ in range(run.max_attempts):
        assert runs.claim(run.pk, "w1")
        states.append(runs.lost(run.pk, "w1", send_again=False))
    run.refresh_from_db()
    assert states == [State.RETRY, State.RETRY, State.FAILURE]
    assert run.error["type"] == "WorkerLost"
    assert "3 times" in run.error["message"]
    assert runs.claim(run.pk, "w1") is None


def test_a_worker_that_is_not_the_one_cannot_lose_a_run():
    run = accepted()
    runs.claim(run.pk, "w1")
    assert runs.lost(run.pk, "w2", send_again=False) is None


def test_what_a_worker_gives_back_does_not_count_as_a_death():
    run = accepted()
    runs.claim(run.pk, "w1")
    assert runs.release("w1") == 1
    run.refresh_from_db()
    assert (run.state, run.lost) == (State.RETRY, 0)
    assert runs.claim(run.pk, "w2")


def test_a_task_that_must_not_run_twice_fails_with_its_first_death():
    run = accepted()
    TaskRun.objects.filter(pk=run.pk).update(max_attempts=1)
    runs.claim(run.pk, "w1")
    assert runs.lost(run.pk, "w1", send_again=False) == State.FAILURE
    run.refresh_from_db()
    assert "once" in run.error["message"]


def test_a_retry_is_not_claimed_before_its_time():
    run = accepted()
    runs.claim(run.pk, "w1")
    later = timezone.now() + timedelta(minutes=5)
    assert runs.postpone(run.pk, 1, later, {"message": {"args": [], "kwargs": {"steps": 2}, "options": {"retries": 1}}})
    assert runs.claim(run.pk, "w1") is None
    run.refresh_from_db()
    assert (run.state, run.next_retry_at, run.kwargs) == (State.RETRY, later, {"steps": 2})
    TaskRun.objects.filter(pk=run.pk).update(next_retry_at=timezone.now())
    assert runs.claim(run.pk, "w1")


def test_a_stale_attempt_may_not_ask_for_another():
    run = accepted()
    runs.claim(run.pk, "w1")
    runs.lost(run.pk, "w1", send_again=False)
    runs.claim(run.pk, "w2")
    assert not runs.postpone(run.pk, 1, timezone.now(), {})


def test_a_run_is_not_claimed_before_its_eta_nor_after_it_expired():
    early, late = accepted(countdown=60), accepted(expires=60)
    assert early.eta is not None
    assert runs.claim(early.pk, "w1") is None
    TaskRun.objects.filter(pk=late.pk).update(expires=timezone.now() - timedelta(seconds=1))
    assert runs.claim(late.pk, "w1") is None


def test_a_running_task_is_asked_to_stop_and_a_waiting_one_is_revoked():
    waiting, running = accepted(), accepted()
    runs.claim(running.pk, "w1")
    assert runs.cancel(waiting.pk)
    assert runs.cancel(running.pk)
    waiting.refresh_from_db()
    running.refresh_from_db()
    assert (waiting.state, running.state) == (State.REVOKED, State.STARTED)
    assert running.cancel_requested_at is not None
    assert runs.lost(running.pk, "w1", send_again=False) == State.REVOKED


def test_children_are_cancelled_with_their_parent():
    parent, child, grandchild = accepted(), accepted(), accepted()
    TaskRun.objects.filter(pk=child.pk).update(parent_id=parent.pk)
    TaskRun.objects.filter(pk=grandchild.pk).update(parent_id=child.pk)
    runs.cancel(parent.pk)
    assert set(TaskRun.objects.values_list("state", flat=True)) == {State.REVOKED}


def test_an_ended_run_cannot_be_cancelled():
    run = accepted()
    runs.claim(run.pk, "w1")
    runs.end(run.pk, State.SUCCESS, attempt=1)
    assert not runs.cancel(run.pk)


@pytest.mark.parametrize("task_id", ["", "a b", "x" * 65, "../x", "é"])
def test_an_id_that_cannot_travel_is_refused(task_id):
    with pytest.raises(runs.NotAccepted, match="task_id must be"):
        runs.accept(start_of(demo_task, (), {}, {}, task_id=task_id or " "))


def test_arguments_that_are_no_json_or_too_many_are_refused():
    with pytest.raises(runs.NotAccepted, match="must be JSON"):
        long_running_task.delay(steps=object())
    with pytest.raises(runs.NotAccepted, match="262,144 bytes"):
        long_running_task.delay(steps="x" * 300_000)
    with pytest.raises(TypeError):
        long_running_task.delay(nonsense=1)
    assert not TaskRun.objects.exists()


def test_the_same_task_id_is_one_run():
    first = long_running_task.apply_async(task_id="mine", kwargs={"steps": 1})
    again = long_running_task.apply_async(task_id="mine", kwargs={"steps": 2})
    assert first.id == again.id
    assert TaskRun.objects.get().kwargs == {"steps": 1}


def test_an_old_idempotency_key_is_free_again():
    first = accepted(idempotency_key="k")
    assert accepted(idempotency_key="k").pk == first.pk
    TaskRun.objects.filter(pk=first.pk).update(accepted_at=timezone.now() - timedelta(hours=25))
    assert accepted(idempotency_key="k").pk != first.pk


def test_celerys_result_is_the_row():
    run = accepted()
    result: Any = AsyncResult(run.pk)
    assert result.status == "PENDING"
    runs.claim(run.pk, "w1")
    assert result.status == "STARTED"
    runs.end(run.pk, State.SUCCESS, attempt=1, result={"a": 1})
    assert (result.status, result.get(timeout=1)) == ("SUCCESS", {"a": 1})


def test_a_failure_raises_what_the_task_raised():
    run = accepted()
    runs.claim(run.pk, "w1")
    runs.end(run.pk, State.FAILURE, attempt=1, error={"type": "OrderError", "message": "no such order"})
    with pytest.raises(Exception, match="no such order") as raised:
        AsyncResult(run.pk).get(timeout=1)
    assert type(raised.value).__name__ == "OrderError"


def test_an_id_that_was_never_accepted_is_pending_as_in_celery():
    result: AsyncResult[None] = AsyncResult("nobody-knows-me")
    assert (result.status, result.result, result.ready()) == ("PENDING", None, False)
