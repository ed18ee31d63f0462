"""Fires what is due, once, whoever looks: each tick is one conditional UPDATE, and the run of it one unique key.

Every worker looks each second. Nobody leads here, so no tick waits for a leader that has just died; the UPDATE of the
entry's row (`last_due` goes forward only) lets one of them through. Between two ticks a look asks the database nothing.
"""

from __future__ import annotations

import heapq
import logging
import time
import uuid
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from tasks.models import FINAL, Schedule, TaskRun
from tasks.runs import DatabaseAway, counts

from . import alerts
from .due import FUTURE, decide
from .entry import Entry, Tick, entries, versions

logger = logging.getLogger(__name__)

#: Seconds between two questions whether entries have changed.
RELOAD_EVERY = 3.0
#: An entry that another worker's newer code has changed is looked at again after this long.
LOOK_AGAIN = timedelta(seconds=5)
#: Rows read by one statement: SQLite takes no more parameters.
SLICE = 500
#: Characters that are kept of why a tick could not be started.
MAX_ERROR = 500

_IDS = uuid.UUID("5f0c37a1-6a0e-4b40-9a55-3d0c9d0b7a19")


def tick_id(name: str, due: datetime) -> str:
    """The id of the run of that tick: the same, whoever starts it."""
    return str(uuid.uuid5(_IDS, f"{name}\n{due.timestamp():.6f}"))


class Firing:
    """The looks of one process. `now` is the clock."""

    def __init__(self, now: Callable[[], datetime] = timezone.now) -> None:
        self._now = now
        self._entries: dict[str, Entry] = {}
        self._heap: list[tuple[datetime, str]] = []
        self._versions: list[object] | None = None
        self._asked_at = float("-inf")
        self._looked: datetime | None = None

    def look(self) -> None:
        """Fire what is due now. One entry that cannot be dealt with stops no other; a database that is away does."""
        now = self._now()
        self._reload(now)
        self._let_go(now)
        names = []
        while self._heap and self._heap[0][0] <= now:
            names.append(heapq.heappop(self._heap)[1])
        try:
            for row in _rows(names):
                self._fire_due(self._entries[row.name], row, now)
        except BaseException:
            self._versions = None  # what was taken from the heap is not lost
            raise

    def _reload(self, now: datetime) -> None:
        """Read the entries anew where they may have changed, and the times where the clock was set back."""
        set_back = self._looked is not None and now < self._looked - FUTURE
        self._looked = now
        if time.monotonic() - self._asked_at >= RELOAD_EVERY or self._versions is None:
            self._asked_at = time.monotonic()
            alerts.tell_failures(self._entries.values(), now)
            asked = versions()
            if asked != self._versions:
                self._entries = entries()
                self._versions = asked
                set_back = True
        if not set_back:
            return
        able = {name: entry for name, entry in self._entries.items() if entry.when is not None and not entry.problem}
        for entry in self._entries.values():
            if entry.problem:
                logger.error("The entry %s does not fire: %s", entry.name, entry.problem)
        self._heap = []
        rows = {row.name: row for row in _rows(able)}
        new = [entry for name, entry in able.items() if name not in rows]
        Schedule.objects.bulk_create([_row_of(entry, now) for entry in new], ignore_conflicts=True, batch_size=SLICE)
        rows |= {row.name: row for row in _rows([entry.name for entry in new])}
        for name, row in rows.items():
            self._put_right(able[name], row, now)
            self._next(able[name], row.last_due, row.anchor)

    def _put_right(self, entry: Entry, row: Schedule, now: datetime) -> None:
        """Other times than the row's count from now, and what was missed of the old ones is over.

        A row that is done with what has yet to come was written before a clock was set back: the times until then come
        again, and those that had fired have their runs.
        """
        known = Schedule.objects.filter(pk=row.pk, fingerprint=row.fingerprint)
        if row.fingerprint != entry.fingerprint:
            known.update(fingerprint=entry.fingerprint, anchor=now, last_due=now, held_due=None)
            row.fingerprint, row.anchor, row.last_due, row.held_due = entry.fingerprint, now, now, None
        elif row.last_due > now + FUTURE:
            known.filter(last_due=row.last_due).update(last_due=now)
            row.last_due = now

    def _next(self, entry: Entry, after: datetime, anchor: datetime) -> None:
        at = entry.when.next(after, anchor) if entry.when else None
        if at is not None:
            heapq.heappush(self._heap, (entry.fires_at(at), entry.name))

    def _fire_due(self, entry: Entry, row: Schedule, now: datetime) -> None:
        try:
            if row.fingerprint != entry.fingerprint:  # a worker with newer code looks after it
                heapq.heappush(self._heap, (now + LOOK_AGAIN, entry.name))
                return
            done = now if row.paused_at is not None else self._fire(entry, row, now)
            self._next(entry, done, row.anchor)
        except DatabaseAway:
            raise
        except Exception:
            logger.exception("The entry %s cannot be fired.", entry.name)
            heapq.heappush(self._heap, (now + LOOK_AGAIN, entry.name))

    def _fire(self, entry: Entry, row: Schedule, now: datetime) -> datetime:
        """Returns up to when all is done with."""
        verdict = decide(entry, row.last_due, row.anchor, now)
        if verdict.until is None:
            return row.last_due
        free = Schedule.objects.filter(pk=row.pk, paused_at=None, fingerprint=entry.fingerprint)
        if verdict.until < row.last_due:  # the clock was set back
            free.filter(last_due=row.last_due).update(last_due=verdict.until)
            return verdict.until
        missed: dict[str, object] = {"missed": F("missed") + verdict.missed, "missed_at": now} if verdict.missed else {}
        for due in verdict.fire or (verdict.until,):
            with transaction.atomic():
                if not free.filter(last_due__lt=due).update(last_due=due, **missed):
                    continue  # another worker's
                if due in verdict.fire:
                    self._tick(entry, row, due, now)
            if missed:
                logger.warning("%s: %s ticks were missed.", entry.name, verdict.missed)
                counts.missed(entry.name, verdict.missed)
                alerts.tell_missed(entry, verdict.missed)
                missed = {}
        return verdict.until

    def _tick(self, entry: Entry, row: Schedule, due: datetime, now: datetime) -> None:
        """In the transaction that has taken this tick: start it, or what the rule for an overlap says."""
        rule, mine = entry.rules.overlap, Schedule.objects.filter(pk=row.pk)
        if rule != "beside" and is_active(entry.name):
            if rule == "skip" or mine.filter(held_due__isnull=False).exists():
                mine.update(skipped=F("skipped") + 1, skipped_at=now)
            if rule == "wait":
                mine.update(held_due=due)
            return
        self._start(entry, row, due, now)

    def _start(self, entry: Entry, row: Schedule, due: datetime, now: datetime) -> None:
        mine = Schedule.objects.filter(pk=row.pk)
        try:
            with transaction.atomic():
                entry.start(Tick(entry.name, due, tick_id(entry.name, due)))
        except DatabaseAway:
            raise
        except Exception as error:
            text = f"{type(error).__name__}: {error}"[:MAX_ERROR]
            if text != row.error:
                logger.exception("%s could not be started at %s.", entry.name, due)
            mine.update(error=text, error_at=now)
            return
        if row.error:
            mine.update(error="", error_at=None)
        entry.fired(now)
        counts.ticked(entry.name, (now - entry.fires_at(due)).total_seconds())

    def _let_go(self, now: datetime) -> None:
        """Ticks that waited for the run before them."""
        waiting = [entry.name for entry in self._entries.values() if entry.rules.overlap == "wait"]
        if not waiting:
            return
        for row in Schedule.objects.filter(held_due__isnull=False, paused_at=None):
            entry = self._entries.get(row.name)
            if entry is None or row.name not in waiting or entry.problem or is_active(row.name):
                continue
            with transaction.atomic():
                if Schedule.objects.filter(pk=row.pk, held_due=row.held_due, paused_at=None).update(held_due=None):
                    self._start(entry, row, row.held_due, now)  # type: ignore[arg-type]  # not null by the filter


def is_active(name: str) -> bool:
    """True if a run of that entry has not ended."""
    return TaskRun.objects.filter(periodic=name).exclude(state__in=FINAL).exists()


def run_now(entry: Entry) -> object:
    """Start it beside its times. Raises what its start raises."""
    return entry.start(Tick(entry.name, None, str(uuid.uuid4())))


def pause(name: str, by: str, now: datetime) -> bool:
    """Fire it no more, until `resume`. False if there is no such entry, or it is paused."""
    return bool(Schedule.objects.filter(name=name, paused_at=None).update(paused_at=now, paused_by=by[:150]))


def resume(name: str, now: datetime) -> bool:
    """Fire it from now on: what came while it was paused does not come back. False if it was not paused."""
    paused = Schedule.objects.filter(name=name, paused_at__isnull=False)
    return bool(paused.update(paused_at=None, paused_by="", last_due=now, held_due=None))


def forget(older_than: timedelta) -> None:
    """Delete what is known of entries that are gone, and have had no tick for this long."""
    gone = Schedule.objects.filter(last_due__lt=timezone.now() - older_than, paused_at=None)
    gone.exclude(name__in=list(entries())).delete()


def _row_of(entry: Entry, now: datetime) -> Schedule:
    return Schedule(name=entry.name, fingerprint=entry.fingerprint, anchor=now, last_due=now, alerted_at=now)


def _rows(names: Iterable[str]) -> list[Schedule]:
    names = list(names)
    parts = (names[begin : begin + SLICE] for begin in range(0, len(names), SLICE))
    return [row for part in parts for row in Schedule.objects.filter(name__in=part)]
