"""The broker ends, loses its data, hangs or is full."""

from __future__ import annotations

import time
from typing import Any

from tests.waiting import wait_until

from ..at_once import at_once
from ..stack import Stack
from .many import start_many


def test_queued_tasks_survive_restarts_of_the_broker(new_stack, rows, fault):
    stack = new_stack(breaks_broker=True).start()
    fault = fault("6", "200 queued, broker ended with TERM, then with KILL, started again each time")
    table = rows(stack)
    task_ids, _ = start_many(stack, 200, "counted", at_once=4, seconds=0.05)
    slowest = 0.0
    for kill in (False, True):
        before = table.started()
        assert before < 150, "too few are left to prove anything"
        stack.broker.restart(kill=kill)
        fault.begins()
        # Those that the pool held already may still start; what counts is that the queue moves again.
        table.wait_started(before + 7, 20)
        slowest = max(slowest, fault.seconds)
    table.wait_all("SUCCESS", 200, 60)
    table.assert_ended_once(task_ids)
    fault.took(10, f"0 lost, {table.attempts() - 200} ran twice, consuming after", slowest)


def test_queued_tasks_survive_the_loss_of_the_brokers_data(new_stack, rows, fault):
    stack = new_stack(breaks_broker=True).start()
    fault = fault("7", "200 queued, broker's data deleted while it is down")
    table = rows(stack)
    task_ids, _ = start_many(stack, 200, "counted", at_once=4, seconds=0.05)
    assert table.count("SUCCESS") < 100
    stack.broker.restart(keep_data=False, kill=True)
    fault.begins()
    table.wait_all("SUCCESS", 200, 60)
    fault.measured(f"0 lost, {table.attempts() - 200} ran twice, all done after {fault.seconds:.1f} s", "0 lost")
    table.assert_ended_once(task_ids)


def test_queued_tasks_survive_a_flush_of_the_broker_that_nobody_noticed(new_stack, rows, fault):
    stack = new_stack(breaks_broker=True).start(workers=2, concurrency=1)
    fault = fault("7b", "FLUSHALL while two workers work: connections live on")
    table = rows(stack)
    running = stack.start_job("nap", seconds=8)
    stack.wait_state(running, "STARTED")
    task_ids, _ = start_many(stack, 100, "counted", at_once=4, seconds=0.1)
    stack.broker.flush()
    fault.begins()
    table.wait_all("SUCCESS", 101, 60)
    fault.measured(f"0 lost, all done after {fault.seconds:.1f} s", "0 lost, nobody is taken for dead")
    table.assert_ended_once([running, *task_ids])
    assert table.run(running)["attempt"] == 1, "a worker that lives was taken for dead"


#: Number in the table → what happens to the broker.
DAMAGES = {"8a": "broker refuses connections", "8b": "broker hangs (SIGSTOP)", "8c": "broker is out of memory"}


def test_a_start_is_answered_and_kept_while_the_broker_cannot_take_it(new_stack, rows, fault):
    env = {"STARTS_PER_MINUTE": "1000"}  # starts are counted in Redis
    stacks = {number: new_stack(env=env, breaks_broker=True) for number in DAMAGES}
    at_once(lambda number: starts_while(number, stacks[number], rows, fault), DAMAGES)


def starts_while(number: str, stack: Stack, rows: Any, fault: Any) -> None:
    stack.start()
    damaged = fault(number, f"{DAMAGES[number]} while tasks are started")
    table = rows(stack)
    first = stack.start_job("echo", 0)
    stack.wait_state(first, "SUCCESS")
    person = [stack.visitor(f"person {number}") for number in range(10)]
    for one in person:
        one.get("/")
    damage(stack, number)

    alone, slowest_alone = start_by_hand(stack, 5)
    rested = time.monotonic() + 2.1  # for 2 s after a failure nobody waits for the broker; these shall
    wait_until(lambda: time.monotonic() > rested)
    crowded, slowest_crowded = start_many(stack, 30, at_once=10)
    watcher = stack.watch(alone[0])
    watcher.wait_for(lambda frame: (frame.get("task", frame).get("waiting") or {}).get("reason") == "broker_down", 6)

    repair(stack, number)
    damaged.begins()
    table.wait_all("SUCCESS", 36, 40)
    later = damaged.seconds
    assert watcher.wait_final()["state"] == "SUCCESS"
    table.assert_ended_once([first, *alone, *crowded])
    slowest = max(slowest_alone, slowest_crowded)
    damaged.took(
        2, f"0 lost, all done {later:.1f} s after; answered (30 by ten at once {slowest_crowded:.2f} s) in", slowest
    )


def test_a_worker_comes_back_soon_after_a_long_outage(new_stack, rows, fault):
    stack = new_stack(breaks_broker=True).start()
    fault = fault("8d", "broker away for 12 s")
    table = rows(stack)
    running = stack.start_job("nap", seconds=10)
    stack.wait_state(running, "STARTED")
    stack.broker.kill()
    fault.begins()
    (task_id,), _ = start_many(stack, 1)
    wait_until(lambda: fault.seconds > 12, 30)  # the fault itself: nobody is there for 12 s
    stack.broker.start()
    fault.begins()
    wait_until(lambda: table.run(task_id)["state"] == "SUCCESS", 30, lambda: str(table.run(task_id)))
    fault.took(12, "stored task done, after its return,")
    table.assert_ended_once([running, task_id])
    assert table.run(running)["attempt"] == 1, "a task that ran on through the outage was started again"


def start_by_hand(stack, count):
    """Start Task, one click after the other: the ids, and the seconds that the slowest answer took."""
    ids, slowest = [], 0.0
    for _ in range(count):
        began = time.monotonic()
        ids.append(stack.start_task(steps=1, delay=0))
        slowest = max(slowest, time.monotonic() - began)
    return ids, slowest


def damage(stack, number):
    if number == "8a":
        stack.broker.kill()
    elif number == "8b":
        stack.broker.pause()
    else:
        stack.broker.fill()


def repair(stack, number):
    if number == "8a":
        stack.broker.start()
    elif number == "8b":
        stack.broker.resume()
    else:
        stack.broker.drain()
