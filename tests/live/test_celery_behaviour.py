"""What Celery offers works over stored runs: canvas, retries, limits, cancel, times, and results everywhere."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.waiting import wait_until


def ended(stack, task_id, state="SUCCESS", timeout=30):
    task = stack.wait_state(task_id, "SUCCESS", "FAILURE", "REVOKED", timeout=timeout)
    assert task["state"] == state, task
    return task


def shown(frame):
    """The state in a frame: in a snapshot or an update."""
    return frame.get("task", frame)


def composed(stack, *args):
    """The id of the last result of what the job composed."""
    return ended(stack, stack.start_job("compose", *args))["result"]


@pytest.fixture(scope="module")
def far_off(stack):
    """A task whose time is 32 s off, started before all others here: too far for a message to wait in a worker."""
    eta = datetime.now(UTC) + timedelta(seconds=32)
    return stack.start_job("echo", "late", options={"eta": eta.isoformat()}), eta


@pytest.fixture(autouse=True)
def _begun(far_off):
    """The far-off task waits while the other tests run."""


# --- canvas -----------------------------------------------------------------------------------------------------------


def test_a_chain_hands_each_result_on(stack):
    assert ended(stack, composed(stack, "chain"))["result"] == 113


def test_a_chord_adds_up_its_parts(stack):
    assert ended(stack, composed(stack, "chord"))["result"] == 20


def test_a_parents_bar_is_that_of_its_children(stack, tmp_path):
    gate = tmp_path / "gate"
    watcher = stack.watch(stack.start_job("over_children", str(gate)))
    watcher.wait_for(lambda frame: (shown(frame).get("current"), shown(frame).get("total")) == (1, 3))
    assert (watcher.task["state"], watcher.task["unit"]) == ("STARTED", "tasks")
    gate.touch()
    task = watcher.wait_final()
    assert (task["state"], task["current"], task["result"]) == ("SUCCESS", 3, 3)


def test_the_body_of_a_chord_shows_while_it_waits_how_many_parts_have_ended(stack, tmp_path):
    gate = tmp_path / "gate"
    body = ended(stack, stack.start_job("waiting_chord", str(gate)))["result"]
    watcher = stack.watch(body)
    watcher.wait_for(lambda frame: (shown(frame).get("current"), shown(frame).get("total")) == (1, 2))
    assert watcher.task["state"] == "PENDING"
    gate.touch()
    assert watcher.wait_final()["result"] == 2


def test_a_chord_survives_the_death_of_a_part(stack, tmp_path):
    trace = tmp_path / "trace"
    assert ended(stack, composed(stack, "chord with a death", str(trace)))["result"] == 20
    assert len(trace.read_text().splitlines()) == 2


def test_a_broken_link_ends_the_rest_of_its_chain_and_calls_its_errback_once(stack, tmp_path):
    trace = tmp_path / "trace"
    task = ended(stack, composed(stack, "broken chain", str(trace)), "FAILURE")
    assert "refused" in task["error"]["message"]
    wait_until(trace.exists)


def test_a_chord_with_a_broken_part_fails_its_body(stack):
    task = ended(stack, composed(stack, "broken chord"), "FAILURE")
    assert "refused" in task["error"]["message"]


# --- retries ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["flaky", "auto_flaky"])
def test_celerys_own_retries_are_shown_with_their_time(stack, name):
    watcher = stack.watch(stack.start_job(name, times=1))
    waiting = watcher.wait_for(lambda frame: shown(frame).get("state") == "RETRY" and shown(frame)["error"])
    waiting = shown(waiting)
    assert waiting["waiting"]["reason"] == "retry"
    at = datetime.fromisoformat(waiting["waiting"]["next_retry_at"])
    assert timedelta(0) < at - datetime.now(UTC) < timedelta(seconds=3)
    assert waiting["error"] == {"type": "ConnectionError", "message": "the other side is away"}
    task = watcher.wait_final()
    assert (task["state"], task["attempt"], task["result"]) == ("SUCCESS", 2, 1)
    assert task["error"] is None


def test_a_task_that_asks_too_often_fails_with_its_own_error(stack):
    task = ended(stack, stack.start_job("auto_flaky", times=9), "FAILURE")
    assert task["attempt"] == 3
    assert task["error"]["type"] == "ConnectionError"


def test_a_waiting_retry_can_be_cancelled(stack):
    task_id = stack.start_job("flaky", times=1, countdown=20)
    stack.wait_state(task_id, "RETRY")
    assert cancel(stack, task_id) == 202
    assert stack.task(task_id)["state"] == "REVOKED"


# --- limits -----------------------------------------------------------------------------------------------------------


def test_a_soft_time_limit_is_named(stack):
    task = ended(stack, stack.start_job("softly_limited"), "FAILURE")
    assert "1 s" in task["error"]["message"]


def test_a_hard_time_limit_is_named_and_ends_the_task_once(stack):
    task = ended(stack, stack.start_job("hardly_limited"), "FAILURE")
    assert "1 s" in task["error"]["message"]
    assert task["attempt"] == 1


def test_a_result_that_is_too_large_or_no_json_fails_with_a_sentence(stack):
    task = ended(stack, stack.start_job("huge", 2_000_000), "FAILURE")
    assert "1,048,576 bytes" in task["error"]["message"]
    task = ended(stack, stack.start_job("unspeakable"), "FAILURE")
    assert "must be JSON" in task["error"]["message"]


def test_a_task_that_exits_is_a_worker_that_was_lost(stack):
    task = ended(stack, stack.start_job("leave"), "FAILURE", timeout=60)
    assert task["error"]["type"] == "WorkerLost"
    assert task["attempt"] == 3


# --- cancel -----------------------------------------------------------------------------------------------------------


def cancel(stack, task_id):
    return stack.post(f"/tasks/{task_id}/cancel/", headers={"Accept": "application/json"}).status


def test_a_running_task_ends_within_a_second_of_its_cancel(stack):
    task_id = stack.start_job("nap", seconds=30)
    stack.wait_state(task_id, "STARTED")
    assert cancel(stack, task_id) == 202
    began = time.monotonic()
    ended(stack, task_id, "REVOKED")
    assert time.monotonic() - began < 1.5  # within 1 s of the next progress call, which comes 0.05 s later


def test_a_task_that_does_not_listen_is_ended_by_force_and_its_worker_works_on(stack):
    task_id = stack.start_job("deaf", seconds=60)
    stack.wait_state(task_id, "STARTED")
    assert cancel(stack, task_id) == 202
    began = time.monotonic()
    assert ended(stack, task_id, "REVOKED")["attempt"] == 1
    assert 9 < time.monotonic() - began < 14
    assert ended(stack, stack.start_job("echo", 1))["result"] == 1


def test_children_are_cancelled_with_their_parent(stack):
    task_id = stack.start_job("parent")
    wait_until(lambda: len(children_of(stack, task_id)) == 2, 20)
    children = children_of(stack, task_id)
    assert cancel(stack, task_id) == 202
    for one in (task_id, *children):
        ended(stack, one, "REVOKED", timeout=10)


def children_of(stack, task_id):
    code = f"from tasks.models import TaskRun; print(*TaskRun.objects.filter(parent_id='{task_id}').values_list('pk'))"
    return [one.strip("(',)") for one in stack.shell(code).split()]


# --- times ------------------------------------------------------------------------------------------------------------


def test_a_countdown_is_kept(stack):
    task_id = stack.start_job("echo", 1, options={"countdown": 2})
    task = stack.task(task_id)
    assert (task["state"], task["waiting"]["reason"]) == ("PENDING", "queued")
    assert "Starts at" in task["waiting"]["hint"]
    due = datetime.fromisoformat(task["waiting"]["next_retry_at"]) - datetime.fromisoformat(task["accepted_at"])
    assert timedelta(seconds=1.9) < due < timedelta(seconds=2.1)
    task = ended(stack, task_id)
    waited = datetime.fromisoformat(task["started_at"]) - datetime.fromisoformat(task["accepted_at"])
    assert timedelta(seconds=1.9) < waited < timedelta(seconds=5)


def test_what_expires_unstarted_is_revoked(stack):
    task_id = stack.start_job("echo", 1, options={"expires": 1, "queue": "nobody"})
    task = ended(stack, task_id, "REVOKED")
    assert task["error"]["type"] == "Expired"


# --- the edges --------------------------------------------------------------------------------------------------------


def test_a_task_without_a_result_ends_all_the_same(stack):
    task = ended(stack, stack.start_job("silent"))
    assert task["result"] is None


def test_an_untracked_task_runs_without_a_run(stack, tmp_path):
    trace = tmp_path / "trace"
    task_id = stack.start_job("untracked", str(trace))
    wait_until(trace.exists)
    assert stack.get(f"/api/tasks/{task_id}/").status == 404


def test_code_written_for_celery_alone_moves_the_bar(stack):
    watcher = stack.watch(stack.start_job("old_style"))
    watcher.wait_for(lambda frame: frame["type"] == "update" and frame["current"] == 3 and frame["total"] == 5)
    assert watcher.wait_final()["state"] == "SUCCESS"


def test_results_are_read_in_a_shell(stack):
    code = (
        "from tests.live.testjobs.behave import add\n"
        "result = add.delay(1, 2)\n"
        "print(result.get(timeout=20), result.status)\n"
        "from celery import group\n"
        "print(group(add.s(n, n) for n in range(3))().get(timeout=20))\n"
        "from celery.result import AsyncResult\n"
        "print(AsyncResult('never-accepted').status)"
    )
    lines = stack.shell(code).splitlines()
    assert lines == ["3 SUCCESS", "[0, 2, 4]", "PENDING"]


def test_a_message_that_was_sent_past_the_project_becomes_a_run(stack):
    code = (
        "from django_starter.celery import app; print(app.send_task('testjobs.add', (20, 22), task_id='foreign-1').id)"
    )
    assert stack.shell(code).split() == ["foreign-1"]
    found = "TaskRun.objects.filter(pk='foreign-1').values_list('state', 'result')"
    code = f"from tasks.models import TaskRun; print(*{found})"
    wait_until(lambda: "('SUCCESS', 42)" in stack.shell(code), 20)


def test_a_start_in_a_transaction_that_fails_leaves_nothing(stack, tmp_path: Path):
    trace = tmp_path / "trace"
    code = (
        "from django.db import transaction\n"
        "from tests.live.testjobs.tasks import echo\n"
        "try:\n"
        "    with transaction.atomic():\n"
        f"        print(echo.delay(1, trace={str(trace)!r}).id)\n"
        "        raise KeyError\n"
        "except KeyError: pass"
    )
    task_id = stack.shell(code).strip()
    assert stack.get(f"/api/tasks/{task_id}/").status == 404
    ended(stack, stack.start_job("echo", 1))  # what was sent before this would have run by now
    assert not trace.exists()


def test_a_time_far_off_is_kept(stack, far_off):
    task_id, eta = far_off
    task = ended(stack, task_id, timeout=60)
    late = datetime.fromisoformat(task["started_at"]) - eta
    assert timedelta(seconds=-2.5) < late < timedelta(seconds=5)
