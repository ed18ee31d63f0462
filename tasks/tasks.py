"""The Celery shells of the jobs. The work stands in `jobs/`, as plain functions that can be tested without a queue."""

from __future__ import annotations

from celery import shared_task

from .jobs.demo import demo
from .jobs.long_running import long_running


@shared_task
def long_running_task(steps: int = 100, delay: float = 0.1) -> dict[str, float]:
    """Take `steps` steps of `delay` seconds each."""
    return long_running(steps, delay)


@shared_task
def demo_task() -> str:
    """Show steps, messages, a log and a result within a second."""
    return demo()
