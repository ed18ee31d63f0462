"""Tasks in pools of threads and of greenlets: the same bars, ends and cancels as in processes."""

from __future__ import annotations

import pytest

from tests.waiting import wait_until


@pytest.fixture(scope="module", params=["threads", "gevent"])
def queue(request, stack):
    """The queue of a worker with such a pool, beside the worker that all tests share."""
    worker = stack.start_worker(request.param, concurrency=8, pool=request.param, queues=[request.param])
    yield request.param
    worker.stop()


def test_six_at_once_are_watched_to_their_ends(stack, queue):
    ids = [stack.start_job("recite", steps=20, delay=0.05, options={"queue": queue}) for _ in range(6)]
    watchers = [stack.watch(task_id) for task_id in ids]
    for watcher in watchers:
        task = watcher.wait_final()
        assert (task["state"], task["current"], task["total"], task["result"]) == ("SUCCESS", 20, 20, 4)
        assert watcher.log_texts() == [f"line {number}" for number in range(1, 5)]
    # Side by side, none on another's bar: each was seen on its way.
    assert all(len({frame.get("current") for frame in watcher.of_type("update")}) > 3 for watcher in watchers)


def test_a_failure_is_told(stack, queue):
    task_id = stack.start_job("fail", "no luck", options={"queue": queue})
    assert stack.wait_state(task_id, "FAILURE")["error"]["message"] == "no luck"


def test_a_cancel_ends_one_and_leaves_the_other(stack, queue, tmp_path):
    gate = tmp_path / "gate"
    one, other = (stack.start_job("recite_until", str(gate), steps=1, options={"queue": queue}) for _ in range(2))
    for task_id in (one, other):
        stack.watch(task_id).wait_for(lambda frame: frame.get("task", frame).get("state") == "STARTED")
    assert stack.post(f"/tasks/{one}/cancel/", headers={"Accept": "application/json"}).status == 202
    stack.wait_state(one, "REVOKED")
    gate.touch()
    stack.wait_state(other, "SUCCESS")


def test_where_one_of_many_is(stack, queue, tmp_path):
    """Its own thread or greenlet, not that of who answers, nor another task's."""
    gate = tmp_path / "gate"
    ids = {kind: stack.start_job("hangs", kind, str(gate), options={"queue": queue}) for kind in ("sleep", "lock")}
    for kind, task_id in ids.items():
        wait_told(stack, task_id)
        told = stack.manage("where", task_id)
        assert f"in hang_in_{'sleep' if kind == 'sleep' else 'a_lock'}" in told, told
    gate.touch()


def wait_told(stack, task_id):
    wait_until(lambda: stack.task(task_id)["message"] == "row 612", 20, "it hangs")
