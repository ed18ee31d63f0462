"""What is promised of a run, of tasks of Django's own framework, with real Celery workers."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.waiting import wait_until

from . import invariants
from .conftest import end
from .stack import Stack

DJANGO = {"engine": "django"}
#: Seconds within which the run of a worker that died goes on elsewhere.
ELSEWHERE = 10.0
NAME = "tests.live.testjobs.django_jobs"
READ = (
    "from tests.live.testjobs import django_jobs as j; r = j.{name}.get_backend().get_result({pk!r}); "
    "print([str(r.status), r.attempts, len(set(r.worker_ids)), [e.exception_class_path for e in r.errors]])"
)


@pytest.fixture(scope="module")
def stack(make_stack) -> Iterator[Stack]:
    """No worker runs in it until a test starts one."""
    stack = make_stack(breaks_broker=True)
    try:
        yield stack.start(workers=0)
        stack.start_worker("last")
        invariants.assert_hold(stack)
    finally:
        end(stack)


@pytest.fixture
def worker(stack) -> Iterator[Any]:
    """`worker(name)`: of this test alone."""
    made = []

    def start(name: str = "w1") -> Any:
        made.append(stack.start_worker(name))
        return made[-1]

    yield start
    for one in made:
        one.kill()


def begin(stack: Stack, name: str, *args: Any, **using: Any) -> str:
    return stack.visitor().start_job(name, *args, options={**DJANGO, **using})


def result(stack: Stack, name: str, pk: str) -> str:
    return stack.shell(READ.format(name=name, pk=pk)).strip()


def test_without_a_worker_it_waits_and_all_of_it_is_done_when_one_starts(stack, worker):
    """One worker, so that the order is seen: the larger priority first."""
    low, high = begin(stack, "echo", 1, priority=-10), begin(stack, "coroutine", 2, priority=10)
    failed = begin(stack, "fail", "no luck")
    waiting = wait_until(lambda: stack.task(low)["waiting"], 10)
    assert (waiting["reason"], waiting["hint"].count("celery -A")) == ("no_worker", 1)
    worker()
    done = [stack.wait_state(one, "SUCCESS") for one in (high, low)]
    assert [one["result"] for one in done] == [2, 1]
    assert done[0]["name"] == f"{NAME}.coroutine"
    assert stack.wait_state(failed, "FAILURE")["error"] == {"type": "RuntimeError", "message": "no luck"}
    assert result(stack, "fail", failed) == "['FAILED', 1, 1, ['builtins.RuntimeError']]"
    long = begin(stack, "nap", 60.0)
    wait_until(lambda: (stack.task(long)["current"] or 0) > 2, 20, lambda: f"it moves: {stack.task(long)}")
    stack.post(f"/tasks/{long}/cancel/")
    stack.wait_state(long, "REVOKED", timeout=10)
    assert result(stack, "nap", long) == "['FAILED', 1, 1, ['tasks.django_tasks.TaskCancelled']]"
    assert stack.post(f"/tasks/{failed}/retry/").status in (302, 303)


def test_a_killed_worker_s_run_goes_on_elsewhere_and_says_so(stack, worker, tmp_path):
    first = worker("w1")
    task_id = begin(stack, "hold", str(tmp_path / "gate"), str(tmp_path / "trace"))
    wait_until((tmp_path / "trace").exists, 20)
    watching = stack.watch(task_id)
    worker("w2")
    first.kill()
    killed = time.monotonic()
    wait_until(lambda: len((tmp_path / "trace").read_text().split()) == 2, 30, lambda: stack.logs())
    assert time.monotonic() - killed < ELSEWHERE
    (tmp_path / "gate").touch()
    assert stack.wait_state(task_id, "SUCCESS")["result"] == [2, task_id]
    watching.wait_final()
    assert watching.state == "SUCCESS"
    late = stack.watch(task_id)
    late.wait_final()
    assert late.state == "SUCCESS"
    assert result(stack, "hold", task_id) == "['SUCCESSFUL', 2, 2, []]"


def test_a_deaf_task_is_ended_by_force(stack, worker, tmp_path):
    worker()
    task_id = begin(stack, "deaf", str(tmp_path / "trace"))
    wait_until((tmp_path / "trace").exists, 20)
    stack.post(f"/tasks/{task_id}/cancel/")
    stack.wait_state(task_id, "REVOKED", timeout=30)
    assert result(stack, "deaf", task_id) == "['FAILED', 1, 1, ['tasks.django_tasks.TaskCancelled']]"


def test_while_redis_is_gone_it_is_stored_and_done_when_it_is_back(stack, worker):
    worker()
    stack.broker.kill()
    task_id = begin(stack, "echo", "stored")
    wait_until(lambda: stack.task(task_id)["waiting"]["reason"] == "broker_down", 10, lambda: stack.task(task_id))
    stack.broker.start()
    assert stack.wait_state(task_id, "SUCCESS", timeout=40)["result"] == "stored"
