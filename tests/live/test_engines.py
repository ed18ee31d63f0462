"""What is promised of a run holds on Huey and on Django's tasks as on Celery: one stack, and everything at once.

The whole table, by every kind of worker alone, is `./run_tests.sh engines`.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.waiting import wait_until

from . import invariants
from .conftest import end
from .engines import CELERY, DJANGO, ELSEWHERE, HUEY, lines, wait_lines, wait_moving, wait_waiting, worker_of
from .stack import Stack

ENGINES = (CELERY, HUEY, DJANGO)
#: What else tests Celery tests it more.
OTHERS = (HUEY, DJANGO)


@pytest.fixture(scope="module")
def stack(make_stack) -> Iterator[Stack]:
    """At first without a worker of either kind; then with one of each for all tests here, and others for some."""
    stack = make_stack(env={"DOWNLOADS_ENGINE": "huey"}, breaks_broker=True)
    try:
        yield stack.start(workers=0)
        invariants.assert_hold(stack)
    finally:
        end(stack)


def start_workers(stack: Stack, name: str) -> None:
    """One of Celery, which does Django's tasks as well, and one of Huey; they need not be ready yet."""
    for engine in (CELERY, HUEY):
        if f"{engine.name}-{name}" not in stack.workers:
            engine.start_worker(stack, name, 4, wait=False)


def test_without_a_worker_a_run_waits_and_says_which_command_starts_one(stack):
    ids = {engine: engine.begin(stack, "echo", engine.name) for engine in ENGINES}
    for engine, task_id in ids.items():
        assert engine.command in wait_waiting(stack, task_id, "no_worker")["hint"], engine
    with stack.valkey.client() as client:
        assert client.zcard("huey.redis.django_starter_huey") == 1, "Huey's does not wait in Redis"
    start_workers(stack, "first")
    for engine, task_id in ids.items():
        assert stack.wait_state(task_id, "SUCCESS")["result"] == engine.name
    wait_until(lambda: strip(stack) == (2, 8), 5, lambda: f"the strip shows the workers of both: {strip(stack)}")


def strip(stack) -> tuple[int, int]:
    workers = stack.get("/api/status/").json()["workers"]
    return workers["count"], workers["slots"]


def test_whatever_is_done_to_a_run_its_end_is_the_same_on_every_engine(stack, tmp_path):
    start_workers(stack, "first")
    ids = {}
    for engine in OTHERS:
        trace = {how: str(tmp_path / f"{engine.name}-{how}") for how in ("deaf", "die", "forever", "thrice")}
        ids[engine, "deaf"] = engine.begin(stack, "deaf", 90.0, trace["deaf"])
        ids[engine, "nap"] = engine.begin(stack, "nap", 60.0)
        ids[engine, "die"] = engine.begin(stack, "die", trace["die"])
        ids[engine, "fail"] = engine.begin(stack, "fail", "no luck")
        if engine.retries:
            ids[engine, "thrice"] = engine.begin(stack, "thrice", trace["thrice"])
    ids[DJANGO, "who"] = DJANGO.begin(stack, "who")
    ids[DJANGO, "coroutine"] = DJANGO.begin(stack, "coroutine", 2)
    start_workers(stack, "second")  # for the next test
    for engine in OTHERS:
        wait_lines(tmp_path / f"{engine.name}-deaf")
        stack.post(f"/tasks/{ids[engine, 'deaf']}/cancel/")
    for engine in OTHERS:
        wait_moving(stack, ids[engine, "nap"])
        stack.post(f"/tasks/{ids[engine, 'nap']}/cancel/")
    states = {"deaf": "REVOKED", "nap": "REVOKED", "fail": "FAILURE"}
    ended = {
        (engine, how): stack.wait_state(task_id, states.get(how, "SUCCESS"), timeout=40)
        for (engine, how), task_id in ids.items()
    }
    for engine in OTHERS:
        assert ended[engine, "fail"]["error"] == {"type": "RuntimeError", "message": "no luck"}
        attempts = {how: ended[engine, how]["attempt"] for how in ("deaf", "nap", "die", "fail")}
        assert attempts == {"deaf": 1, "nap": 1, "die": 2, "fail": 1}, engine
        assert stack.post(f"/tasks/{ids[engine, 'fail']}/retry/").status in (302, 303)
    assert ended[HUEY, "thrice"]["attempt"] == 3
    assert ended[DJANGO, "who"]["result"] == [1, ids[DJANGO, "who"]]
    assert ended[DJANGO, "coroutine"]["result"] == 2


def test_a_killed_worker_s_run_goes_on_elsewhere_at_its_checkpoint(stack, tmp_path):
    start_workers(stack, "first")
    start_workers(stack, "second")
    ids, watching = {}, {}
    traces = {engine: tmp_path / engine.name for engine in OTHERS}
    for engine, trace in traces.items():
        ids[engine] = engine.begin(stack, "goes_on", str(trace), str(tmp_path / "never"))
        watching[engine] = stack.watch(ids[engine])
    for worker in stack.workers.values():
        worker.wait_ready()
    for trace in traces.values():
        worker_of(stack, int(wait_lines(trace, 2)[0].partition(":")[0])).kill()
    for engine, trace in traces.items():
        # The promise is for a machine that has time.
        done = stack.wait_state(ids[engine], "SUCCESS", timeout=2 * ELSEWHERE)
        assert (done["attempt"], done["result"]) == (2, "all")
        assert [line.partition(":")[2] for line in lines(trace)] == ["0", "1", "2", "3"], "nothing was done twice"
        assert watching[engine].wait_final()["state"] == "SUCCESS"
        late = stack.watch(ids[engine])
        late.wait_final()
        assert (late.state, late.task["attempt"]) == ("SUCCESS", 2)


def test_while_redis_is_gone_a_start_is_stored_and_done_when_it_is_back(stack, tmp_path):
    start_workers(stack, "third")
    gate = tmp_path / "gate"
    traces = {engine: tmp_path / engine.name for engine in OTHERS}
    running = {engine: engine.begin(stack, "hold", str(gate), str(traces[engine])) for engine in OTHERS}
    for trace in traces.values():
        wait_lines(trace)
    stack.valkey.kill()
    stored = {engine: engine.begin(stack, "echo", "stored") for engine in OTHERS}
    for task_id in stored.values():
        wait_waiting(stack, task_id, "broker_down")
    gate.touch()
    for task_id in running.values():
        assert stack.wait_state(task_id, "SUCCESS")["result"] == "let go"
    stack.valkey.start()
    for engine in OTHERS:
        assert stack.wait_state(stored[engine], "SUCCESS", timeout=40)["result"] == "stored"
        assert stack.task(running[engine])["attempt"] == 1
