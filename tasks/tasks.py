"""The Celery shells of the jobs. The work is in `jobs/`, as plain functions that can be tested without a queue."""

from __future__ import annotations

from celery import shared_task
from django.conf import settings

from .celery.types import CeleryTask
from .jobs.canary import canary as sing
from .jobs.demo import demo
from .jobs.forms import ImportOrdersForm, LongRunningForm
from .jobs.import_orders import import_orders
from .jobs.long_running import long_running
from .runs import bulk
from .runs.prune import KEEP_RUNS, parse_age, prune
from .startable import startable, unoffered

#: TASKS["DEMO_TASKS"]: whether Start Task offers the three tasks to try things with. They can always be called.
_offered = startable if settings.TASKS_DEMO_TASKS else unoffered


@_offered(form=LongRunningForm)
@shared_task
def long_running_task(steps: int = 100, delay: float = 0.1) -> dict[str, float]:
    """Take `steps` steps of `delay` seconds each."""
    return long_running(steps, delay)


@_offered()
@shared_task
def demo_task() -> str:
    """Show steps, messages, a log and a result within a second."""
    return demo()


@shared_task(bind=True)
def act_on_runs(self: CeleryTask, action: str, words: dict[str, str], until: str) -> dict[str, int]:
    """Cancel, or start again, all runs that a filter of the staff's list means."""
    return bulk.act_on_all(action, words, until, self.request.id)


bulk.register(lambda action, words, until: act_on_runs.delay(action, dict(words), until).id)


@_offered(form=ImportOrdersForm)
@shared_task
def import_orders_task(orders: int = 300, delay: float = 0.1) -> dict[str, int]:
    """Import `orders` orders, `delay` seconds each; killed, it goes on where it was."""
    return import_orders(orders, delay)


@shared_task(max_attempts=1, expires=60)  # type: ignore[call-overload, untyped-decorator]  # max_attempts is ours
def canary() -> str:
    """Come back alive: `manage.py doctor` starts it, and removes its run."""
    return sing()


@shared_task
def prune_ended_runs() -> int:
    """Delete the runs that ended TASKS_KEEP_RUNS ago; returns how many. An entry of CELERY_BEAT_SCHEDULE."""
    return prune(parse_age(getattr(settings, "TASKS_KEEP_RUNS", KEEP_RUNS)))
