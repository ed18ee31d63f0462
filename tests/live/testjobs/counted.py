"""Jobs whose effects are counted in the database: one row for each, written only while the attempt holds its run."""

from __future__ import annotations

import os
import random
import signal
import time
from typing import Any

from celery import shared_task
from django.db import connection

import progress
from tasks.runs.fence import fenced


def count_effect() -> None:
    """One effect of the running task, in the database."""
    reporter = progress.current()
    assert reporter is not None
    with fenced(), connection.cursor() as cursor:
        cursor.execute("INSERT INTO fault_effects VALUES (%s, %s)", [reporter.task_id, reporter.attempt])


@shared_task(name="testjobs.counted")
def counted(seconds: float = 0.2, step: float = 0.05) -> int:
    """Works for `seconds`, then counts; returns the number of its attempt."""
    steps = max(1, round(seconds / step))
    for _ in progress.track(range(steps), total=steps):
        time.sleep(step)
    count_effect()
    reporter = progress.current()
    return reporter.attempt if reporter else 0


@shared_task(name="testjobs.once", bind=True)
def once(self: Any, seconds: float = 0.1, again: bool = False) -> int:
    """Works, then leaves its effect under the name of its run: an attempt that finds it there leaves it alone."""
    reporter = progress.current()
    assert reporter is not None
    if again and self.request.retries == 0:
        raise self.retry(countdown=random.uniform(0, 1))
    for _ in progress.track(range(4), total=4):
        time.sleep(seconds / 4)
    with fenced(), connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM fault_effects WHERE run_id = %s", [reporter.task_id])
        if cursor.fetchone() is None:
            cursor.execute("INSERT INTO fault_effects VALUES (%s, %s)", [reporter.task_id, reporter.attempt])
    return reporter.attempt


@shared_task(name="testjobs.suicide")
def suicide() -> None:
    """Kills its own process, every time."""
    progress.set(1, total=2)
    os.kill(os.getpid(), signal.SIGKILL)
