"""What a stored run costs per engine: a start, and an attempt at a task that does nothing, against the bare engine.

    python benchmarks/engines.py [COUNT]

In one process, with Valkey and SQLite: what is measured is the work, not how many processes share it. Celery's attempt
is not here: its worker is a process of its own, see docs/CELERY.md.
"""

from __future__ import annotations

import os
import sqlite3
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

from lab import Lab

ROUNDS = 5


def timed(work: Callable[[], Any], count: int) -> float:
    """Milliseconds of one, the median of the rounds."""
    found = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        for _ in range(count):
            work()
        found.append((time.perf_counter() - began) / count * 1000)
    return statistics.median(found)


def nothing(value: Any = None) -> Any:
    """The task."""
    return value


def main(count: int) -> None:
    with Lab() as lab:
        os.environ |= {"DEV_DIR": str(lab.folder), "REDIS_URL": lab.redis_url, "ENV_FILE": os.devnull}
        os.environ |= {"DJANGO_SETTINGS_MODULE": "django_starter.settings", "LOG_FORMAT": "line"}
        import django
        from django.conf import settings

        settings.TASKS = {"default": {"BACKEND": "tasks.django_tasks.CeleryBackend"}}
        django.setup()
        import logging

        logging.disable(logging.WARNING)
        from celery import Celery
        from django.core.management import call_command
        from huey import PriorityRedisHuey

        from django_starter.celery import app
        from tasks.huey import TrackedHuey
        from tests.integration.django_jobs import add
        from tests.live.testjobs.tasks import echo

        call_command("migrate", verbosity=0)
        app.set_current()  # not the lab's
        # As other processes do: the last connection that is closed would empty SQLite's log each time.
        keeper = sqlite3.connect(settings.DATABASES["default"]["NAME"])
        keeper.execute("SELECT 1 FROM tasks_taskrun").fetchall()
        bare_celery = Celery("bare", broker=lab.redis_url, set_as_current=False)
        bare_echo = bare_celery.task(name="bare.echo")(nothing)
        rows = [
            ("Celery, start", lambda: bare_echo.apply_async(), lambda: echo.delay()),
            ("Django's tasks, start", lambda: bare_echo.apply_async(), lambda: add.enqueue(1)),
        ]
        bare = PriorityRedisHuey("bare", url=lab.redis_url, blocking=False)
        ours = TrackedHuey("ours", blocking=False)
        starts = [huey.task(name="echo")(nothing) for huey in (bare, ours)]
        rows.append(("Huey, start", *starts))
        rows.append(("Huey, attempt", *(lambda huey=huey: huey.execute(huey.dequeue()) for huey in (bare, ours))))
        print(f"{'':24}{'bare':>10}{'ours':>10}")
        for name, theirs, mine in rows:
            print(f"{name:24}{timed(theirs, count):8.2f} ms{timed(mine, count):7.2f} ms")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
