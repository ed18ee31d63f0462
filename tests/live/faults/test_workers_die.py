"""Workers are killed, frozen and told to end in the middle of their work."""

from __future__ import annotations

import signal
import time

from tests.waiting import wait_until

from .rows import wait_gone


def test_a_killed_pool_process_is_followed_by_a_second_attempt(new_stack, rows, fault):
    stack = new_stack().start(concurrency=1)
    fault = fault("1", "kill -9 of a pool process in mid-task")
    table = rows(stack)
    task_id = stack.start_job("nap", seconds=2)
    watcher = stack.watch(task_id)
    watcher.wait_for(lambda frame: frame["type"] == "update" and (frame["current"] or 0) > 3)
    (victim,) = stack.workers["w1"].children()

    fault.begins()
    victim.send_signal(signal.SIGKILL)
    watcher.wait_for(lambda frame: frame.get("attempt") == 2 and frame.get("state") == "STARTED", 20)
    fault.took(8, "second attempt seen after")

    assert watcher.wait_final()["state"] == "SUCCESS"
    table.assert_ended_once([task_id])


def test_the_tasks_of_a_killed_worker_go_to_another_one(new_stack, rows, fault):
    stack = new_stack().start(workers=2, concurrency=1)
    fault = fault("2", "kill -9 of a worker's parent process, another worker alive")
    table = rows(stack)
    task_id = stack.start_job("nap", seconds=2)
    watcher = stack.watch(task_id)
    watcher.wait_for(lambda frame: frame["type"] == "update" and (frame["current"] or 0) > 3)
    victim = next(worker for worker in stack.workers.values() if f":{worker.pid}:" in table.run(task_id)["worker"])

    fault.begins()
    victim.kill_main()
    watcher.wait_for(lambda frame: frame.get("attempt") == 2 and frame.get("state") == "STARTED", 20)
    fault.took(10, "second attempt seen after")

    assert watcher.wait_final()["state"] == "SUCCESS"
    table.assert_ended_once([task_id])


def test_the_only_worker_is_killed_and_started_again_later(new_stack, rows, fault):
    stack = new_stack().start()
    fault = fault("3", "kill -9 of the only worker, another one started 5 s later")
    table = rows(stack)
    task_id = stack.start_job("nap", seconds=2)
    watcher = stack.watch(task_id)
    watcher.wait_for(lambda frame: frame["type"] == "update" and (frame["current"] or 0) > 3)

    killed = time.monotonic()
    stack.workers["w1"].kill()
    wait_until(lambda: time.monotonic() - killed > 5, 10)  # the fault itself: nobody is there for 5 s
    fault.begins()
    stack.start_worker("w1", wait=False)
    watcher.wait_for(lambda frame: frame.get("attempt") == 2 and frame.get("state") == "STARTED", 30)
    fault.took(12, "runs again, after the start,")

    assert watcher.wait_final()["state"] == "SUCCESS"
    table.assert_ended_once([task_id])


def test_a_worker_that_wakes_up_late_writes_nothing(new_stack, rows, fault):
    stack = new_stack().start(workers=2, concurrency=1)
    fault = fault("4", "SIGSTOP of a worker for 15 s in mid-task, then SIGCONT")
    table = rows(stack)
    task_id = stack.start_job("counted", seconds=3)
    watcher = stack.watch(task_id)
    watcher.wait_for(lambda frame: frame["type"] == "update" and (frame["current"] or 0) > 3)
    sleeper = next(worker for worker in stack.workers.values() if f":{worker.pid}:" in table.run(task_id)["worker"])

    fault.begins()
    sleeper.pause()
    assert watcher.wait_final(30)["attempt"] == 2
    ended = table.run(task_id)
    wait_until(lambda: fault.seconds > 15, 20)  # the fault itself: asleep for 15 s
    sleeper.resume()

    # It is awake and serves again when it runs something else; then its old task is behind it.
    others = [stack.start_job("echo", number) for number in range(20)]
    table.wait_all("SUCCESS", 21, 30)
    wait_until(lambda: "Refused a late write" in sleeper.log(), 15, sleeper.log)
    assert table.run(task_id) == ended
    table.assert_ended_once([task_id, *others])
    table.assert_effects_once([task_id])
    fault.measured("one recorded result, one effect", "the stale attempt writes nothing")


def test_a_task_that_always_kills_its_process_is_given_up(new_stack, rows, fault):
    stack = new_stack().start()
    fault = fault("5", "a task that kills its own process every time")
    table = rows(stack)
    fault.begins()
    task_id = stack.start_job("suicide")
    task = stack.wait_state(task_id, "SUCCESS", "FAILURE", timeout=60)
    fault.measured(f"FAILURE WorkerLost after {task['attempt']} attempts, {fault.seconds:.1f} s", "3 attempts")
    assert task["state"] == "FAILURE"
    assert task["error"]["type"] == "WorkerLost"
    assert task["attempt"] == task["max_attempts"] == 3
    # The worker is as good as before.
    assert stack.wait_state(stack.start_job("echo", 1), "SUCCESS", timeout=15)["result"] == 1
    table.assert_ended_once([task_id], "FAILURE")


def test_everything_ends_in_time_and_the_task_runs_again_at_the_next_start(new_stack, rows, fault):
    stack = new_stack(breaks_broker=True).start()
    fault = fault("10", "SIGTERM to everything while a task of 60 s runs")
    table = rows(stack)
    task_id = stack.start_job("nap", seconds=60)
    stack.wait_state(task_id, "STARTED")
    everybody = [stack.web, stack.workers["w1"], *stack.servers()]
    children = [child for process in everybody for child in process.children()]

    fault.begins()
    for process in everybody:
        process.signal(signal.SIGTERM)
    wait_until(
        lambda: not any(process.alive for process in everybody), 30, lambda: f"all ended: {everybody}", every=0.05
    )
    wait_gone(children, 10)
    gone = fault.seconds

    for server in stack.servers():
        server.start()
    stack.start_web(wait=False)
    again = time.monotonic()
    stack.start_worker("w1", wait=False)
    stack.web.wait_ready()
    wait_until(
        lambda: (lambda run: run["attempt"] == 2 and run["state"] == "STARTED")(table.run(task_id)),
        30,
        lambda: str(table.run(task_id)),
    )
    ran_again = time.monotonic() - again
    fault.took(15, f"runs again {ran_again:.1f} s after the next start; all gone after", gone)
