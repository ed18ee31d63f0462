"""Counts of what happens to runs, for /metrics: added up here, sent to Redis every two seconds by a thread.

In Redis because the processes that count are many and short-lived. Counting costs an addition; while Redis is away the
numbers wait here, and a process that is killed takes its last two seconds with it. They are figures, not records.
"""

from __future__ import annotations

import contextlib
import os
import threading
from bisect import bisect_left
from collections import defaultdict
from typing import cast

import redis
from django.conf import settings

from progress.redis import make_client
from tasks.models import TaskRun

#: Seconds between two sendings.
SEND_EVERY = 2.0
#: Upper bounds of the histograms, in seconds.
BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200)
#: What parts the words of a field: it is in no task's name and in no state.
BAR = "|"


class Counts:
    """A bag of numbers that empties itself into a Redis hash."""

    def __init__(self) -> None:
        self._forked()
        os.register_at_fork(after_in_child=self._forked)

    def _forked(self) -> None:
        # The parent's thread is not here, and what it holds it sends itself.
        self._lock = threading.Lock()
        self._values: dict[str, float] = defaultdict(float)
        self._thread: threading.Thread | None = None
        self._client: redis.Redis | None = None

    def add(self, *words: str, by: float = 1) -> None:
        """Count."""
        with self._lock:
            self._values[BAR.join(words)] += by
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="tasks-metrics", daemon=True)
                self._thread.start()

    def flush(self) -> None:
        """Send what there is; it stays here when Redis is away."""
        with self._lock:
            values, self._values = self._values, defaultdict(float)
        if not values:
            return
        try:
            if self._client is None:
                self._client = make_client(settings.REDIS_URL)
            with self._client.pipeline(transaction=True) as pipe:
                for field, value in values.items():
                    pipe.hincrbyfloat(_key(), field, value)
                pipe.execute()
        except (redis.RedisError, OSError):
            with self._lock:
                for field, value in values.items():
                    self._values[field] += value

    def _run(self) -> None:
        pause = threading.Event()
        while not pause.wait(SEND_EVERY):
            with contextlib.suppress(Exception):
                self.flush()


counts = Counts()


def accepted(run: TaskRun) -> None:
    """A run was stored."""
    counts.add("accepted", run.name)


def claimed(run: TaskRun) -> None:
    """An attempt begins."""
    counts.add("attempts", run.name)
    if run.attempt == 1 and run.started_at is not None:
        due = max(moment for moment in (run.accepted_at, run.eta, run.freed_at) if moment)
        _observe("wait", run.name, (run.started_at - due).total_seconds())


def ended(run: TaskRun) -> None:
    """A run has its end."""
    counts.add("finished", run.name, str(run.state))
    if run.started_at is not None and run.finished_at is not None:
        _observe("run", run.name, (run.finished_at - run.started_at).total_seconds())


def refused() -> None:
    """A stale attempt tried to write."""
    counts.add("refused")


def sent_again() -> None:
    """A run whose message or worker was lost is sent again."""
    counts.add("sent_again")


def ticked(entry: str, late: float) -> None:
    """A tick of a schedule's entry fired, this many seconds late."""
    counts.add("ticks", entry)
    _observe("late", entry, late)


def missed(entry: str, count: int) -> None:
    """Ticks that nobody was there for, and that do not fire any more."""
    counts.add("ticks_missed", entry, by=count)


def _observe(name: str, task: str, seconds: float) -> None:
    seconds = max(seconds, 0)
    place = bisect_left(BUCKETS, seconds)
    counts.add(name, task, str(BUCKETS[place]) if place < len(BUCKETS) else "+Inf")
    counts.add(f"{name}_sum", task, by=seconds)


def read() -> dict[tuple[str, ...], float]:
    """All counts of all processes, by their words. Raises what the client raises when Redis is away."""
    with make_client(settings.REDIS_URL, socket_timeout=0.5, socket_connect_timeout=0.5) as client:
        held = cast("dict[bytes, bytes]", client.hgetall(_key()))
    return {tuple(field.decode().split(BAR)): float(value) for field, value in held.items()}


def _key() -> str:
    return f"{settings.REDIS_PREFIX}:metrics"
