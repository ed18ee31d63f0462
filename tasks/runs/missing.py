"""Which messages are missing from a queue: there are never more messages than runs that wait for one."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from typing import TypeAlias

from django.db.models import QuerySet

from tasks.models import TaskRun

#: Seconds for which a run must be missing: between queue, worker and claim a message is nowhere for a moment.
SURE_AFTER = 2.5
#: Runs of its queue accepted so much later were claimed before it: its message is lost, though others are there.
OVERTAKEN_BY = timedelta(seconds=10)

#: An engine, and the name of a queue of its.
Queue: TypeAlias = tuple[str, str]


class Missing:
    """What one worker has seen of each queue, from look to look. Times are this process's own, monotonic."""

    def __init__(self) -> None:
        self._since: dict[Queue, dict[str, float]] = {}

    def forget(self, queue: Queue) -> None:
        """Nothing can be said of this queue now."""
        self._since.pop(queue, None)

    def look(
        self,
        queue: Queue,
        waiting: QuerySet[TaskRun],
        messages: int,
        with_workers: set[str],
        newest_claimed: datetime | None,
        most: int,
    ) -> list[str]:
        """Ids of the runs among `waiting` whose messages are lost; at most as many as messages are missing.

        `messages` are in the queue, those of `with_workers` are held by workers; runs up to `newest_claimed` were
        begun. With an empty queue every other run is missing, else those that much younger ones have overtaken.
        """
        total = waiting.exclude(pk__in=with_workers).count() if len(with_workers) < 500 else waiting.count()
        missing = total - messages
        if missing <= 0:
            self.forget(queue)
            return []
        suspects = waiting
        if messages:
            if newest_claimed is None:
                return []
            before = newest_claimed - OVERTAKEN_BY
            suspects = waiting.filter(accepted_at__lt=before, sent_at__lt=before)
        ids = suspects.order_by("accepted_at").values_list("pk", flat=True)[: most + len(with_workers)]
        found = [pk for pk in ids if pk not in with_workers][: min(most, missing)]
        now = time.monotonic()
        before_now = self._since.get(queue, {})
        self._since[queue] = {pk: before_now.get(pk, now) for pk in found}
        sure = [pk for pk in found if now - self._since[queue][pk] >= SURE_AFTER]
        for pk in sure:
            self._since[queue][pk] = now  # sent again: it has its time anew
        return sure
