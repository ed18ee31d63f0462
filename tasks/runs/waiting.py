"""Why is this task waiting? One look at the beats and one query answer for every task that is being watched."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import redis
from django.conf import settings
from django.db.models import Case, Expression, F, Q, When
from django.db.models.functions import Coalesce
from django.utils import timezone

from progress.messages import Waiting
from progress.redis import make_client
from tasks.models import CELERY, CLAIMABLE, State, TaskRun

from . import beats
from .engine import NoEngine, engines, get_engine
from .sending import broker_rests

#: Seconds for which one look serves every page of this process.
FRESH = 0.4
#: Waiting runs whose places are counted; further back it is only said that the task is queued.
COUNTED = 1_000
#: A run that is not sent this long after it was accepted waits for the broker.
SEND_GRACE = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Pulse:
    """What a look found: none of `workers` is known when Redis was away. The broker may be another server.

    `away`: the engines whose broker does not answer. `broker`: none is away.
    """

    reachable: bool
    workers: list[beats.Worker] = field(default_factory=list)
    at: float = 0.0
    broker: bool = True
    away: frozenset[str] = frozenset()

    def answers(self, engine: str) -> bool:
        """True if that engine's broker answers."""
        return self.broker or (bool(self.away) and engine not in self.away)

    def serves(self, queue: str, engine: str = CELERY) -> bool:
        """True if a living worker takes from that queue of that engine."""
        return any(worker.serves(queue, engine) for worker in self.workers)


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
            takes = _takes_writes(_client)
            workers, reachable = beats.look(_client), True
        except (redis.RedisError, OSError):
            takes, workers, reachable = False, [], False
        here = [one for one in engines() if takes or one.is_separate()]
        away = frozenset(one.name for one in engines() if one not in here or not one.answers())
        _last = Pulse(reachable, workers, time.monotonic(), not away, away)
        return _last


def _takes_writes(client: redis.Redis) -> bool:
    """False of a server that answers but is full, read-only or without its replicas: it takes no message either."""
    try:
        client.set(f"{settings.REDIS_PREFIX}:writable", 1, px=60_000)
    except redis.ResponseError:
        return False
    return True


def explain(runs: Sequence[TaskRun]) -> dict[str, Waiting]:
    """For each of `runs` that waits, why, and what to do about it."""
    waiting = [run for run in runs if run.state in CLAIMABLE]
    if not waiting:
        return {}
    now = pulse()
    return {run.pk: _reason(run, now) for run in waiting}


def _reason(run: TaskRun, now: Pulse) -> Waiting:
    later = timezone.now() + SEND_GRACE
    if run.held:
        return {"reason": "queued", "position": None, "hint": "Waits for the tasks before it."}
    if run.state == State.RETRY and run.next_retry_at is not None and run.next_retry_at > timezone.now():
        return retry_waiting(run)
    if run.state == State.PENDING and run.eta is not None and run.eta > later:
        hint = f"Starts at {_clock(run.eta)}."
        return {"reason": "queued", "position": None, "next_retry_at": _iso(run.eta), "hint": hint}
    try:
        engine = get_engine(run.engine)
    except NoEngine as error:
        return {"reason": "queued", "position": None, "hint": f"{error} Look at its settings."}
    if not now.answers(run.engine):
        return {"reason": "broker_down", "hint": "The broker is down. The task is stored here and will be sent."}
    if not now.reachable:
        return {"reason": "queued", "position": _place(run), "hint": "Redis is down: which workers run cannot be seen."}
    if not now.serves(run.queue, run.engine):
        command = engine.start_command(run.queue)
        return {"reason": "no_worker", "hint": f"No worker is running. Start one: {command}", "command": command}
    if run.sent_at is None and timezone.now() - run.accepted_at > SEND_GRACE and broker_rests(run.engine):
        return {"reason": "broker_down", "hint": "The broker is down. The task is stored here and will be sent."}
    place = _place(run)
    if place is None:
        return {"reason": "queued", "position": None, "hint": f"More than {COUNTED:,} tasks are ahead."}
    hint = "Next in the queue." if place == 1 else f"Number {place} in the queue."
    return {"reason": "queued", "position": place, "hint": hint}


def due(now: datetime) -> Q:
    """A filter of runs that wait for a worker now: neither for a time, nor for another run."""
    return (
        Q(state__in=CLAIMABLE, held=False, finished_at=None)
        & (Q(eta=None) | Q(eta__lte=now) | Q(state=State.RETRY))
        & (Q(next_retry_at=None) | Q(next_retry_at__lte=now))
    )


def due_at() -> Expression:
    """Since when a run could begin: its next try, or its eta, or when what it waited for had ended, or its start."""
    free = Coalesce("freed_at", "accepted_at")
    first = Case(When(eta__gt=free, then=F("eta")), default=free)
    return Case(When(state=State.RETRY, next_retry_at__isnull=False, then=F("next_retry_at")), default=first)


def _place(run: TaskRun) -> int | None:
    """The run's place among those that wait for its queue, by priority and then by age; None beyond `COUNTED`."""
    earlier = Q(accepted_at__lt=run.accepted_at) | Q(accepted_at=run.accepted_at, pk__lt=run.pk)
    before, same = get_engine(run.engine).priorities(run.priority)
    ahead = before | (same & earlier)
    here = TaskRun.objects.filter(due(timezone.now()), ahead, queue=run.queue, engine=run.engine).order_by()
    count = len(here.values_list("pk", flat=True)[:COUNTED])
    return count + 1 if count < COUNTED else None


def retry_waiting(run: TaskRun) -> Waiting:
    """The wait between two attempts."""
    at = run.next_retry_at or timezone.now()
    of = f" of {run.max_tries}" if run.max_tries else ""
    hint = f"Try {run.tries - 1}{of} did not succeed; the next one starts at {_clock(at)}."
    return {"reason": "retry", "next_retry_at": _iso(at), "hint": hint}


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")


def _clock(moment: datetime) -> str:
    """With its day, where that is not today's. In UTC: how long it is till then is the page's to say."""
    moment = moment.astimezone(UTC)
    today = moment.date() == datetime.now(UTC).date()
    return f"{moment:%H:%M:%S} UTC" if today else f"{moment:%Y-%m-%d %H:%M} UTC"
