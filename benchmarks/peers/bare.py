"""Celery with its results in Redis (PEER=bare), or in the database by django-celery-results (PEER=results)."""

from __future__ import annotations

import os
from typing import Any

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "benchmarks.peers.settings")

PEER = os.environ.get("PEER", "bare")
redis_url = os.environ["REDIS_URL"]

app = Celery(PEER, broker=redis_url, backend="django-db" if PEER == "results" else redis_url)
app.conf.update(
    task_default_queue=PEER,
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=1,
    result_extended=True,
    broker_connection_retry_on_startup=True,
)


@app.task(name="peers.nothing")
def nothing(number: int) -> int:
    """The task that is measured."""
    return number


def start(number: int) -> None:
    """Start one that a worker takes."""
    nothing.delay(number)


def start_unheard(number: int) -> None:
    """Start one in a queue that no worker takes from."""
    nothing.apply_async((number,), queue=f"{PEER}-unheard")


def start_many(count: int) -> None:
    """As many at once, in the peer's own way."""
    from celery import group

    group([nothing.s(number).set(queue=f"{PEER}-unheard") for number in range(count)]).apply_async()


def ended() -> int:
    """How many ends are recorded."""
    if PEER == "results":
        from django_celery_results.models import TaskResult

        return int(TaskResult.objects.filter(status="SUCCESS").count())
    client: Any = app.backend.client
    return sum(1 for _ in client.scan_iter("celery-task-meta-*", count=10_000))
