"""Sixty random faults of every kind, while five hundred short tasks are started and worked off."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from tests.waiting import wait_until

TASKS = 500
FAULTS = 60
#: Seconds in which the tasks are started and the faults happen.
STORM = 55.0


@pytest.mark.timeout(600)
def test_five_hundred_tasks_survive_sixty_random_faults(new_stack, rows, fault):
    seed = int(os.environ.get("TEST_FAULTS_SEED") or random.SystemRandom().randrange(1_000_000))
    print(f"TEST_FAULTS_SEED={seed}")
    fault = fault("15", "500 short tasks with 60 random faults of all kinds")
    stack = new_stack(breaks_broker=True).start(workers=2, concurrency=2)
    table = rows(stack)
    storm = Storm(stack, table, random.Random(seed))
    people = [stack.visitor(f"person {number}") for number in range(4)]
    for person in people:
        person.get("/")

    fault.begins()
    with ThreadPoolExecutor(len(people)) as pool:
        shares = [pool.submit(start_share, person, number, len(people)) for number, person in enumerate(people)]
        storm.blow()
        accepted = [task_id for share in shares for task_id in share.result()]
    storm.clear_up()
    calm = time.monotonic()
    assert len(set(accepted)) == TASKS, "a key was accepted as two runs"

    wait_until(
        lambda: table.count("SUCCESS", "FAILURE", "REVOKED") == TASKS,
        90,
        lambda: f"all final; seed {seed}, {table.states()}, {storm.counted}",
        every=0.2,
    )
    figure = f"seed {seed}: all final {time.monotonic() - calm:.0f} s after the last fault, 0 lost, "
    figure += f"{table.attempts()} attempts for {TASKS} ends and {TASKS} effects"
    fault.measured(figure, "all final, 0 lost, each effect once")
    table.assert_ended_once(accepted)
    table.assert_effects_once(accepted)


def start_share(person, number, people):
    """As a page does it that is patient: the same start with the same key, until it is answered."""
    pace = STORM * 0.8 * people / TASKS
    accepted = []
    for one in range(number, TASKS, people):
        began = time.monotonic()
        options = {"idempotency_key": f"start-{one}"}
        while True:
            try:
                answer = person.post(
                    "/testjobs/once/",
                    json={"args": [], "kwargs": {"seconds": 0.1, "again": one % 25 == 0}, "options": options},
                )
            except OSError:  # the web server is not there
                time.sleep(0.2)
                continue
            assert answer.status == 202, (answer.status, answer.text[:500])
            accepted.append(answer.json()["task_id"])
            break
        time.sleep(max(0.0, pace - (time.monotonic() - began)))
    return accepted


class Storm:
    """Faults, one after the other; each is over when the next begins, but what it broke need not be whole again."""

    def __init__(self, stack, table, dice):
        self.stack, self.table, self.dice = stack, table, dice
        self.counted: dict[str, int] = {}
        self.locks = []
        self.ending = set()

    def blow(self):
        kinds = [
            self.kill_pool_process,
            self.kill_worker,
            self.end_worker,
            self.freeze_worker,
            self.restart_broker,
            self.kill_broker,
            self.wipe_broker,
            self.hang_broker,
            self.fill_broker,
            self.flush_broker,
            self.kill_web_server,
            self.lock_database,
        ]
        faults = (kinds * (FAULTS // len(kinds) + 1))[:FAULTS]
        self.dice.shuffle(faults)
        began = time.monotonic()
        for number, kind in enumerate(faults):
            self.counted[kind.__name__] = self.counted.get(kind.__name__, 0) + 1
            kind()
            rest = began + STORM * (number + 1) / FAULTS - time.monotonic()
            if rest > 0:
                time.sleep(rest)  # the faults are spread over the time in which tasks are started

    def clear_up(self):
        """Whatever is down is started again, once."""
        for lock in self.locks:
            lock.wait(20)
            lock.stdout.close()
        self.stack.broker.resume()
        if not self.stack.broker.alive:
            self.stack.broker.start()
        for worker in self.stack.workers.values():
            self.wake(worker)
            if worker in self.ending:
                wait_until(partial(has_ended, worker), 20)
            if not worker.alive:
                worker.kill()
                worker.start(wait=False)
        if not self.stack.web.alive:
            self.stack.web.start()

    def a_worker(self):
        """One of the workers, started again if it is down."""
        worker = self.dice.choice(list(self.stack.workers.values()))
        self.wake(worker)
        if not worker.alive:
            worker.start(wait=False)
            self.ending.discard(worker)
        return worker

    def wake(self, worker):
        if worker.alive:
            worker.resume()

    def kill_pool_process(self):
        children = self.a_worker().children()
        if children:
            with_suppressed(lambda: self.dice.choice(children).send_signal(signal.SIGKILL))

    def kill_worker(self):
        worker = self.a_worker()
        worker.kill()
        worker.start(wait=False)
        self.ending.discard(worker)

    def end_worker(self):
        worker = self.a_worker()
        worker.signal(signal.SIGTERM)
        self.ending.add(worker)

    def freeze_worker(self):
        worker = self.a_worker()
        worker.pause()
        timer = threading.Timer(self.dice.uniform(1, 9), self.wake, [worker])
        timer.daemon = True
        timer.start()

    def restart_broker(self):
        self.stack.broker.restart()

    def kill_broker(self):
        self.stack.broker.restart(kill=True)

    def wipe_broker(self):
        self.stack.broker.restart(kill=True, keep_data=False)

    def hang_broker(self):
        self.stack.broker.pause()
        time.sleep(self.dice.uniform(0.5, 2.5))
        self.stack.broker.resume()

    def fill_broker(self):
        self.stack.broker.fill()
        time.sleep(self.dice.uniform(0.5, 1.5))
        self.stack.broker.drain()

    def flush_broker(self):
        self.stack.broker.flush()

    def kill_web_server(self):
        self.stack.web.kill()
        self.stack.web.start(wait=False)

    def lock_database(self):
        self.locks.append(self.table.lock(self.dice.uniform(0.5, 2)))


def with_suppressed(action):
    try:
        action()
    except Exception:  # it was gone already
        return


def has_ended(worker):
    return not worker.alive
