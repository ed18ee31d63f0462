"""Is this process alive, and can it serve? For load balancers, systemd and people.

`/health/live` asks nobody. `/health/ready` asks everything that a task needs, all at once, and answers within a
second even when all of it hangs: 200, or 503 with the names of what fails.
"""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import cast

from channels.layers import get_channel_layer
from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.db import connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from progress.layer import ProgressChannelLayer
from tasks.celery import broker
from tasks.runs.waiting import pulse

from .environment import DEV_DIR

#: Seconds that all questions together may take; the answer is out within one.
PATIENCE = 0.6
#: Free bytes of the disk below which the database and the append-only file are about to fail.
LEAST_DISK = 200 * 1024 * 1024


@require_safe
@never_cache
@login_not_required
def live(request: HttpRequest) -> HttpResponse:
    """200: the process answers. Who restarts on anything else restarts for a reason."""
    return JsonResponse({"status": "ok"})


@require_safe
@never_cache
@login_not_required
def ready(request: HttpRequest) -> HttpResponse:
    """200 when a task that is started now will run and be seen; 503 with what is missing."""
    results = ask(QUESTIONS, PATIENCE)
    failing = sorted(name for name, trouble in results.items() if trouble)
    body = {"status": "failing" if failing else "ok", "failing": failing, "checks": dict(sorted(results.items()))}
    return JsonResponse(body, status=503 if failing else 200)


# --- the questions: each returns "" or what is wrong, without a name or address of ours -------------------------------


def database() -> str:
    """The database answers."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    finally:
        connection.close()
    return ""


def broker_answers() -> str:
    """The broker takes messages."""
    broker.ping(PATIENCE)
    return ""


def channels() -> str:
    """What is published arrives."""
    layer = cast(ProgressChannelLayer, get_channel_layer())
    return "" if layer.round_trip(PATIENCE) is not None else "A message did not arrive."


def workers() -> str:
    """Somebody works."""
    return "" if any(worker.alive for worker in pulse().workers) else "No worker is running."


def disk() -> str:
    """There is room."""
    free = shutil.disk_usage(DEV_DIR).free
    return "" if free >= LEAST_DISK else f"Only {free // 1024**2} MB are free."


QUESTIONS: dict[str, Callable[[], str]] = {
    "database": database,
    "broker": broker_answers,
    "channels": channels,
    "workers": workers,
    "disk": disk,
}

# One thread a question: who asks again while the last answer is still out does not start another.
_asked: dict[str, Future[str]] = {}
_lock = threading.Lock()


def ask(questions: dict[str, Callable[[], str]], patience: float) -> dict[str, str]:
    """What is wrong with each, "" for nothing. Never raises, never takes longer than `patience` seconds."""
    deadline = time.monotonic() + patience
    with _lock:
        for name, question in questions.items():
            if name not in _asked or _asked[name].done():
                _asked[name] = _start(name, question)
        asked = {name: _asked[name] for name in questions}
    wait(asked.values(), max(deadline - time.monotonic(), 0))
    return {name: future.result() if future.done() else "No answer." for name, future in asked.items()}


def _start(name: str, question: Callable[[], str]) -> Future[str]:
    future: Future[str] = Future()

    def run() -> None:
        try:
            answer = question()
        except Exception as error:
            answer = "Is away." if settings.PRODUCTION else f"{type(error).__name__}: {error}"
        future.set_result(answer)

    # A daemon: a question that hangs for ever must not keep the process from ending.
    threading.Thread(target=run, name=f"health-{name}", daemon=True).start()
    return future
