"""Ours, as `benchmarks/starter.py` wants it."""

from __future__ import annotations

from celery import group

from .tasks import nothing


def start(number: int) -> None:
    """Start one that a worker takes."""
    nothing.delay(number)


def start_unheard(number: int) -> None:
    """Start one in a queue that no worker takes from."""
    nothing.apply_async((number,), queue="unheard")


def start_many(count: int) -> None:
    """A group."""
    group([nothing.s(number).set(queue="unheard") for number in range(count)]).apply_async()


def ended() -> int:
    """How many ends are recorded."""
    from tasks.models import State, TaskRun

    return TaskRun.objects.filter(state=State.SUCCESS).count()
