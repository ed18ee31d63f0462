"""Jobs that go on where they were, and leave a row for each thing they do: the test counts them."""

from __future__ import annotations

import time
from typing import Any

from celery import shared_task
from django.db import connection

import progress
from tasks.resume import checkpoint, fenced, resumable

TABLE = "CREATE TABLE done_items (id {key}, run_id TEXT, attempt INTEGER, number INTEGER, at DOUBLE PRECISION)"
KEYS = {"sqlite": "INTEGER PRIMARY KEY AUTOINCREMENT", "postgresql": "BIGSERIAL PRIMARY KEY"}


def make_table() -> None:
    """Once for a database."""
    with connection.cursor() as cursor:
        cursor.execute(TABLE.format(key=KEYS[connection.vendor]))


def do(number: int) -> None:
    """One item of the running task is done."""
    reporter = progress.current()
    assert reporter is not None
    values = (reporter.task_id, reporter.attempt, number, time.time())
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO done_items (run_id, attempt, number, at) VALUES (%s, %s, %s, %s)", values)


@shared_task(name="testjobs.fenced_inserts")
def fenced_inserts(total: int = 2_000, delay: float = 0.0) -> int:
    """Each item with its checkpoint."""
    for number in range(checkpoint.load(0), total):
        with fenced():
            do(number)
            checkpoint.save(number + 1)
        if delay:
            time.sleep(delay)
        progress.set(number + 1, total)
    return total


@shared_task(name="testjobs.open_inserts")
def open_inserts(total: int = 2_000, delay: float = 0.0) -> int:
    """Each item, and the checkpoint when it comes to be written."""
    for number in resumable(range(total), unit="items"):
        do(number)
        if delay:
            time.sleep(delay)
    return total


@shared_task(name="testjobs.retries_itself", bind=True)
def retries_itself(self: Any, total: int = 6) -> list[int]:
    """Asks for another attempt at every second item; returns what its last one did."""
    done: list[int] = []
    for number in resumable(range(total)):
        if number == self.request.retries * 2 + 2:
            raise self.retry(countdown=0, max_retries=10)
        do(number)
        done.append(number)
    return done
