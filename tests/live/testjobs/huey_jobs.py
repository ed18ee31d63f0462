"""The jobs of `tasks.py`, and a few more, as Huey's tasks: `start_job(name, options={"engine": "huey"})`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from huey.contrib.djhuey import db_task

import progress

from . import tasks

#: By name; the runs have the names of the Celery jobs.
JOBS: dict[str, Any] = {
    job.name: db_task(run_name=job.name)(job.run)
    for job in (tasks.echo, tasks.nap, tasks.deaf, tasks.fail, tasks.die, tasks.hold, tasks.chatter)
}


@db_task(run_name="testjobs.flaky", retries=2, retry_delay=1)
def flaky(trace: str) -> str:
    """Fails twice."""
    tasks.leave_trace(trace)
    progress.set(1, total=3)
    if len(Path(trace).read_text().splitlines()) < 3:
        raise ConnectionError("away")
    return "good"


@db_task(run_name="testjobs.exclusive", max_attempts=1)
def exclusive(gate: str) -> str:
    """May not begin twice."""
    while not Path(gate).exists():
        time.sleep(0.05)
    return "let go"


JOBS |= {one.name: one for one in (flaky, exclusive)}
