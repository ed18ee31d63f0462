"""What is running: web, broker, workers, queue and Flower, each with the command that starts it where it is missing."""

from __future__ import annotations

import http.client
import threading
import time
from urllib.parse import urlsplit

from django.conf import settings
from django.db import DatabaseError
from django.utils import timezone

from progress.types import JSON
from tasks.models import TaskRun
from tasks.runs.ask import LastAnswer
from tasks.runs.bounded import Count, count
from tasks.runs.waiting import due, pulse

#: Seconds for which one count of the queue serves every page of this process.
COUNT_FRESH = 0.5
#: Seconds between two looks at Flower.
FLOWER_EVERY = 3.0
#: Seconds that Flower may take to answer.
FLOWER_ANSWERS_WITHIN = 0.5


def status() -> dict[str, JSON]:
    """Each part's `{"ok", "text", "hint"}` and its figures. Never raises, and waits for half a second at most."""
    now = pulse()
    alive = [worker for worker in now.workers if worker.alive]
    slots = sum(worker.concurrency for worker in alive)
    busy = min(slots, sum(len(worker.active) for worker in alive))
    waiting = _queue.length()
    length = None if waiting is None else waiting.number
    flower = _flower.answer()
    return {
        "web": _part(True, "up", settings.TASKS_START_ALL),
        "broker": _part(
            now.reachable and now.broker,
            "up",
            settings.TASKS_START_ALL,
            missing="Redis is down" if now.broker else "down",
        ),
        "workers": {
            **_part(bool(alive), f"{len(alive)}, {busy} of {slots} busy", settings.TASKS_START_WORKER),
            "count": len(alive),
            "busy": busy,
            "slots": slots,
        },
        "queue": {
            **_part(waiting is not None, f"{waiting} waiting" if length else "empty", "", missing="unknown"),
            "length": length,
        },
        "flower": _part(flower, "up", start_flower()),
    }


def flower_url(task_id: str = "") -> str:
    """Flower's address for people; with `task_id`, its page of that task."""
    url: str = getattr(settings, "FLOWER_URL", "") or "http://localhost:8054"
    return f"{url.rstrip('/')}/task/{task_id}" if task_id else url


def start_flower() -> str:
    """The command that starts Flower where `flower_url` says that it is."""
    address = urlsplit(flower_url())
    prefix = address.path.strip("/")
    command = str(settings.TASKS_START_FLOWER.format(port=address.port or 8054))
    return f"{command} --url_prefix={prefix}" if prefix else command


def _part(ok: bool, text: str, hint: str, *, missing: str = "not running") -> dict[str, JSON]:
    """`hint`, the command that starts it, is told also while it runs: the page shows it once the server is gone."""
    return {"ok": ok, "text": text if ok else missing, "hint": hint}


class _Queue:
    """How many runs wait for a worker now, as far as they are counted; None while the database does not answer."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._length: Count | None = None
        self._at = float("-inf")

    def length(self) -> Count | None:
        with self._lock:
            if time.monotonic() - self._at > COUNT_FRESH:
                self._length = self._count()
                self._at = time.monotonic()
            return self._length

    @staticmethod
    def _count() -> Count | None:
        try:
            return count(TaskRun.objects.filter(due(timezone.now())))
        except DatabaseError:
            return None


def _flower_answers() -> bool:
    address = urlsplit(flower_url())
    kind = http.client.HTTPSConnection if address.scheme == "https" else http.client.HTTPConnection
    connection = kind(address.hostname or "localhost", address.port, timeout=FLOWER_ANSWERS_WITHIN)
    try:
        connection.request("GET", f"{address.path.rstrip('/')}/healthcheck")
        status = connection.getresponse().status
        # Its own address: 401 and 404 are answers as well. Below a path another program may give the 404.
        return status < 500 and (status != 404 or not address.path.strip("/"))
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


_queue = _Queue()
_flower = LastAnswer("tasks-flower", _flower_answers, every=FLOWER_EVERY, seconds=FLOWER_ANSWERS_WITHIN)
