"""Is this process alive, and can it serve? For load balancers, systemd and people.

`/health/live` asks no other server. `/health/ready` asks everything that a task needs, all at once, and answers within
a second even when all of it hangs: 200, or 503 with the names of what fails.
"""

from __future__ import annotations

import secrets
import shutil
from concurrent.futures import Future, wait
from datetime import UTC, datetime
from typing import cast

from channels.layers import get_channel_layer
from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.contrib.sessions.models import Session
from django.db import connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from progress.layer import ProgressChannelLayer
from tasks.celery import broker
from tasks.runs.ask import OneAtATime
from tasks.runs.waiting import pulse

from .environment import DEV_DIR

#: Seconds that all checks together may take; the answer is out within one.
READY_TIMEOUT = 0.6
#: Seconds for which one answer serves all who ask: anybody may, and each look opens connections.
READY_FRESH = 1.0
#: Free bytes of the disk below which the database and the append-only file are about to fail.
LEAST_DISK = 200 * 1024 * 1024
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


@require_safe
@never_cache
@login_not_required
def live(request: HttpRequest) -> HttpResponse:
    """200: the process answers. A supervisor that restarts it on anything else has a reason."""
    return JsonResponse({"status": "ok"})


@require_safe
@never_cache
@login_not_required
def ready(request: HttpRequest) -> HttpResponse:
    """200 when a task that is started now will run and be seen; 503 with what is missing."""
    results = run(CHECKS, READY_TIMEOUT)
    failing = sorted(name for name, trouble in results.items() if trouble)
    body = {"status": "failing" if failing else "ok", "failing": failing, "checks": dict(sorted(results.items()))}
    return JsonResponse(body, status=503 if failing else 200)


# --- the checks: each returns "" or what is wrong, without a name or address of ours ----------------------------------


def database() -> str:
    """The database answers, and takes a write: one that is read-only or whose disk is full still answers.

    The row is a session that ended long ago; `clearsessions` may delete it.
    """
    try:
        Session.objects.update_or_create(
            session_key="written-by-health-ready",
            defaults={"session_data": secrets.token_hex(8), "expire_date": LONG_AGO},
        )
    finally:
        connection.close()  # it is asked in a thread of its own, which ends with the answer
    return ""


def broker_answers() -> str:
    """The broker takes messages."""
    broker.ping(READY_TIMEOUT)
    return ""


def channels() -> str:
    """What is published arrives."""
    layer = cast(ProgressChannelLayer, get_channel_layer())
    return "" if layer.round_trip(READY_TIMEOUT) is not None else "A message did not arrive."


def workers() -> str:
    """A worker is there."""
    return "" if any(worker.alive for worker in pulse().workers) else "No worker is running."


def disk() -> str:
    """There is room."""
    free = shutil.disk_usage(DEV_DIR).free
    return "" if free >= LEAST_DISK else f"Only {free // 1024**2} MB are free."


CHECKS: dict[str, OneAtATime[str]] = {
    name: OneAtATime(check, f"health-{name}", fresh=READY_FRESH)
    for name, check in {
        "database": database,
        "broker": broker_answers,
        "channels": channels,
        "workers": workers,
        "disk": disk,
    }.items()
}


def run(checks: dict[str, OneAtATime[str]], seconds: float) -> dict[str, str]:
    """What is wrong with each, "" for nothing. Never raises, and never takes longer than `seconds`."""
    asked = {name: check.ask() for name, check in checks.items()}
    wait(asked.values(), seconds)
    return {name: _told(answer) if answer.done() else "No answer." for name, answer in asked.items()}


def _told(answer: Future[str]) -> str:
    error = answer.exception()
    if error is None:
        return answer.result()
    return "Is away." if settings.PRODUCTION else f"{type(error).__name__}: {error}"
