"""Starts that come twice, and starts while another program holds the database."""

from __future__ import annotations

from functools import partial

from .many import at_once, start_many


def test_the_same_start_posted_twice_at_once_is_one_run(new_stack, rows, fault):
    stack = new_stack().start()
    fault = fault("13", "the same start posted twice at once with one key, 20 times")
    table = rows(stack)
    alice = stack.visitor()
    alice.start_task(steps=1, delay=0)  # she has a session now

    def post(key):
        return alice.post("/tasks/start/", json={"steps": 1, "delay": 0}, headers={"Idempotency-Key": key})

    ids = set()
    for number in range(20):
        one, two = at_once([partial(post, f"click-{number}")] * 2)
        assert (one.status, two.status) == (202, 202), (one.text, two.text)
        assert one.json()["task_id"] == two.json()["task_id"]
        ids.add(one.json()["task_id"])
    table.wait_all("SUCCESS", 21, 30)
    runs = table.count("SUCCESS", "PENDING", "STARTED", "RETRY", "FAILURE", "REVOKED") - 1
    fault.measured(f"{runs} runs, {table.attempts() - 1} attempts", "20 runs")
    assert runs == len(ids) == 20
    assert table.attempts() == 21
    table.assert_ended_once(ids)


def test_nothing_is_lost_while_another_process_locks_the_database(new_stack, rows, fault):
    stack = new_stack().start(workers=2)
    fault = fault("14", "database locked by another process for 5 s during starts")
    table = rows(stack)
    running = stack.start_job("nap", seconds=7)
    stack.wait_state(running, "STARTED")
    for number in range(5):
        stack.visitor(f"person {number}").get("/")
    before, _ = start_many(stack, 5)
    lock = table.lock(5)
    fault.begins()
    try:
        during, slowest = start_many(stack, 20, at_once=5)
        assert fault.seconds < 20
    finally:
        lock.wait(20)
        lock.stdout.close()
    table.wait_all("SUCCESS", 26, 30)
    table.assert_ended_once([running, *before, *during])
    assert table.run(running)["attempt"] == 1, "a worker that waited for the database was taken for dead"
    fault.measured(f"0 lost, no 500, slowest answer {slowest:.1f} s", "nothing lost, no 500")
