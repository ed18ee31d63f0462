"""What is promised of a run, with Huey's own workers: processes that are killed, cancelled, and not there at all."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.report_source import report_source
from tests.waiting import wait_until

from . import invariants
from .conftest import RUNNING, end
from .stack import Stack

HUEY = {"engine": "huey"}
#: Seconds within which the run of a worker that died goes on elsewhere.
ELSEWHERE = 10.0


@pytest.fixture(scope="module")
def stack(make_stack) -> Iterator[Stack]:
    """No worker runs in it, of either engine."""
    stack = make_stack(env={"DOWNLOADS_ENGINE": "huey"}, breaks_broker=True)
    assert stack in RUNNING
    try:
        yield stack.start(workers=0)
        stack.start_huey("last")
        invariants.assert_hold(stack)
    finally:
        end(stack)


@pytest.fixture
def huey(stack) -> Iterator[Any]:
    """`huey(name, kind=…)`: a worker of this test alone."""
    made = []

    def start(name: str = "h1", **options: Any) -> Any:
        made.append(stack.start_huey(name, **options))
        return made[-1]

    yield start
    for worker in made:
        worker.kill()


def begin(stack: Stack, name: str, *args: Any, **kwargs: Any) -> str:
    return stack.visitor().start_job(name, *args, options=HUEY, **kwargs)


def row(stack: Stack, task_id: str) -> list[str]:
    code = f"from tasks.models import *; r = TaskRun.objects.get(pk={task_id!r}); print(r.engine, r.queue, r.lost)"
    return stack.shell(code).split()


def lines(path) -> list[str]:
    return path.read_text().split() if path.exists() else []


def test_without_a_worker_it_waits_and_says_which_command_starts_one(stack, huey, tmp_path):
    task_id = begin(stack, "echo", "hello")
    waiting = wait_until(lambda: stack.task(task_id)["waiting"], 10)
    assert (waiting["reason"], "python manage.py run_huey" in waiting["hint"]) == ("no_worker", True)
    with stack.valkey.client() as client:
        assert client.zcard("huey.redis.django_starter_huey") == 1, "it does not wait in Redis"
    huey()
    assert stack.wait_state(task_id, "SUCCESS")["result"] == "hello"
    assert row(stack, task_id)[:2] == ["huey", "django_starter_huey"]
    workers = stack.get("/api/status/").json()["workers"]
    assert (workers["count"], workers["slots"]) == (1, 2), "the strip does not show Huey's worker"


@pytest.mark.parametrize("kind", ["process", "thread", "greenlet"])
def test_each_kind_of_worker_does_and_cancels_and_tries_again(stack, huey, tmp_path, kind):
    worker = huey(kind=kind)
    nap, fail = begin(stack, "nap", seconds=1.0), begin(stack, "fail", "no luck")
    flaky = begin(stack, "flaky", str(tmp_path / "flaky"))
    assert stack.wait_state(fail, "FAILURE")["error"] == {"type": "RuntimeError", "message": "no luck"}
    assert stack.wait_state(nap, "SUCCESS")["result"] == "rested"
    done = stack.wait_state(flaky, "SUCCESS")
    assert (done["attempt"], len(lines(tmp_path / "flaky"))) == (3, 3)
    long = begin(stack, "nap", seconds=60.0)
    wait_until(lambda: (stack.task(long)["current"] or 0) > 2, 20, lambda: f"it moves: {stack.task(long)}")
    assert stack.post(f"/tasks/{long}/cancel/").status in (200, 202, 302, 303)
    stack.wait_state(long, "REVOKED", timeout=10)
    held = begin(stack, "hold", str(tmp_path / "gate"), trace=str(tmp_path / "held"))
    stack.wait_state(held, "STARTED")
    worker.signal(signal.SIGTERM)
    state = stack.wait_state(held, "RETRY", timeout=15)
    wait_until(lambda: not worker.alive, 10, "the worker has ended")
    assert state["attempt"] == 1
    (tmp_path / "gate").touch()
    huey("h2")
    assert stack.wait_state(held, "SUCCESS")["attempt"] == 2
    assert row(stack, held)[2] == "0", "an end in good order is no death"


def test_a_killed_worker_s_run_goes_on_elsewhere_and_is_recorded_once(stack, huey, tmp_path):
    first = huey("h1")
    task_id = begin(stack, "hold", str(tmp_path / "gate"), trace=str(tmp_path / "trace"))
    wait_until(lambda: len(lines(tmp_path / "trace")) == 1, 20)
    watching = stack.watch(task_id)
    huey("h2")
    first.kill()
    killed = time.monotonic()
    wait_until(lambda: len(lines(tmp_path / "trace")) == 2, 30, lambda: f"again: {stack.task(task_id)}")
    assert time.monotonic() - killed < ELSEWHERE
    (tmp_path / "gate").touch()
    done = stack.wait_state(task_id, "SUCCESS")
    assert (done["attempt"], done["result"]) == (2, "let go")
    assert watching.wait_final()
    assert watching.state == "SUCCESS"
    late = stack.watch(task_id)
    late.wait_final()
    assert (late.state, late.task["attempt"]) == ("SUCCESS", 2), "a late viewer sees the end"


def test_a_killed_process_of_a_worker_is_replaced_and_its_run_goes_on(stack, huey, tmp_path):
    huey()
    task_id = begin(stack, "die", str(tmp_path / "trace"))
    assert stack.wait_state(task_id, "SUCCESS", timeout=ELSEWHERE + 5)["attempt"] == 2
    forever = begin(stack, "die", str(tmp_path / "forever"), times=99)
    ended = stack.wait_state(forever, "FAILURE", timeout=30)
    assert (ended["error"]["type"], ended["attempt"]) == ("WorkerLost", 3)


def test_a_deaf_task_is_ended_by_force(stack, huey, tmp_path):
    huey()
    task_id = begin(stack, "deaf", seconds=90.0, trace=str(tmp_path / "trace"))
    wait_until(lambda: lines(tmp_path / "trace"), 20)
    stack.post(f"/tasks/{task_id}/cancel/")
    assert stack.wait_state(task_id, "REVOKED", timeout=30)["attempt"] == 1
    after = begin(stack, "echo", 1)
    stack.wait_state(after, "SUCCESS")


def test_while_redis_is_gone_a_start_is_stored_and_done_when_it_is_back(stack, huey, tmp_path):
    huey()
    running = begin(stack, "hold", str(tmp_path / "gate"), trace=str(tmp_path / "trace"))
    wait_until(lambda: lines(tmp_path / "trace"), 20)
    stack.valkey.kill()
    task_id = begin(stack, "echo", "stored")
    wait_until(lambda: stack.task(task_id)["waiting"]["reason"] == "broker_down", 10, lambda: stack.task(task_id))
    (tmp_path / "gate").touch()
    stack.wait_state(running, "SUCCESS")
    stack.valkey.start()
    assert stack.wait_state(task_id, "SUCCESS", timeout=40)["result"] == "stored"
    assert stack.task(running)["attempt"] == 1


def test_a_download_goes_through_huey(stack, huey):
    with report_source() as source:
        stack.web.stop()
        stack.start_web(env={"DOWNLOAD_SOURCE_URL": source.url})
        asked = {"start_date": "2026-01-01", "end_date": "2026-01-05", "seller_id": "SELLER-1", "launcher": "alice"}
        home = stack.post("/downloads/", asked)
        assert (home.status, home.headers["Location"]) == (303, "/")
        again = stack.post("/downloads/", json=asked).json()["task_id"]
        first = stack.task(again)
        assert first["name"] == "tasks.tasks.download_reports"
        assert row(stack, again)[0] == "huey"
        stack.env["DOWNLOAD_SOURCE_URL"] = source.url
        huey()
        done = stack.wait_state(again, "SUCCESS", timeout=40)
        assert (done["result"]["days_done"], len(done["result"]["files"])) == (5, 2)
        assert stack.get(f"/tasks/{again}/").status == 200
