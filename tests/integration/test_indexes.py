"""No question of the system reads all runs: each statement that the pages and the sweep make is explained.

SQLite's plan names what it scans. PostgreSQL prefers to scan a small table: it is told not to where it can do without.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from django_starter.metrics import from_database
from tasks import runs
from tasks.models import CELERY, Release, State, TaskRun
from tasks.runs import alerts, beats, now, prune
from tasks.runs.engine import get_engine
from tasks.runs.notify import Messenger
from tasks.runs.sweep import Sweep
from tasks.runs.waiting import Pulse
from tasks.runs.worker import identity
from tasks.web import all_runs
from tasks.web.access import Viewer
from tasks.web.feeds import mine
from tasks.web.services import _Queue

pytestmark = pytest.mark.django_db

PAGES = (
    *("", "page=2", "page=201", "state=FAILURE", "state=PENDING", "task=t1", "owner=somebody", "owner=anonymous"),
    *("fingerprint=Error1 in save (shop/orders.py)&again=no", "fingerprint=Error1 in save (shop/orders.py)&since=hour"),
    *("q=error:Error1", "q=error:Error1 args:SKU-1", "q=args:SKU-1", "q=queue:celery worker:w", "q=error:Error2 text"),
    *("sort=oldest", "sort=ended", "sort=took", "sort=waited", "sort=took&state=FAILURE&task=t1"),
    *("since=hour", "since=week", "q=a", "q=somebody", "q=nobody-has-this", "state=FAILURE&task=t1&since=week"),
)


@pytest.fixture
def some_runs() -> TaskRun:
    """A few of each kind, with an owner."""
    person: Any = get_user_model().objects.create(username="somebody", is_staff=True, is_superuser=True)
    moment = timezone.now()
    rows = [
        TaskRun(
            id=f"{state}-{number}",
            name=f"t{number % 3}",
            queue="celery",
            owner=person if number % 2 else None,
            session_key="" if number % 2 else "s",
            state=state,
            attempt=int(state != State.PENDING),
            accepted_at=moment - timedelta(seconds=number),
            sent_at=moment,
            finished_at=moment if state in (State.SUCCESS, State.FAILURE, State.REVOKED) else None,
            cancel_requested_at=moment if state == State.REVOKED else None,
            worker=identity() if state == State.STARTED else "",
            fingerprint=f"Error{number % 3} in save (shop/orders.py)" if state == State.FAILURE else None,
        )
        for state in State.values
        for number in range(20)
    ]
    TaskRun.objects.bulk_create(rows)
    Release.objects.create(name="a1b2c3d", since=moment - timedelta(minutes=5))
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE tasks_taskrun")
    return rows[0]


class Pool:
    """A worker that works on what is STARTED."""

    def active(self) -> set[str]:
        return {f"STARTED-{number}" for number in range(20)}

    reserved = active

    def is_ending(self) -> bool:
        return False

    can_kill = is_ending

    def kill(self, task_id: str) -> None:
        raise AssertionError(task_id)


def sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    """A whole look of the worker that leads, its looks of once a minute and once a second."""
    monkeypatch.setattr(get_engine(CELERY), "count", lambda queue: 10_000)
    monkeypatch.setattr("tasks.runs.sweep.close_old_connections", lambda: None)  # the test's own
    client: Any = None
    one: Any = Sweep(client, Pool())
    one._workers = lambda: [beats.Worker(identity(), "w", ["celery"], 20)]
    one._prune = lambda: None
    one._quiet_until = 0.0
    one.run()
    one.run()
    assert not one._troubled


def questions(monkeypatch: pytest.MonkeyPatch) -> dict[str, Callable[[], Any]]:
    staff, anybody = Client(), Client()
    staff.force_login(get_user_model().objects.get())

    def page(client: Client, address: str) -> Callable[[], Any]:
        def get() -> None:
            assert client.get(address).status_code == 200, address

        return get

    asked: dict[str, Callable[[], Any]] = {f"/runs/?{words}": page(staff, f"/runs/?{words}") for words in PAGES}
    return asked | {
        "home": page(anybody, "/"),
        "home of staff": page(staff, "/"),
        "an owner's list": lambda: mine(Viewer(user_id=1)),
        "a visitor's list": lambda: mine(Viewer(session_key="s")),
        "a run's page": page(staff, "/tasks/SUCCESS-1/"),
        "failures": page(staff, "/runs/failures/"),
        "failures since the release, the most first": page(staff, "/runs/failures/?since=release&sort=most"),
        "now": lambda: now._look(timezone.now()),
        "alerts": lambda: alerts.Alerts(lambda: Messenger([])).compare(timezone.now(), Pulse(True, [])),
        "admin": page(staff, "/admin/tasks/taskrun/"),
        "admin by state": page(staff, "/admin/tasks/taskrun/?state__exact=FAILURE"),
        "admin search": page(staff, "/admin/tasks/taskrun/?q=t1"),
        "metrics": lambda: list(from_database()),
        "the queue's length": _Queue()._count,
        "the last hour": lambda: (all_runs._throughput(timezone.now()), all_runs._waits(timezone.now())),
        "a sweep": lambda: sweep(monkeypatch),
        "a claim": lambda: runs.claim("PENDING-1", "w"),
        "an end": lambda: runs.end("STARTED-1", "SUCCESS", attempt=1),
        "a cancel": lambda: runs.cancel("STARTED-2"),
        "pruning": lambda: prune.prune_slice(timedelta(0)),
    }


def reads_everything(sql: str) -> list[str]:
    """Lines of the plan that read the table to its end, or an index of it without a limit."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SET LOCAL enable_seqscan = off")
            cursor.execute(f"EXPLAIN {sql}")
            return [row[0] for row in cursor.fetchall() if "Seq Scan on tasks_taskrun" in row[0]]
        cursor.execute(f"EXPLAIN QUERY PLAN {sql}")
        plan = [row[3] for row in cursor.fetchall()]
    scans = [line for line in plan if re.match(r"SCAN (tasks_taskrun|U\d)\b", line)]
    bounded = " LIMIT " in sql
    return [line for line in scans if "USING" not in line or not bounded]


@pytest.mark.slow
def test_no_statement_reads_all_runs(some_runs, monkeypatch, django_capture_on_commit_callbacks):
    everything: dict[str, list[str]] = {}
    for name, ask in questions(monkeypatch).items():
        with CaptureQueriesContext(connection) as captured, django_capture_on_commit_callbacks():
            ask()
        statements = [query["sql"] for query in captured.captured_queries if "tasks_taskrun" in query["sql"]]
        assert statements, name
        for sql in statements:
            if sql.startswith(("SELECT", "UPDATE", "DELETE")) and (lines := reads_everything(sql)):
                everything.setdefault(name, []).append(f"{lines}: {sql[:1500]}")
    assert not everything, "\n\n".join(f"{name}\n  " + "\n  ".join(found) for name, found in everything.items())


def test_a_scan_would_be_seen(some_runs):
    sql = str(TaskRun.objects.order_by().filter(traceback="x").values("pk").query).replace("= x", "= 'x'")
    assert reads_everything(sql)
