"""The Celery shells of the jobs. The work is in `jobs/`, as plain functions that can be tested without a queue."""

from __future__ import annotations

from celery import chord, shared_task
from django.conf import settings

from .celery.types import CeleryTask
from .jobs import tour as touring
from .jobs.canary import canary as sing
from .jobs.demo import demo
from .jobs.forms import ImportOrdersForm, LongRunningForm, TourForm
from .jobs.import_orders import import_orders
from .jobs.long_running import long_running
from .runs import bulk
from .runs.prune import KEEP_RUNS, parse_age, prune
from .runs.repeating import is_repeated
from .startable import startable, unoffered

#: TASKS["DEMO_TASKS"]: whether Start Task offers the four tasks to try things with. They can always be called.
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


@_offered(form=TourForm)
@shared_task(bind=True, max_retries=1)
def tour(self: CeleryTask, seconds: float = 20) -> dict[str, int]:
    """Nested steps, a retry, checkpoints, and a chord of which one part fails: what an empty home page offers."""
    try:
        touring.fetch(answers=self.request.retries > 0)
    except touring.Away as error:
        raise self.retry(exc=error, countdown=2) from error
    done = touring.import_fetched(seconds)
    chord([tour_part.si(number) for number in range(1, 5)])(tour_end.si())
    return {"orders": touring.ORDERS, "in_this_attempt": done}


@shared_task(bind=True)
def tour_part(self: CeleryTask, number: int) -> str:
    """A part of the tour. The third fails, until a person runs it again."""
    return touring.pack(number, fails=number == 3 and not is_repeated(self.request.id))


@shared_task
def tour_end() -> str:
    """What follows the parts, once all have ended well."""
    return "Everything is packed."


@shared_task(max_attempts=1, expires=60)  # type: ignore[call-overload, untyped-decorator]  # max_attempts is ours
def canary() -> str:
    """Come back alive: `manage.py doctor` starts it, and removes its run."""
    return sing()


@shared_task
def prune_ended_runs() -> int:
    """Delete the runs that ended TASKS_KEEP_RUNS ago; returns how many. An entry of CELERY_BEAT_SCHEDULE."""
    return prune(parse_age(getattr(settings, "TASKS_KEEP_RUNS", KEEP_RUNS)))
