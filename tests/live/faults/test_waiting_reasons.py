"""Nobody is there to work: the viewer reads why."""

from __future__ import annotations

import signal

from tests.waiting import wait_until


def test_a_waiting_task_says_that_no_worker_runs_until_one_does(new_stack, fault):
    stack = new_stack().start(concurrency=1)
    fault = fault("9", "the last worker ends; later one is started")
    busy = stack.start_job("nap", seconds=60)
    stack.wait_state(busy, "STARTED")
    first = stack.watch(stack.start_job("echo", 1))
    second = stack.watch(stack.start_job("echo", 2))
    assert reason(first.wait_snapshot()) == "queued"
    assert second.wait_snapshot()["task"]["waiting"]["position"] == 2

    fault.begins()
    stack.workers["w1"].kill()
    for watcher in (first, second):
        watcher.wait_for(lambda frame: reason(frame) == "no_worker", 10)
    told = fault.seconds
    assert "celery -A django_starter worker" in first.task["waiting"]["hint"]

    fault.begins()
    worker = stack.start_worker("w1", concurrency=1, wait=False)
    wait_until(lambda: "ready" in worker.log(), 20, every=0.01)
    ready = fault.seconds
    wait_until(
        lambda: "no_worker" not in (reason(first.task), reason(second.task)),
        10,
        lambda: f"{first} {second}",
        every=0.01,
    )
    cleared = fault.seconds
    assert first.wait_final()["state"] == second.wait_final()["state"] == "SUCCESS"
    figure = f"said after {told:.1f} s; gone {cleared:.1f} s after the new process's start ({ready:.1f} s to be ready)"
    fault.measured(figure, "≤ 3 s each")
    assert told <= 3
    assert cleared - ready <= 3


def test_the_place_in_the_queue_moves_while_one_watches(new_stack):
    stack = new_stack().start(concurrency=1)
    gate = stack.folder / "gate"
    busy = stack.start_job("hold", str(gate))
    stack.wait_state(busy, "STARTED")
    before = [stack.start_job("nap", seconds=1.5) for _ in range(2)]
    last = stack.watch(stack.start_job("echo", 1))
    assert last.wait_snapshot()["task"]["waiting"]["position"] == 3
    gate.touch()
    for place in (2, 1):
        last.wait_for(
            lambda frame, place=place: (frame.get("task", frame).get("waiting") or {}).get("position") == place
        )
    assert last.wait_final()["state"] == "SUCCESS"
    assert all(stack.task(task_id)["state"] == "SUCCESS" for task_id in before)


def test_a_worker_that_ends_in_good_order_is_missed_at_once(new_stack):
    stack = new_stack().start(concurrency=1)
    stack.workers["w1"].signal(signal.SIGTERM)
    wait_until(lambda: not stack.workers["w1"].alive, 15)
    watcher = stack.watch(stack.start_job("echo", 1))
    assert reason(watcher.wait_for(lambda frame: reason(frame) is not None, 3)) == "no_worker"


def reason(frame):
    return (frame.get("task", frame).get("waiting") or {}).get("reason")
