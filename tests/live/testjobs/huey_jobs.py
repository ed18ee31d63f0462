"""The jobs of `tasks.py` as Huey's tasks: `start_job(name, options={"engine": "huey"})`."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from huey import crontab
from huey.contrib.djhuey import db_periodic_task, db_task

from . import tasks

SAME = (tasks.echo, tasks.nap, tasks.deaf, tasks.fail, tasks.die, tasks.hold, tasks.goes_on)


@dataclass(frozen=True)
class Adapter:
    """What `urls.start_job` calls."""

    task: Any

    def apply_async(self, args: tuple[Any, ...], kwargs: dict[str, Any], **options: Any) -> Any:
        return self.task(*args, **kwargs, **options)


#: By name; the runs have the names of the Celery jobs.
JOBS: dict[str, Adapter] = {job.name: Adapter(db_task(run_name=job.name)(job.run)) for job in SAME}
JOBS["testjobs.thrice"] = Adapter(db_task(run_name="testjobs.thrice", retries=2, retry_delay=1)(tasks.fail_twice))

if ticks := os.environ.get("TEST_TICKS", ""):

    @db_periodic_task(crontab(minute="*"))
    def tick() -> None:
        """Once a minute, whoever of several consumers comes first."""
        tasks.leave_trace(ticks)
