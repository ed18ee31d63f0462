"""Redis' clock is set back or forth by an hour: a dead worker is found, and a living one is not given up."""

from __future__ import annotations

import time

from tests.waiting import wait_until

HOUR = 3600.0

#: To the scripts, a clock that was set back by an hour is every beat an hour later.
SHIFT = """
local beats = redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES')
for i = 1, #beats, 2 do redis.call('ZADD', KEYS[1], beats[i + 1] + ARGV[1], beats[i]) end
return #beats / 2
"""


def set_clock(stack, seconds):
    """Redis' clock jumps; how many workers it had heard of."""
    with stack.valkey.client() as client:
        return client.eval(SHIFT, 1, "django_starter:beats", -seconds)


def test_a_worker_that_died_before_the_clock_was_set_back_is_found(new_stack, rows, fault):
    stack = new_stack().start(workers=2, concurrency=1)
    fault = fault("15a", "a worker dies, then Redis' clock is set back by an hour")
    table = rows(stack)
    task_id = stack.start_job("nap", seconds=3)
    stack.wait_state(task_id, "STARTED")
    victim = next(worker for worker in stack.workers.values() if f":{worker.pid}:" in table.run(task_id)["worker"])

    fault.begins()
    victim.kill()
    assert set_clock(stack, -HOUR) == 2
    wait_until(lambda: table.run(task_id)["attempt"] == 2, 20)
    fault.took(15, "second attempt after")
    stack.wait_state(task_id, "SUCCESS")
    table.assert_ended_once([task_id])


def test_the_only_worker_is_not_shown_as_alive(new_stack, fault):
    stack = new_stack().start(concurrency=1)
    fault = fault("15b", "the only worker dies, then Redis' clock is set back by an hour")
    stack.workers["w1"].kill()
    fault.begins()
    set_clock(stack, -HOUR)
    task_id = stack.start_job("echo", 1)
    wait_until(lambda: (stack.task(task_id)["waiting"] or {}).get("reason") == "no_worker", 10)
    fault.took(5, "said that no worker runs after")


def test_who_lives_is_not_given_up(new_stack, rows, fault):
    stack = new_stack().start(workers=3, concurrency=1)
    table = rows(stack)
    for letter, by in zip("cde", (HOUR, 10 * HOUR, -HOUR), strict=True):
        jumping = fault(f"15{letter}", f"Redis' clock jumps by {by:+.0f} s again and again")
        running = [stack.start_job("counted", seconds=7.5) for _ in range(3)]
        for one in running:
            stack.wait_state(one, "STARTED")
        jumping.begins()
        jumps = 0
        while jumping.seconds < 6.5:  # whoever is silent for 5 s is dead
            jumps += 1
            set_clock(stack, by)
            time.sleep(0.1 + jumps * 0.37 % 1.9)  # at every point between two beats and two looks
        for one in running:
            stack.wait_state(one, "SUCCESS")
        table.assert_ended_once(running)
        table.assert_effects_once(running)
        assert [table.run(one)["attempt"] for one in running] == [1, 1, 1]
        jumping.measured(f"nobody given up in {jumps} jumps", "nobody")
