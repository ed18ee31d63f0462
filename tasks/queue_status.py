"""Why is this task waiting? One look at the beats and one query answer for every task that is being watched."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import redis
from django.conf import settings
from django.utils import timezone

from progress.messages import Waiting
from progress.redis import make_client

from . import beats, broker
from .models import CLAIMABLE, State, TaskRun

#: Seconds for which one look serves every page of this process.
FRESH = 0.4
#: Waiting runs whose places are counted; further back it is only said that the task is queued.
COUNTED = 1_000
#: A run that is not sent so long after it was accepted waits for the broker.
SEND_GRACE = timedelta(seconds=1)

START_WORKER = "celery -A django_starter worker -l info"


@dataclass(frozen=True, slots=True)
class Pulse:
    """What a look found: none of `workers` is known when Redis was away. The broker may be another server."""

    reachable: bool
    workers: list[beats.Worker] = field(default_factory=list)
    at: float = 0.0
    broker: bool = True

    def serves(self, queue: str) -> bool:
        """True if a living worker takes from `queue`."""
        return any(worker.alive and queue in worker.queues for worker in self.workers)


_lock = threading.Lock()
_last = Pulse(reachable=True)
_client: redis.Redis | None = None


def pulse() -> Pulse:
    """Who is alive; never raises, and never waits for more than half a second, for a broker of its own once more."""
    global _last, _client
    with _lock:
        if time.monotonic() - _last.at < FRESH:
            return _last
        try:
            if _client is None:
                _client = make_client(settings.REDIS_URL, socket_timeout=0.5, socket_connect_timeout=0.5)
            _last = Pulse(True, beats.look(_client), time.monotonic(), broker.answers())
        except (redis.RedisError, OSError):
            _last = Pulse(False, [], time.monotonic(), broker.is_separate() and broker.answers())
        return _last


def explain(runs: Sequence[TaskRun]) -> dict[str, Waiting]:
    """For each of `runs` that waits, why, and what to do about it."""
    waiting = [run for run in runs if run.state in CLAIMABLE]
    if not waiting:
        return {}
    now = pulse()
    places: dict[str, int] = {}
    for queue in {run.queue for run in waiting}:
        ahead = TaskRun.objects.filter(queue=queue, state__in=CLAIMABLE, held=False).order_by("accepted_at")
        places.update({pk: place for place, pk in enumerate(ahead.values_list("pk", flat=True)[:COUNTED], 1)})
    return {run.pk: _reason(run, now, places.get(run.pk)) for run in waiting}


def _reason(run: TaskRun, now: Pulse, place: int | None) -> Waiting:
    later = timezone.now() + SEND_GRACE
    if run.held:
        return {"reason": "queued", "position": None, "hint": "Waits for the tasks before it."}
    if run.state == State.RETRY and run.next_retry_at is not None and run.next_retry_at > timezone.now():
        return retry_waiting(run)
    if run.eta is not None and run.eta > later:
        hint = f"Starts at {_clock(run.eta)}."
        return {"reason": "queued", "position": None, "next_retry_at": _iso(run.eta), "hint": hint}
    unsent = run.sent_at is None and timezone.now() - run.accepted_at > SEND_GRACE
    if not now.broker or (unsent and run.state == State.PENDING):
        return {"reason": "broker_down", "hint": "The broker is down. The task is stored here and will be sent."}
    if not now.reachable:
        return {"reason": "queued", "position": place, "hint": "Redis is down: which workers run cannot be seen."}
    if not now.serves(run.queue):
        return {"reason": "no_worker", "hint": f"No worker is running. Start one: {_command(run.queue)}"}
    if place is None:
        return {"reason": "queued", "position": None, "hint": f"More than {COUNTED:,} tasks are ahead."}
    hint = "Next in the queue." if place == 1 else f"Number {place} in the queue."
    return {"reason": "queued", "position": place, "hint": hint}


def retry_waiting(run: TaskRun) -> Waiting:
    """The wait between two attempts."""
    at = run.next_retry_at or timezone.now()
    hint = f"Attempt {run.attempt} did not succeed; the next one starts at {_clock(at)}."
    return {"reason": "retry", "next_retry_at": _iso(at), "hint": hint}


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")


def _clock(moment: datetime) -> str:
    """With its day, where that is not today's. In UTC: how long it is till then is the page's to say."""
    moment = moment.astimezone(UTC)
    today = moment.date() == datetime.now(UTC).date()
    return f"{moment:%H:%M:%S} UTC" if today else f"{moment:%Y-%m-%d %H:%M} UTC"


def _command(queue: str) -> str:
    default = getattr(settings, "CELERY_TASK_DEFAULT_QUEUE", "celery")
    return START_WORKER if queue == default else f"{START_WORKER} -Q {queue}"
