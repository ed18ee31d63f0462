"""Which messages are missing from a queue: there are never more messages than runs that wait for one.

A look costs the same however many runs wait. They are counted only where something looks lost, and then so seldom
that counting takes no more than a hundredth of the time.
"""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from typing import TypeAlias

from django.db.models import Max, QuerySet

from tasks.models import State, TaskRun

#: Seconds for which a run must be missing: between queue, worker and claim a message is nowhere for a moment.
SURE_AFTER = 2.5
#: Runs of its queue accepted this much later were claimed before it: its message is lost, though others are there.
OVERTAKEN_BY = timedelta(seconds=10)
#: Of the runs that ended last, this many say which was the newest that was begun.
ENDED_LAST = 100
#: Counting may take this part of the time.
SHARE = 0.01

#: An engine, and the name of a queue of its.
Queue: TypeAlias = tuple[str, str]


class Missing:
    """What one worker has seen of each queue, from look to look. Times are this process's own, monotonic."""

    def __init__(self) -> None:
        self._since: dict[Queue, dict[str, float]] = {}
        self._newest: dict[Queue, datetime] = {}
        self._count_at: dict[Queue, float] = {}

    def forget(self, queue: Queue) -> None:
        """Nothing can be said of this queue now."""
        self._since.pop(queue, None)

    def begun(self) -> None:
        """Look which runs of each queue were begun."""
        last = TaskRun.objects.filter(finished_at__isnull=False, attempt__gt=0).order_by("-finished_at")
        ended = last.values_list("engine", "queue", "accepted_at", "eta")[:ENDED_LAST]
        running = TaskRun.objects.filter(state=State.STARTED, eta=None).order_by().values_list("engine", "queue")
        found = [(engine, queue, at) for engine, queue, at, eta in ended if eta is None]
        for engine, queue, at in [*found, *running.annotate(newest=Max("accepted_at"))]:
            self._newest[engine, queue] = max(at, self._newest.get((engine, queue), at))

    def look(
        self, queue: Queue, waiting: QuerySet[TaskRun], messages: int, with_workers: set[str], most: int
    ) -> list[str]:
        """Ids of the runs among `waiting` whose messages are lost; at most as many as messages are missing.

        `messages` are in the queue, those of `with_workers` are held by workers. With an empty queue every other run is
        missing, else those that much younger ones have overtaken.
        """
        suspects = waiting
        if messages:
            if queue not in self._newest:
                return []
            before = self._newest[queue] - OVERTAKEN_BY
            suspects = waiting.filter(accepted_at__lt=before, sent_at__lt=before)
        ids = suspects.order_by("accepted_at").values_list("pk", flat=True)[: most + len(with_workers)]
        found = [pk for pk in ids if pk not in with_workers]
        if not found:
            self.forget(queue)
            return []
        if messages:
            now = time.monotonic()
            if now < self._count_at.get(queue, now):
                return []
            missing = _count(waiting, with_workers) - messages
            self._count_at[queue] = time.monotonic() + (time.monotonic() - now) / SHARE
            if missing <= 0:
                self.forget(queue)
                return []
            found = found[:missing]
        found = found[:most]
        now = time.monotonic()
        before_now = self._since.get(queue, {})
        self._since[queue] = {pk: before_now.get(pk, now) for pk in found}
        sure = [pk for pk in found if now - self._since[queue][pk] >= SURE_AFTER]
        for pk in sure:
            self._since[queue][pk] = now  # sent again: it has its time anew
        return sure


def _count(waiting: QuerySet[TaskRun], with_workers: set[str]) -> int:
    return waiting.exclude(pk__in=with_workers).count() if len(with_workers) < 500 else waiting.count()
