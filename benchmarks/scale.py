"""How what is asked all day grows with the rows: pages, lists, metrics, the sweep, pruning.

    python benchmarks/scale.py [--rows 1000000] [--waiting 100000] [--postgres postgres://user@127.0.0.1:5432/postgres]

The rows are made by the database itself (`INSERT … SELECT`), so a million takes seconds. Without --postgres: SQLite.
Each figure is the median of seven, in this process; 10,000,000 rows of PostgreSQL want some 6 GB of disk.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

#: Milliseconds that an answer may take, and a whole sweep with 100,000 and with 1,000,000 runs that wait.
ANSWER, SWEEP, LONG_SWEEP = 100.0, 10.0, 30.0
TIMES = 7


def fill(rows: int, waiting: int) -> None:
    """`rows` that ended over thirty days, `waiting` that were accepted just now."""
    from django.db import connection

    postgres = connection.vendor == "postgresql"
    numbers = (
        "SELECT generate_series(1, {0}) AS n"
        if postgres
        else "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < {0}) SELECT n FROM c"
    )
    ago = (
        "now() - {0} * interval '1 second'" if postgres else "datetime('now', '-' || ({0}) || ' seconds') || '.000000'"
    )
    same: dict[str, str] = {
        "message": """'{"args":[],"kwargs":{},"options":{}}'""",
        "queue": "'celery'",
        "session_key": "CASE WHEN n % 2 = 0 THEN 's' || (n % 1000) ELSE '' END",
        "owner_id": "CASE WHEN n % 2 = 1 THEN 1 + n % 100 END",
        "name": "'app.tasks.task_' || (n % 10)",
        "worker": "''",
        "lost": "0",
        "max_attempts": "3",
        "traceback": "''",
        "held": "FALSE" if postgres else "0",
        "unfollowed": "FALSE" if postgres else "0",
        "progress": "'{}'",
    }
    every = 30 * 24 * 3600 / max(rows, 1)
    ended = same | {
        "id": "'ended-' || n",
        "state": "CASE WHEN n % 50 = 0 THEN 'FAILURE' WHEN n % 101 = 0 THEN 'REVOKED' ELSE 'SUCCESS' END",
        "attempt": "1",
        **dict.fromkeys(("accepted_at", "sent_at", "started_at", "finished_at"), ago.format(f"(60 + n * {every})")),
    }
    new = same | {
        "id": "'waiting-' || n",
        "state": "'PENDING'",
        "attempt": "0",
        **dict.fromkeys(("accepted_at", "sent_at"), ago.format("(5 + n / 1000.0)")),
    }
    with connection.cursor() as cursor:
        for columns, count in ((ended, rows), (new, waiting)):
            names = ", ".join(f'"{name}"' for name in columns)
            source = f"({numbers.format(count)}) AS numbers"
            cursor.execute(f"INSERT INTO tasks_taskrun ({names}) SELECT {', '.join(columns.values())} FROM {source}")
        cursor.execute("ANALYZE")


def questions(rows: int) -> dict[str, Callable[[], Any]]:
    """What is asked, by name."""
    from django.contrib.auth import get_user_model
    from django.test import Client
    from django.urls import reverse

    from django_starter.metrics import from_database
    from tasks.models import TaskRun
    from tasks.runs import prune
    from tasks.web.access import Viewer
    from tasks.web.feeds import mine

    staff = Client(SERVER_NAME="localhost")
    staff.force_login(get_user_model().objects.get(pk=1))
    anybody = Client(SERVER_NAME="localhost")

    def page(client: Client, address: str) -> Callable[[], Any]:
        def get() -> None:
            answer = client.get(address)
            assert answer.status_code == 200, (address, answer.status_code)

        return get

    def prune_slice() -> None:
        age = timedelta(days=29, hours=23)
        before = TaskRun.objects.count() if rows < 10_000 else 0
        prune.prune_slice(age)
        assert not before or TaskRun.objects.count() < before

    asked = {
        "home, an owner's list": lambda: mine(Viewer(user_id=2)),
        "home page": page(anybody, "/"),
        "a run's page": page(staff, reverse("run", args=["ended-1000"])),
        "metrics": lambda: list(from_database()),
        "prune: a slice": prune_slice,
        "admin list": page(staff, "/admin/tasks/taskrun/"),
    }
    for words in (
        *("", "page=2", "page=200", "state=FAILURE", "state=PENDING", "task=app.tasks.task_3", "owner=user2"),
        *("owner=anonymous", "since=hour", "since=week", "q=ended-77", "q=task_4", "q=nobody-has-this", "q=user3"),
        *("state=FAILURE&task=app.tasks.task_0", "state=SUCCESS&owner=user2&since=week"),
    ):
        asked[f"/runs/?{words}"] = page(staff, f"/runs/?{words}")
    return asked


def sweeps(messages: int) -> Callable[[], None]:
    """A whole look of the worker that leads, with so many messages in the queue."""
    from tasks.runs import beats, worker
    from tasks.runs.engine import get_engine
    from tasks.runs.sweep import Sweep

    class Idle:
        def active(self) -> set[str]:
            return set()

        reserved = active

        def is_ending(self) -> bool:
            return False

        def can_kill(self) -> bool:
            return False

        def kill(self, task_id: str) -> None: ...

    client: Any = None
    sweep = Sweep(client, Idle())
    alive: Any = [beats.Worker(worker.identity(), "benchmark", ["celery"], 2)]
    replaced: Any = sweep
    replaced._workers = lambda: alive
    replaced._prune = lambda: None
    replaced._quiet_until = 0.0
    engine: Any = get_engine("celery")
    engine.count = lambda queue: messages
    return sweep.run


def measure(question: Callable[[], Any]) -> float:
    """Milliseconds, the median; the first time warms what is kept."""
    from benchmarks.lab import median

    question()
    took = []
    for _ in range(TIMES):
        began = time.perf_counter()
        question()
        took.append((time.perf_counter() - began) * 1000)
    return median(took)


def main() -> int:
    """The table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--waiting", type=int, default=100_000)
    parser.add_argument("--postgres", help="the address of a PostgreSQL server, whose user may create databases")
    given = parser.parse_args()
    folder = tempfile.mkdtemp(prefix="django_starter-scale-")
    os.environ.update(DEV_DIR=folder, DJANGO_SETTINGS_MODULE="django_starter.settings", LOG_FORMAT="line")
    os.environ["REDIS_URL"] = "redis://127.0.0.1:1/0"  # nobody: what the database costs is measured
    os.environ["DATABASE_URL"] = f"sqlite:///{folder}/scale.sqlite3"
    if given.postgres:
        import psycopg

        with psycopg.connect(given.postgres, autocommit=True) as server:
            server.execute("DROP DATABASE IF EXISTS scale WITH (FORCE)")
            server.execute("CREATE DATABASE scale")
        os.environ["DATABASE_URL"] = urlunsplit(urlsplit(given.postgres)._replace(path="/scale"))
    import django

    django.setup()
    import logging

    logging.disable(logging.WARNING)
    from django.contrib.auth import get_user_model
    from django.core.management import call_command

    from benchmarks.lab import Report

    call_command("migrate", verbosity=0)
    users: Any = get_user_model()
    users.objects.bulk_create(
        users(pk=n, username=f"user{n}", is_staff=n == 1, is_superuser=n == 1) for n in range(1, 101)
    )
    began = time.perf_counter()
    fill(given.rows, given.waiting)
    kind = "PostgreSQL" if given.postgres else "SQLite"
    report = Report(f"scale.py: {given.rows:,} rows, {given.waiting:,} that wait, {kind}")
    report.row("made in", f"{time.perf_counter() - began:.0f} s")
    bound = SWEEP if given.waiting <= 100_000 else LONG_SWEEP
    report.at_most("a sweep", measure(sweeps(given.waiting)), bound, "ms")
    for name, question in questions(given.rows).items():
        report.at_most(name, measure(question), ANSWER, "ms")
    shutil.rmtree(folder, ignore_errors=True)
    return report.print()


if __name__ == "__main__":
    raise SystemExit(main())
