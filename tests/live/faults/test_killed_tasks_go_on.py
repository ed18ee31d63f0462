"""A task with checkpoints goes on where it was, whatever ends its worker; nothing that is done is lost."""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from contextlib import closing
from functools import partial
from typing import Any

from tests.waiting import wait_until

MAKE_TABLE = "from tests.live.testjobs.going_on import make_table; make_table()"
#: Greenlets want PostgreSQL.
POOLS = ["prefork", "threads", "solo", *(["gevent"] if os.environ.get("TEST_DATABASE_URL") else [])]


def done_by(table: Any, task_id: str) -> list[int]:
    """The items that the run has done, in the order in which it did them."""
    return [
        int(number) for (number,) in table.query("SELECT number FROM done_items WHERE run_id = ? ORDER BY id", task_id)
    ]


def worker_of(stack: Any, table: Any, task_id: str) -> Any:
    """The worker that runs it now."""

    def find() -> Any:
        run = table.run(task_id)
        here = [one for one in stack.workers.values() if one.alive and f":{one.pid}:" in run["worker"]]
        return here[0] if run["state"] == "STARTED" and here else None

    return wait_until(find, 30, lambda: f"it runs: {table.run(task_id)}")


def assert_never_backwards(watcher: Any) -> None:
    """No viewer saw the bar run backwards, with the same total."""
    frames = [one.get("task", one) for one in watcher.frames if one["type"] in ("update", "snapshot")]
    told = [one.get("percent") for one in frames]
    while told and told[0] is None:
        del told[0]
    assert None not in told
    assert told == sorted(told)


def test_what_is_done_stays_done_through_kills(new_stack, rows, fault):
    stack = new_stack().start(workers=2, concurrency=2)
    fault = fault("16", "kill -9 of all pool processes, then of a whole worker, while two tasks with checkpoints run")
    table = rows(stack)
    stack.shell(MAKE_TABLE)
    total = 2_000
    fenced = stack.start_job("fenced_inserts", total, 0.003)
    opened = stack.start_job("open_inserts", total, 0.003)
    watchers = [stack.watch(task_id) for task_id in (fenced, opened)]
    wait_until(lambda: len(done_by(table, fenced)) > total * 0.3 < len(done_by(table, opened)) * 2, 60)
    for worker in list(stack.workers.values()):
        for child in worker.children():
            child.send_signal(signal.SIGKILL)
    wait_until(lambda: len(done_by(table, fenced)) > total * 0.6, 60)
    victim = worker_of(stack, table, fenced)
    victim.kill_main()
    stack.start_worker(victim.name, wait=False)
    stack.wait_state(fenced, "SUCCESS", timeout=90)
    stack.wait_state(opened, "SUCCESS", timeout=60)
    numbers = done_by(table, opened)
    twice = len(numbers) - total
    fault.measured(f"in a fence each once; without, {twice} items twice", "each once; ≤ 1 s of work a death")
    assert done_by(table, fenced) == list(range(total))
    assert sorted(set(numbers)) == list(range(total))
    assert table.run(fenced)["lost"] == 2
    for watcher in watchers:
        watcher.wait_final()
        assert_never_backwards(watcher)
        assert any("Resumed at" in line for line in watcher.log_texts())


def test_a_deploy_costs_no_work(new_stack, rows, fault):
    """In each pool, at the same time: each has a queue and a worker of its own."""
    stack = new_stack().start(workers=1, concurrency=1)
    table = rows(stack)
    stack.shell(MAKE_TABLE)
    for pool in POOLS:
        stack.start_worker(pool, concurrency=2, pool=pool, queues=[pool], wait=False)
    total = 500
    started = {}

    def has_begun(task_id: str) -> bool:
        return len(done_by(table, task_id)) > total * 0.3

    def is_over(pool: str) -> bool:
        return not stack.workers[pool].alive

    def is_given_back(task_id: str) -> bool:
        return bool(table.run(task_id)["state"] == "RETRY")

    for pool in POOLS:
        stack.workers[pool].wait_ready()
        started[pool] = stack.start_job("open_inserts", total, 0.01, options={"queue": pool})
    for pool, task_id in started.items():
        wait_until(partial(has_begun, task_id), 60)
        deploy = fault(f"17 {pool}", f"SIGTERM to the worker ({pool}) of a task with checkpoints")
        stack.workers[pool].signal(signal.SIGTERM)
        wait_until(partial(is_given_back, task_id), 20, every=0.02)
        deploy.took(2, "nothing done twice, no attempt counted; given back after")
    for pool in POOLS:
        wait_until(partial(is_over, pool), 20, stack.workers[pool].log)
        stack.start_worker(pool, concurrency=2, pool=pool, queues=[pool], wait=False)
    for task_id in started.values():
        task = stack.wait_state(task_id, "SUCCESS", timeout=60)
        assert done_by(table, task_id) == list(range(total))
        assert table.run(task_id)["lost"] == 0
        assert task["attempt"] == 2


def test_an_attempt_that_was_overtaken_in_its_sleep_writes_no_checkpoint(new_stack, rows, fault):
    stack = new_stack().start(workers=2, concurrency=1)
    fault = fault("18", "SIGSTOP of the worker of a task with checkpoints, woken after its end")
    table = rows(stack)
    stack.shell(MAKE_TABLE)
    task_id = stack.start_job("fenced_inserts", 600, 0.01)
    wait_until(lambda: len(done_by(table, task_id)) > 100, 30)
    sleeper = worker_of(stack, table, task_id)
    pause_between_transactions(sleeper, table)
    stack.wait_state(task_id, "SUCCESS", timeout=60)
    ended = table.query("SELECT checkpoint_seq, attempt, state FROM tasks_taskrun WHERE id = ?", task_id)
    sleeper.resume()
    others = [stack.start_job("echo", number) for number in range(10)]
    table.wait_all("SUCCESS", 1 + len(others), 30)
    time.sleep(1)  # what it would still write, it writes within a second
    assert table.query("SELECT checkpoint_seq, attempt, state FROM tasks_taskrun WHERE id = ?", task_id) == ended
    assert done_by(table, task_id) == list(range(600))
    fault.measured("each once, in order", "the stale attempt writes nothing")


def pause_between_transactions(worker: Any, table: Any) -> None:
    """One that is stopped in the middle of one holds SQLite's lock, and nobody writes anything."""
    for _ in range(50):
        worker.pause()
        if os.environ.get("TEST_DATABASE_URL"):
            return
        try:
            with closing(sqlite3.connect(table.url, timeout=1)) as database:
                database.execute("BEGIN IMMEDIATE")
            return
        except sqlite3.OperationalError:
            worker.resume()
            time.sleep(0.05)
    raise AssertionError("it is always in a transaction")


def test_retries_and_parts_of_a_chord_go_on_too(new_stack, rows):
    stack = new_stack().start()
    table = rows(stack)
    stack.shell(MAKE_TABLE)
    task_id = stack.start_job("retries_itself", 6)
    assert stack.wait_state(task_id, "SUCCESS")["result"] == [4, 5]
    assert done_by(table, task_id) == list(range(6))
    code = (
        "from celery import chord; from tests.live.testjobs.tasks import echo; "
        "from tests.live.testjobs.going_on import retries_itself as part; "
        "print(chord([part.s(4), part.s(5)], echo.s()).delay().get(timeout=30))"
    )
    assert "[[2, 3], [4]]" in stack.shell(code)
