"""Django's own tasks, done by Celery's workers as runs: on Django 6 `django.tasks`, on Django 5.2 its backport."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from importlib import import_module
from typing import Any

import pytest
from celery import current_app
from django.db import transaction
from django.utils import timezone

from tasks import runs
from tasks.django_tasks import TaskCancelled, TaskExpired, TaskFailed, WorkerLost, api, results
from tasks.django_tasks.start import celery_priority
from tasks.models import State, TaskRun
from tasks.runs.engine import get_engine
from tasks.runs.repeating import again
from tasks.tasks import demo_task

from . import django_jobs as jobs
from .in_process import here as here

BACKEND = "tasks.django_tasks.CeleryBackend"
FAILED = "tasks.django_tasks.TaskFailed"


@pytest.fixture(autouse=True)
def backend(settings, transactional_db):
    import_module("tasks.django_tasks.carrier")  # as the app does where TASKS names the backend
    settings.TASKS = {"default": {"BACKEND": BACKEND, "QUEUES": ["default", "slow"]}}


@pytest.fixture
def told():
    """The signals that were sent: their names, with the result's status."""
    found: list[tuple[str, str]] = []
    kept = []
    for name in ("task_enqueued", "task_started", "task_finished"):

        def hear(task_result: Any, name: str = name, **_: Any) -> None:
            found.append((name, str(task_result.status)))

        getattr(api.signals, name).connect(hear)
        kept.append((name, hear))
    yield found
    for name, hear in kept:
        getattr(api.signals, name).disconnect(hear)


def row(result: Any) -> Any:
    return TaskRun.objects.get(pk=result.id)


# --- enqueue ----------------------------------------------------------------------------------------------------------


def test_what_is_enqueued_is_a_run_under_its_own_name(here):
    result = jobs.add.enqueue(1, b=2)
    run = row(result)
    assert (run.name, run.engine, run.state) == ("tests.integration.django_jobs.add", "celery", State.PENDING)
    assert (run.args, run.kwargs, run.queue) == ([1], {"b": 2}, "celery")
    assert (str(result.status), result.enqueued_at, result.attempts) == ("READY", run.accepted_at, 0)
    [(name, message)] = here.messages
    assert (name, message.headers["shadow"]) == ("tasks.django_tasks.call", run.name)


def test_it_is_stored_in_the_callers_transaction_and_sent_on_the_commit(here):
    with transaction.atomic():
        jobs.add.enqueue(1)
        assert here.messages == []
    assert len(here.messages) == 1
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        jobs.add.enqueue(1)
        raise ZeroDivisionError
    assert (len(here.messages), TaskRun.objects.count()) == (1, 1)


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda: jobs.add.enqueue(object()), TypeError),
        (lambda: jobs.add.enqueue(datetime(2026, 1, 1)), TypeError),
        (lambda: jobs.add.enqueue("x" * 300_000), runs.NotAccepted),
        (lambda: jobs.add.enqueue("\x00"), runs.NotAccepted),
        (lambda: jobs.add.using(queue_name="none"), api.InvalidTask),
        (lambda: jobs.add.using(priority=101), api.InvalidTask),
        (lambda: jobs.add.using(run_after=datetime(2026, 1, 1)), api.InvalidTask),
    ],
)
def test_what_cannot_be_stored_is_refused(here, call, error):
    with pytest.raises(error):
        call()
    assert not TaskRun.objects.exists()


def test_using_says_when_where_and_how_soon(here):
    later = timezone.now() + timedelta(hours=1)
    result = jobs.add.using(priority=10, queue_name="slow", run_after=later).enqueue(1)
    run = row(result)
    assert (run.queue, run.priority, run.eta, run.sent_at) == ("slow", 0, later, None)
    found = jobs.add.get_result(result.id)
    assert (found.task.priority, found.task.queue_name, found.task.run_after) == (10, "slow", later)


def test_priorities_are_four_steps_and_the_largest_goes_first(settings):
    assert [celery_priority(one) for one in (100, 1, 0, -1, -49, -50, -100)] == [0, 0, 3, 6, 6, 9, 9]
    high, middle = celery_priority(1), celery_priority(0)
    run = TaskRun(name="x", queue="celery", priority=high, accepted_at=timezone.now())
    run.save()
    before, _ = get_engine("celery").priorities(middle)
    assert TaskRun.objects.filter(before).exists()


# --- the attempt ------------------------------------------------------------------------------------------------------


def test_it_is_done_and_its_result_is_there_for_everybody(here):
    result = jobs.add.enqueue(1)
    here.work()
    found = jobs.add.get_result(result.id)
    assert (str(found.status), found.return_value, found.errors) == ("SUCCESSFUL", 2, [])
    assert (found.attempts, found.worker_ids) == (1, [row(result).worker])
    assert found.enqueued_at < found.started_at == found.last_attempted_at <= found.finished_at
    assert result.refresh() is None
    assert (result.return_value, result.is_finished) == (2, True)


@pytest.mark.parametrize("job", [jobs.fail, jobs.give_an_object])
def test_a_failure_names_its_class_and_its_traceback(here, job):
    result = job.enqueue()
    here.work()
    [error] = job.get_result(result.id).errors
    assert error.exception_class in (ValueError, TypeError)
    assert "Traceback" in error.traceback
    with pytest.raises(ValueError, match="failed"):
        _ = job.get_result(result.id).return_value


def test_a_task_that_takes_its_context_knows_attempt_and_id_and_tells_its_progress(here):
    result = jobs.tell.enqueue("word")
    here.work()
    found = jobs.tell.get_result(result.id)
    assert found.return_value == ["word", 1, result.id, "RUNNING", 1]
    assert row(result).progress["current"] == 2


def test_a_coroutine_is_done_as_well(here):
    result = jobs.wait.enqueue(3)
    here.work()
    assert jobs.wait.get_result(result.id).return_value == 3
    assert row(result).progress["current"] == 3


def test_each_attempt_has_its_worker(here):
    result = jobs.tell.enqueue("word")
    run = row(result)
    before = {"worker": "w0", "at": "2026-01-01T00:00:00+00:00"}
    TaskRun.objects.filter(pk=run.pk).update(attempts=[before])  # that one died
    here.work()
    found = jobs.tell.get_result(result.id)
    assert (found.attempts, found.worker_ids[0], found.return_value[1]) == (2, "w0", 2)
    assert found.started_at == datetime(2026, 1, 1, tzinfo=UTC) < found.last_attempted_at


def test_callers_inside_an_event_loop(here):
    from asgiref.sync import async_to_sync

    async def ask() -> Any:
        result = await jobs.add.aenqueue(4)
        await result.arefresh()
        return await jobs.add.aget_result(result.id)

    assert str(async_to_sync(ask)().status) == "READY"


# --- ends that no exception of the task is the reason of -------------------------------------------------------------


def cancelled(run: TaskRun) -> None:
    runs.cancel(run.pk)


def expired(run: TaskRun) -> None:
    TaskRun.objects.filter(pk=run.pk).update(expires=timezone.now() - timedelta(seconds=1))
    runs.expire(run.pk)


def lost(run: TaskRun) -> None:
    for _ in range(3):
        TaskRun.objects.filter(pk=run.pk).update(next_retry_at=None)
        runs.claim(run.pk, "w")
        runs.lost(run.pk, "w", send_again=False)


@pytest.mark.parametrize(("end", "error"), [(cancelled, TaskCancelled), (expired, TaskExpired), (lost, WorkerLost)])
def test_such_an_end_is_failed_with_a_class_of_ours_and_is_told_once(here, told, end, error):
    result = jobs.add.enqueue(1)
    end(row(result))
    found = jobs.add.get_result(result.id)
    assert (str(found.status), [one.exception_class for one in found.errors]) == ("FAILED", [error])
    here.work()
    assert told == [("task_enqueued", "READY"), ("task_finished", "FAILED")]


def test_a_cancel_reaches_the_task(here):
    result = jobs.cancel_itself.enqueue()
    here.work()
    assert jobs.cancel_itself.get_result(result.id).errors[0].exception_class is TaskCancelled


def test_signals_tell_begin_and_end_once_each(here, told):
    jobs.add.enqueue(1)
    here.work()
    jobs.fail.enqueue()
    here.work()
    begin = [("task_enqueued", "READY"), ("task_started", "RUNNING")]
    assert told == [*begin, ("task_finished", "SUCCESSFUL"), *begin, ("task_finished", "FAILED")]


@pytest.mark.parametrize(
    ("error", "path"),
    [
        (None, FAILED),
        ({"type": "Odd", "message": "", "raised": {"module": "no.where", "name": "Odd"}}, FAILED),
        ({"type": "X", "message": "", "raised": {"module": "m", "name": "f.<locals>.X"}}, FAILED),
        ({"type": "D", "message": "", "raised": {"module": "datetime", "name": "date"}}, FAILED),
        ({"type": "OSError", "message": "", "raised": {"module": None, "name": "OSError"}}, "builtins.OSError"),
        ({"type": "WorkerLost", "message": ""}, "tasks.django_tasks.WorkerLost"),
    ],
)
def test_the_class_of_an_error_can_always_be_imported(error, path):
    assert results.class_path(error) == path
    found = api.TaskError(exception_class_path=path, traceback="").exception_class
    assert issubclass(found, Exception)
    assert TaskFailed.__doc__


# --- whose result -----------------------------------------------------------------------------------------------------


def test_a_result_is_found_by_its_own_task_alone(here):
    result = jobs.add.enqueue(1)
    other = demo_task.delay()
    gone = jobs.add.enqueue(1)
    TaskRun.objects.filter(pk=gone.id).update(name="no.where")
    for unknown in ("none", other.id, gone.id):
        with pytest.raises(api.TaskResultDoesNotExist):
            jobs.add.get_result(unknown)
    with pytest.raises(Exception, match="does not match"):
        jobs.fail.get_result(result.id)


def test_it_is_started_again_as_it_was(here):
    result = jobs.fail.using(queue_name="slow", priority=-60).enqueue()
    here.work()
    new = again(row(result))
    assert (new.name, new.queue, new.priority, new.retry_of) == (row(result).name, "slow", 9, result.id)
    here.work()
    assert str(jobs.fail.get_result(new.pk).status) == "FAILED"


def test_a_task_whose_code_is_gone_fails_and_stops_nobody(here):
    gone, well = jobs.add.enqueue(1), jobs.add.enqueue(1)
    TaskRun.objects.filter(pk=gone.id).update(name="tests.integration.django_jobs.gone")
    here.messages.clear()
    for one in (gone, well):
        get_engine("celery").publish(row(one))
    here.work()
    assert (row(gone).state, row(gone).error["type"]) == (State.FAILURE, "ImportError")
    assert row(well).state == State.SUCCESS


def test_where_celery_is_eager_it_is_done_at_once():
    eager = current_app.conf.task_always_eager
    current_app.conf.task_always_eager = True
    try:
        assert jobs.add.enqueue(1).return_value == 2
    finally:
        current_app.conf.task_always_eager = eager
    assert not TaskRun.objects.exists()


# --- optional ---------------------------------------------------------------------------------------------------------

WITHOUT = """
import importlib.util, sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("huey", "django_tasks") or name.startswith("django.tasks"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
import django
django.setup()
from django.core.management import call_command
call_command("check")
import django_starter.asgi, django_starter.celery, tasks.tasks, tasks.celery.heart
if importlib.util.find_spec("tasks.downloads"):
    import tasks.downloads.tasks
found = [name for name in sys.modules if name.startswith(("tasks.huey", "tasks.django_tasks", "huey", "django_tasks"))]
print("found", found)
"""


@pytest.mark.slow
def test_without_huey_and_without_djangos_tasks_nothing_of_them_is_imported():
    env = {**os.environ, "DJANGO_SETTINGS_MODULE": "django_starter.settings"}
    done = subprocess.run([sys.executable, "-c", WITHOUT], env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "found []"
