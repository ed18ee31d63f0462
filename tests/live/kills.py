"""A task that is killed again and again, in the environment of a stack: `… -m tests.live.kills fenced_inserts 200 …`.

Each attempt is a process of its own, killed in a random moment. The claim and the loss are those of a worker; what is
left out is only the five seconds in which a worker's death is noticed. Prints what was done, as JSON.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from typing import Any

import django


def main() -> None:
    """Run the job of that name to its end, through so many kills."""
    name, kills, longest = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    django.setup()
    from celery import current_app
    from django.db import connection

    from progress.active import activate
    from progress.reporter import Reporter
    from tasks import resume, runs
    from tasks.models import TaskRun

    from .testjobs import going_on

    going_on.make_table()
    job = current_app.tasks[f"testjobs.{name}"]
    total, delay = int(sys.argv[4]), float(sys.argv[5])
    run_id = job.delay(total, delay).id
    TaskRun.objects.filter(pk=run_id).update(max_attempts=kills + 10)
    seed = int(os.environ.get("TEST_KILLS_SEED") or random.randrange(10**6))
    dice = random.Random(seed)
    died: list[float] = []

    def attempt(worker: str) -> None:
        run = runs.claim(run_id, worker)
        assert run is not None
        reporter = Reporter(run.pk, run.attempt, Nowhere())
        resume.begin(run, reporter)
        activate(reporter)
        job.run(total, delay)
        runs.end(run_id, "SUCCESS", attempt=run.attempt)

    for number in range(kills + 1):
        connection.close()
        worker = f"w{number % 2}"
        child = os.fork()
        if not child:
            try:
                attempt(worker)
            finally:
                os._exit(0)
        # Until it has claimed, then for a random while: the moments are those of its work.
        while TaskRun.objects.filter(pk=run_id, state="RETRY").exists() or not TaskRun.objects.get(pk=run_id).attempt:
            time.sleep(0.002)
        if number < kills:
            time.sleep(dice.uniform(0, longest))
            os.kill(child, signal.SIGKILL)
            died.append(time.time())
        os.waitpid(child, 0)
        if runs.lost(run_id, worker, send_again=False) is None:
            break
    with connection.cursor() as cursor:
        cursor.execute("SELECT number, attempt, at FROM done_items ORDER BY id")
        done = cursor.fetchall()
    ended = TaskRun.objects.get(pk=run_id)
    found = {"seed": seed, "state": ended.state, "attempts": ended.attempt, "died": died, "done": done}
    print(json.dumps(found))


class Nowhere:
    """A sink without a Redis."""

    def publish(self, *_: Any, **__: Any) -> Any:
        raise ConnectionError

    def poll(self, *_: Any) -> Any:
        raise ConnectionError


if __name__ == "__main__":
    main()
