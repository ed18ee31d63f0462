"""Tells ALERT_URLS of trouble, once when it begins and once when it is over, whoever looks.

Nobody leads here: every worker looks, and every web process, as it is the last that can say that no worker is left. The
row of an alert has a unique key, and each change of it is one conditional statement: who made it, tells.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlencode

from django.conf import settings
from django.db import close_old_connections
from django.utils import timezone

from tasks.models import Alert

from . import failures
from .incident import span_text
from .notify import Messenger
from .now import queues_now
from .waiting import Pulse, pulse

logger = logging.getLogger(__name__)

#: Seconds between two looks of a process.
LOOK_EVERY = 10.0
#: A group is new for so long, and over when it has not failed for so long.
NEW_WITHIN, OVER_AFTER = timedelta(minutes=10), timedelta(minutes=15)
#: Nobody takes from a queue for so long: a worker that is restarted is back before.
NOBODY_FOR = timedelta(seconds=30)
#: What is over does not begin again before.
PAUSE = timedelta(minutes=1)
#: Groups that failed last, which are looked at.
GROUPS = 50

NEW, GROWS, WAITS, NO_WORKER = "new", "grows", "waits", "no_worker"


@dataclass(frozen=True, slots=True)
class Trouble:
    """What is wrong, by a key of its own, and where one sees more."""

    key: str
    title: str
    body: str
    path: str


class Alerts:
    """The looks of one process."""

    def __init__(self, messenger: Callable[[], Messenger] | None = None) -> None:
        self._make = messenger or (lambda: Messenger(settings.TASKS_ALERT_URLS, "ALERT_URLS"))
        self._messenger: Messenger | None = None
        self._looked = float("-inf")
        self._nobody_since: float | None = None

    def look(self) -> None:
        """Every few seconds: tell what has begun, and what is over."""
        if not settings.TASKS_ALERT_URLS or time.monotonic() - self._looked < LOOK_EVERY:
            return
        self._looked = time.monotonic()
        self.compare(timezone.now(), pulse())

    def compare(self, now: datetime, alive: Pulse) -> None:
        """Tell the difference between what was told and what is."""
        before = dict(Alert.objects.filter(is_open=True).values_list("key", "title"))
        verdicts: dict[str, bool] = {}
        begun = [*self._failing(now, before, verdicts), *self._waiting(now, alive, before, verdicts)]
        for trouble in begun:
            if trouble.key not in before and _begin(trouble, now):
                self._tell(trouble.title, f"{trouble.body} {settings.TASKS_SITE_URL}{trouble.path}")
        for key, still in verdicts.items():
            if not still and Alert.objects.filter(key=key, is_open=True).update(is_open=False, changed_at=now):
                self._tell(f"Over: {before[key]}", f"{before[key]}: it is over. {settings.TASKS_SITE_URL}/runs/now/")

    def _failing(self, now: datetime, before: dict[str, str], verdicts: dict[str, bool]) -> Iterator[Trouble]:
        """Groups that are new, and that grow. Who is ignored is told no more, nor that it is over."""
        apart, everything = failures.ignored(), failures.groups()
        last = {group.fingerprint: group.last for group in everything}
        for key in before:
            kind, _, name = key.partition(":")
            if kind not in (NEW, GROWS):
                continue
            if name in apart:
                Alert.objects.filter(key=key).update(is_open=False, changed_at=now)
            elif name not in last or last[name] < now - OVER_AFTER:
                verdicts[key] = False
        late = [one for one in everything if one.last >= now - NEW_WITHIN and one.fingerprint not in apart]
        grown = failures.growing([group.fingerprint for group in late[:GROUPS]], now)
        for group in late[:GROUPS]:
            new = group.first >= now - NEW_WITHIN and f"{NEW}:{group.fingerprint}" not in before
            grows = f"{GROWS}:{group.fingerprint}" not in before and group.fingerprint in grown
            if not new and not grows:
                continue
            failures.number([group])
            failures.describe([group])
            task = ", ".join(name.rpartition(".")[2] for name in group.tasks)
            workers = ", ".join(f"{name} ×{number}" for name, number in group.workers) or "none"
            body = f"{group.number} of {task}, workers: {workers}. {group.message[:300]}"
            path = f"/runs/?{urlencode({'fingerprint': group.fingerprint})}"
            if new:
                yield Trouble(f"{NEW}:{group.fingerprint}", f"New failure: {group.fingerprint}", body, path)
            if grows:
                yield Trouble(f"{GROWS}:{group.fingerprint}", f"More and more: {group.fingerprint}", body, path)

    def _waiting(
        self, now: datetime, alive: Pulse, before: dict[str, str], verdicts: dict[str, bool]
    ) -> Iterator[Trouble]:
        """Queues whose oldest waits too long, and from which nobody takes; none of it while Redis cannot say."""
        queues = {queue.name: queue for queue in queues_now(now, alive)}
        bound = timedelta(seconds=settings.TASKS_ALERT_WAIT)
        for key in before:
            kind, _, name = key.partition(":")
            queue = queues.get(name)
            oldest = queue.oldest if queue else None
            served = bool(queue and queue.workers) if name else _anybody(alive)  # nobody is seen while Redis is away
            if (kind == WAITS and (oldest is None or now - oldest <= bound / 2)) or (
                kind == NO_WORKER and (served or (name and oldest is None))
            ):
                verdicts[key] = False
        nobody = self._nobody(alive)
        if nobody:
            waiting = sum(queue.waiting.number for queue in queues.values())
            body = f"{waiting:,} wait. Start one: {settings.TASKS_START_WORKER}."
            yield Trouble(f"{NO_WORKER}:", "No worker is running", body, "/runs/now/")
        for queue in queues.values():
            if queue.oldest is None:
                continue
            wait = now - queue.oldest
            if queue.workers == 0 and wait > NOBODY_FOR and _anybody(alive):
                body = f"{queue.waiting} wait. Start one: {queue.command}."
                yield Trouble(f"{NO_WORKER}:{queue.name}", f"No worker takes from {queue.name}", body, "/runs/now/")
            if wait > bound:
                body = f"{queue.waiting} wait, the oldest for {span_text(wait)}; the queue {queue.trend}."
                yield Trouble(f"{WAITS}:{queue.name}", f"{queue.name} waits too long", body, "/runs/now/")

    def _nobody(self, alive: Pulse) -> bool:
        """True if no worker was alive in any look for so long."""
        if not alive.reachable or _anybody(alive):
            self._nobody_since = None
            return False
        if self._nobody_since is None:
            self._nobody_since = time.monotonic()
        return time.monotonic() - self._nobody_since >= NOBODY_FOR.total_seconds()

    def _tell(self, title: str, body: str) -> None:
        if self._messenger is None:
            self._messenger = self._make()
        while self._messenger.problems:  # of what was sent before
            logger.warning("An alert was not sent: %s", self._messenger.problems.pop(0))
        self._messenger.send(title, body)


def _anybody(alive: Pulse) -> bool:
    return any(worker.alive for worker in alive.workers)


def _begin(trouble: Trouble, now: datetime) -> bool:
    """True for the one who began it."""
    over = Alert.objects.filter(key=trouble.key, is_open=False, changed_at__lte=now - PAUSE)
    if over.update(is_open=True, title=trouble.title[:400], changed_at=now):
        return True
    values = {"title": trouble.title[:400], "changed_at": now}
    return Alert.objects.get_or_create(key=trouble.key, defaults=values)[1]


def forget(older_than: timedelta) -> None:
    """Delete what was over so long ago."""
    Alert.objects.filter(is_open=False, changed_at__lt=timezone.now() - older_than).delete()


_watching = threading.Lock()


def watch() -> None:
    """Look from this web process as well, in one thread, where anybody is to be told."""
    if settings.TASKS_ALERT_URLS and _watching.acquire(blocking=False):
        watcher = threading.Thread(target=_watch, args=(Alerts(), threading.Event()), name="tasks-alerts", daemon=True)
        watcher.start()


def _watch(alerts: Alerts, stop: threading.Event) -> None:
    while not stop.wait(LOOK_EVERY):
        close_old_connections()
        try:
            alerts.look()
        except Exception as error:  # the database is away, say: the next look follows
            logger.warning("A look for alerts failed: %s", error)
        finally:
            close_old_connections()
