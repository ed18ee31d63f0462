"""The first minute of an incident: what is wrong, which failures, which queues, which workers. All of it is bounded."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Count as CountOf
from django.db.models import Min, QuerySet
from django.utils import timezone

from progress.types import JSON
from tasks.models import CELERY, State, TaskRun

from . import failures
from .beats import Worker
from .bounded import COUNTED, Count, count, distinct
from .engine import engines
from .incident import Sentence, Span, in_words, percent, share_of, span_text, trouble
from .releases import current
from .state import iso
from .waiting import Pulse, due, due_at, pulse

#: Seconds for which one look serves every page of this process, and one at what is usual.
FRESH, USUAL_FRESH = 1.0, 60.0
#: The last hour in spans, and how many ends of each are counted.
SPAN, SPANS, MOST_ENDED = timedelta(minutes=5), 12, 50_000
#: What is usual, by so many runs that ended within a day, but not in the last hour.
SAMPLE, DAY, HOUR = 5_000, timedelta(days=1), timedelta(hours=1)
#: In and out of queues, by so many runs of these minutes.
FLOW, FLOW_READ = timedelta(minutes=5), 5_000
#: Groups that are counted, and shown; runs of a worker that are named.
GROUPS, SHOWN, NAMED = 50, 10, 5
#: Failures by which workers are judged.
FAILURES_READ = 1_000


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue of an engine: `oldest` since when its oldest waits, `came` and `went` a minute."""

    engine: str
    queue: str
    waiting: Count
    oldest: datetime | None
    came: float
    went: float
    workers: int | None

    @property
    def name(self) -> str:
        """Its name, with that of its engine where that is not the usual one."""
        return self.queue if self.engine == CELERY else f"{self.queue} ({self.engine})"

    @property
    def command(self) -> str:
        """What starts a worker for it; "" where its engine is not set up here."""
        return next((one.start_command(self.queue) for one in engines() if one.name == self.engine), "")

    @property
    def trend(self) -> str:
        """Whether it grows, shrinks, or neither; of an empty one that it is empty."""
        if not self.waiting.number:
            return "empty"
        if abs(self.came - self.went) <= 0.05 * max(self.came, self.went):
            return "steady"
        return "grows" if self.came > self.went else "shrinks"

    @property
    def empty_in(self) -> str:
        """When it is empty, if it goes on like this; "" where it does not shrink."""
        if self.trend != "shrinks" or self.waiting.more:
            return ""
        return span_text(timedelta(minutes=self.waiting.number / (self.went - self.came)))


@dataclass(frozen=True, slots=True)
class AtWork:
    """A worker: the runs that it is busy with, and how many failed in it within the hour."""

    worker: Worker
    busy: list[TaskRun]
    failed: int

    @property
    def silent_since(self) -> datetime | None:
        """The time of its last beat, where that is not just now."""
        return None if self.worker.alive else timezone.now() - timedelta(seconds=self.worker.silent_for)


@dataclass(frozen=True, slots=True)
class Now:
    """All of it; `workers` is None while Redis cannot say."""

    at: datetime
    sentences: list[Sentence]
    release: str
    released: datetime | None
    groups: list[tuple[failures.Group, bool, bool]] = field(default_factory=list)
    queues: list[Queue] = field(default_factory=list)
    workers: list[AtWork] | None = None

    def as_json(self) -> dict[str, JSON]:
        """For scripts: times are ISO 8601, lengths seconds."""
        return {
            "at": iso(self.at),
            "sentence": str(self.sentences[0]),
            "since": iso(self.sentences[0].at),
            "more": [str(one) for one in self.sentences[1:]],
            "release": self.release,
            "released_at": iso(self.released),
            "groups": [_group_json(*one) for one in self.groups],
            "queues": [self._queue_json(one) for one in self.queues],
            "workers": None if self.workers is None else [_worker_json(one) for one in self.workers],
        }

    def _queue_json(self, queue: Queue) -> JSON:
        return {
            "name": queue.name,
            "waiting": queue.waiting.number,
            "waiting_more": queue.waiting.more,
            "oldest_seconds": (self.at - queue.oldest).total_seconds() if queue.oldest else None,
            "in_per_minute": round(queue.came, 1),
            "out_per_minute": round(queue.went, 1),
            "trend": queue.trend,
            "workers": queue.workers,
        }


def _group_json(group: failures.Group, is_new: bool, grows: bool) -> JSON:
    return {
        "fingerprint": group.fingerprint,
        "in_the_last_hour": group.number.number,
        "more": group.number.more,
        "first": iso(group.first),
        "last": iso(group.last),
        "new_since_release": is_new,
        "grows": grows,
        "tasks": list(group.tasks),
        "workers": dict(group.workers),
        "newest": group.newest,
    }


def _worker_json(one: AtWork) -> JSON:
    return {
        "id": one.worker.id,
        "hostname": one.worker.hostname,
        "queues": list(one.worker.queues),
        "slots": one.worker.concurrency,
        "busy": [{"id": run.pk, "task": run.name, "since": iso(run.started_at)} for run in one.busy],
        "release": one.worker.release,
        "failed_in_the_last_hour": one.failed,
        "silent_since": iso(one.silent_since),
    }


class _Ended:
    """Ends and failures of the last hour. A span that is over does not change: it is counted once a process."""

    def __init__(self) -> None:
        self._over: dict[datetime, Span] = {}
        self._usual: tuple[float, float | None] = (float("-inf"), None)

    def spans(self, now: datetime) -> list[Span]:
        """The oldest first."""
        newest = now - timedelta(seconds=now.timestamp() % SPAN.total_seconds())
        begins = [newest - SPAN * back for back in range(SPANS - 1, -1, -1)]
        self._over = {begin: span for begin, span in self._over.items() if begin in begins}
        for begin in begins:
            # A little later, as an end is committed after the time that it names.
            if begin not in self._over and begin + SPAN < now - timedelta(seconds=30):
                self._over[begin] = _span(begin)
        return [self._over.get(begin) or _span(begin) for begin in begins]

    def usual(self, now: datetime) -> float | None:
        """The share of failures before the last hour; None where too few ended."""
        at, share = self._usual
        if time.monotonic() - at > USUAL_FRESH:
            share = share_of([_sample(now)])
            self._usual = time.monotonic(), share
        return share


def _span(begin: datetime) -> Span:
    ended = TaskRun.objects.filter(finished_at__gte=begin, finished_at__lt=begin + SPAN)
    return Span(begin, count(ended, MOST_ENDED).number, count(_failed(ended), MOST_ENDED).number)


def _failed(found: QuerySet[TaskRun]) -> QuerySet[TaskRun]:
    """By the index that has failures alone."""
    return found.filter(fingerprint__isnull=False)


def _sample(now: datetime) -> Span:
    ended = TaskRun.objects.filter(finished_at__gte=now - DAY, finished_at__lt=now - HOUR)
    oldest = ended.order_by("-finished_at").values_list("finished_at", flat=True)[SAMPLE : SAMPLE + 1].first()
    if oldest is not None:
        ended = ended.filter(finished_at__gt=oldest)
    return Span(now - DAY, count(ended, 2 * SAMPLE).number, count(_failed(ended), 2 * SAMPLE).number)


_ended = _Ended()
_last: tuple[float, Now | None] = (float("-inf"), None)


def look() -> Now:
    """What is now; one look a second serves all pages of this process."""
    global _last
    at, found = _last
    if found is None or time.monotonic() - at > FRESH:
        found = _look(timezone.now())
        _last = time.monotonic(), found
    return found


def _look(now: datetime) -> Now:
    alive, release = pulse(), current()
    spans, usual = _ended.spans(now), _ended.usual(now)
    shown = _groups(now)
    grown = failures.growing([group.fingerprint for group in shown], now)
    queues = queues_now(now, alive)
    sentences = _waits(queues, alive, now)
    found = trouble(spans, usual)
    if found is not None:
        begin = found.begin
        if not found.longer:  # to the second in which it began, and not to its span
            first = _failed(TaskRun.objects.filter(finished_at__gte=begin)).order_by("finished_at")
            begin = first.values_list("finished_at", flat=True).first() or begin
        names = (release.name, release.since) if release else ("", None)
        sentences.insert(1 if sentences and not alive.broker else 0, in_words(found, begin, *names))
    return Now(
        now,
        sentences or [_calm(spans)],
        release.name if release else "",
        release.since if release else None,
        [(group, group.is_new(release), group.fingerprint in grown) for group in shown],
        queues,
        _workers(alive, now),
    )


def _calm(spans: Sequence[Span]) -> Sentence:
    ended, failed = sum(span.ended for span in spans), sum(span.failed for span in spans)
    if not ended:
        return Sentence("All is well: nothing ended within the last hour, and nothing waits too long.")
    return Sentence(f"All is well: {percent(failed / ended)} of {ended:,} that ended within the last hour failed.")


def _waits(queues: Sequence[Queue], alive: Pulse, now: datetime) -> list[Sentence]:
    """What is wrong with queues, the worst first."""
    said = []
    waiting = sum(queue.waiting.number for queue in queues)
    if not alive.broker:
        said.append(Sentence(f"The broker is down: {waiting:,} wait, and are sent when it is back."))
    elif not alive.reachable:
        said.append(Sentence("Redis is down: which workers run cannot be seen."))
    for queue in sorted(queues, key=lambda queue: queue.oldest or now):
        long = queue.oldest is not None and now - queue.oldest > timedelta(seconds=settings.TASKS_ALERT_WAIT)
        if queue.workers == 0 and queue.waiting.number:
            text = f"No worker takes from {queue.name}, and {queue.waiting} wait. Start one: {queue.command}"
            said.append(Sentence(text))
        elif long and queue.oldest is not None and alive.broker:
            oldest = span_text(now - queue.oldest)
            said.append(Sentence(f"{queue.name} {queue.trend}: {queue.waiting} wait, the oldest for {oldest}."))
    return said


def _groups(now: datetime) -> list[failures.Group]:
    """The groups of the last hour, the largest first."""
    apart = failures.ignored()
    found = [one for one in failures.groups() if one.last >= now - HOUR and one.fingerprint not in apart][:GROUPS]
    failures.number(found, now - HOUR)
    found = sorted(found, key=lambda group: group.number.number, reverse=True)[:SHOWN]
    failures.describe(found)
    return found


def queues_now(now: datetime, alive: Pulse) -> list[Queue]:
    """Each queue in which something waits, or from which a worker takes."""
    waiting = TaskRun.objects.filter(finished_at=None, held=False)
    queues = distinct(waiting, "queue")
    names = [(engine, name) for name in queues for engine in distinct(waiting.filter(queue=name), "engine")]
    served = {(one.engine, name) for one in alive.workers if one.alive for name in one.queues}
    names += sorted(served - set(names))
    came = _flow(TaskRun.objects.filter(accepted_at__gte=now - FLOW), "accepted_at", now)
    went = _flow(TaskRun.objects.filter(finished_at__gte=now - FLOW), "finished_at", now)
    most = max(1_000, COUNTED // max(len(names), 1))
    found = []
    for engine, name in names:
        mine = TaskRun.objects.filter(due(now), engine=engine, queue=name).order_by("accepted_at")
        told = mine.annotate(begin=due_at())[: most + 1].aggregate(number=CountOf("pk"), oldest=Min("begin"))
        number = Count(min(told["number"], most), told["number"] > most)
        workers = sum(one.serves(name, engine) for one in alive.workers) if alive.reachable else None
        key = (engine, name)
        found.append(Queue(engine, name, number, told["oldest"], came.get(key, 0.0), went.get(key, 0.0), workers))
    return found


def _flow(found: QuerySet[TaskRun], column: str, now: datetime) -> dict[tuple[str, str], float]:
    """How many a minute of each queue, by the newest."""
    newest = found.order_by(f"-{column}")
    queues = list(newest.values_list("engine", "queue")[:FLOW_READ])
    minutes = FLOW.total_seconds() / 60
    if len(queues) == FLOW_READ:
        oldest = newest.values_list(column, flat=True)[FLOW_READ - 1 : FLOW_READ].first()
        minutes = max((now - oldest).total_seconds() if oldest else 0.0, 1.0) / 60
    return {queue: number / minutes for queue, number in Counter(queues).items()}


def _workers(alive: Pulse, now: datetime) -> list[AtWork] | None:
    if not alive.reachable:
        return None
    ids = [pk for one in alive.workers for pk in one.active[:NAMED]]
    busy = {run.pk: run for run in TaskRun.objects.filter(pk__in=ids, state=State.STARTED).only("name", "started_at")}
    failed = _failed(TaskRun.objects.filter(finished_at__gte=now - HOUR)).order_by("-finished_at")
    of = Counter(failed.values_list("worker", flat=True)[:FAILURES_READ])
    found = [
        AtWork(one, [busy[pk] for pk in one.active[:NAMED] if pk in busy], of.get(one.id, 0)) for one in alive.workers
    ]
    return sorted(found, key=lambda one: (one.worker.alive, -one.failed, one.worker.hostname))
