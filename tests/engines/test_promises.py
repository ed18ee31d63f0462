"""Each promise × each engine, with one kind of its workers: real processes that are killed, cancelled, not there."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator

import pytest

from tests.live import invariants
from tests.live.conftest import end
from tests.live.engines import (
    CELERY,
    DJANGO,
    ELSEWHERE,
    HUEY,
    HUEY_GREENLET,
    HUEY_THREAD,
    Engine,
    lines,
    wait_lines,
    wait_moving,
    wait_waiting,
    worker_of,
)
from tests.live.stack import Stack, Worker
from tests.waiting import wait_until

ENGINES = {
    "celery": CELERY,
    "huey-process": HUEY,
    "huey-thread": HUEY_THREAD,
    "huey-greenlet": HUEY_GREENLET,
    "django": DJANGO,
}


@pytest.fixture(scope="module", params=ENGINES)
def engine(request) -> Engine:
    return ENGINES[request.param]


@pytest.fixture(scope="module")
def stack(engine, make_stack) -> Iterator[Stack]:
    """Of one engine. No worker runs in it but those of its tests."""
    stack = make_stack(env={"DOWNLOADS_ENGINE": "huey"} if engine.name == "huey" else {}, breaks_broker=True)
    try:
        yield stack.start(workers=0)
        engine.start_worker(stack, "last")
        invariants.assert_hold(stack)
    finally:
        end(stack)


@pytest.fixture
def worker(engine, stack) -> Iterator[Callable[..., Worker]]:
    """`worker(name, concurrency)`: one of this test alone."""
    made: list[Worker] = []

    def start(name: str = "one", concurrency: int = 4) -> Worker:
        made.append(engine.start_worker(stack, name, concurrency))
        return made[-1]

    yield start
    for one in made:
        one.kill()


def cancel(stack: Stack, task_id: str) -> None:
    assert stack.post(f"/tasks/{task_id}/cancel/").status in (302, 303)


#: The results of runs, in the order in which they were begun.
STARTED_ORDER = """
from tasks.models import TaskRun
for run in TaskRun.objects.filter(pk__in={ids}).order_by("started_at"): print(run.result)
"""


def test_no_worker_says_the_command_and_the_more_urgent_goes_first(engine, stack, worker, tmp_path):
    trace = tmp_path / "trace"
    low, high = engine.priorities
    ids = [
        engine.begin_with(stack, {"priority": priority}, "echo", name, str(trace))
        for name, priority in (("low", low), ("high", high))
    ]
    for task_id in ids:
        assert engine.command in wait_waiting(stack, task_id, "no_worker")["hint"]
    cancelled = engine.begin(stack, "echo", "never")
    cancel(stack, cancelled)
    assert stack.wait_state(cancelled, "REVOKED", timeout=5)["attempt"] == 0
    worker("one", 1)
    for task_id, name in zip(ids, ("low", "high"), strict=True):
        assert stack.wait_state(task_id, "SUCCESS")["result"] == name
    order = [line for line in stack.shell(STARTED_ORDER.format(ids=ids)).split() if line]
    assert order == ["high", "low"]


def test_it_ends_as_it_went_and_is_started_again(engine, stack, worker, tmp_path):
    worker()
    fail, nap = engine.begin(stack, "fail", "no luck"), engine.begin(stack, "nap", 1.0)
    watching = stack.watch(nap)
    assert stack.wait_state(fail, "FAILURE")["error"] == {"type": "RuntimeError", "message": "no luck"}
    assert watching.wait_final()["result"] == "rested"
    assert [frame["current"] for frame in watching.of_type("update") if frame.get("current")], "nothing was told"
    late = stack.watch(nap)
    late.wait_final()
    assert (late.state, late.task["result"]) == ("SUCCESS", "rested"), "a late viewer sees the end"
    answer = stack.post(f"/tasks/{fail}/retry/")
    again = answer.headers["Location"].strip("/").rpartition("/")[2]
    assert again != fail
    assert stack.wait_state(again, "FAILURE")["error"]["message"] == "no luck"
    if engine.retries:
        flaky = engine.begin(stack, "thrice", str(tmp_path / "thrice"))
        assert stack.wait_state(flaky, "SUCCESS")["attempt"] == len(lines(tmp_path / "thrice")) == 3


def test_a_cancel_reaches_a_task_that_tells_its_progress_and_one_that_does_not(engine, stack, worker, tmp_path):
    worker()
    nap, deaf = engine.begin(stack, "nap", 60.0), engine.begin(stack, "deaf", 25.0, str(tmp_path / "deaf"))
    wait_lines(tmp_path / "deaf")
    wait_moving(stack, nap)
    cancel(stack, deaf)
    cancel(stack, nap)
    stack.wait_state(nap, "REVOKED", timeout=8)
    assert stack.task(deaf)["state"] == "STARTED", "it was ended by force at once"
    assert stack.task(deaf)["cancel_requested"] is True
    # Where there are no processes it ends when it does, and what was asked for is said until then.
    stack.wait_state(deaf, "REVOKED" if engine.has_processes else "SUCCESS", timeout=35)
    after = engine.begin(stack, "echo", 1)
    assert stack.wait_state(after, "SUCCESS")["result"] == 1


def test_a_process_that_dies_is_replaced_and_three_deaths_are_enough(engine, stack, worker, tmp_path):
    if not engine.has_processes:
        return  # the whole worker dies: the next test
    worker()
    once = engine.begin(stack, "die", str(tmp_path / "once"))
    always = engine.begin(stack, "die", str(tmp_path / "always"), 99)
    assert stack.wait_state(once, "SUCCESS", timeout=20)["attempt"] == 2
    ended = stack.wait_state(always, "FAILURE", timeout=40)
    assert (ended["error"]["type"], ended["attempt"]) == ("WorkerLost", 3)


def test_a_killed_worker_s_run_goes_on_elsewhere_at_its_checkpoint(engine, stack, worker, tmp_path):
    worker("one"), worker("two")
    trace = tmp_path / "trace"
    task_id = engine.begin(stack, "goes_on", str(trace), str(tmp_path / "never"))
    watching = stack.watch(task_id)
    worker_of(stack, int(wait_lines(trace, 2)[0].partition(":")[0])).kill()
    wait_lines(trace, 3, timeout=ELSEWHERE)
    done = stack.wait_state(task_id, "SUCCESS")
    assert (done["attempt"], done["result"]) == (2, "all")
    assert [line.partition(":")[2] for line in lines(trace)] == ["0", "1", "2", "3"], "nothing was done twice"
    assert watching.wait_final()["state"] == "SUCCESS"
    late = stack.watch(task_id)
    late.wait_final()
    assert (late.state, late.task["attempt"]) == ("SUCCESS", 2)


def test_a_worker_that_is_told_to_end_gives_back_what_it_has(engine, stack, worker, tmp_path):
    first = worker("one")
    gate, trace = tmp_path / "gate", tmp_path / "trace"
    held = engine.begin(stack, "hold", str(gate), str(trace))
    wait_lines(trace)
    first.signal(signal.SIGTERM)
    wait_until(lambda: not first.alive, 30, lambda: f"it ends:\n{first.log()}")
    gate.touch()
    worker("two")
    assert stack.wait_state(held, "SUCCESS", timeout=ELSEWHERE + 5)["result"] == "let go"
    lost = stack.shell(f"from tasks.models import TaskRun; print(TaskRun.objects.get(pk={held!r}).lost)")
    assert lost.strip() == "0", "an end in good order is no death"


def test_while_redis_is_gone_a_start_is_stored_and_done_when_it_is_back(engine, stack, worker, tmp_path):
    worker()
    gate, trace = tmp_path / "gate", tmp_path / "trace"
    running = engine.begin(stack, "hold", str(gate), str(trace))
    wait_lines(trace)
    stack.valkey.kill()
    stored = engine.begin(stack, "echo", "stored")
    wait_waiting(stack, stored, "broker_down")
    gate.touch()
    assert stack.wait_state(running, "SUCCESS")["attempt"] == 1
    stack.valkey.start()
    assert stack.wait_state(stored, "SUCCESS", timeout=40)["result"] == "stored"


def test_what_looks_at_all_of_it_sees_it(engine, stack, worker):
    """The strip, the metrics, and a person of the staff."""
    worker("one", 3)
    done = engine.begin(stack, "echo", 1)
    name = stack.wait_state(done, "SUCCESS")["name"]

    def shown() -> tuple[int, int]:
        workers = stack.get("/api/status/").json()["workers"]
        return workers["count"], workers["slots"]

    wait_until(lambda: shown() == (1, 3), 15, lambda: str(shown()))
    wait_until(lambda: f'"{name}"' in stack.get("/metrics").text, 15, lambda: stack.get("/metrics").text)
    make = "User.objects.create_user('sarah', password='a long password', is_staff=True)"
    stack.shell(f"from django.contrib.auth.models import User; {make}")
    sarah = stack.visitor("sarah")
    sarah.get("/login/")
    assert sarah.post("/login/", {"username": "sarah", "password": "a long password"}).status == 302
    assert done in sarah.get("/runs/").text
