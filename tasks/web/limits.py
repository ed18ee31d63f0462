"""How many tasks one viewer may start. The count is kept in the cache, for all web machines together.

A viewer is a signed-in user, else an address: an anonymous one gets a new session for the asking.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import wraps

from django.conf import settings
from django.core.cache import cache
from django.core.cache.backends.base import BaseCache
from django.core.cache.backends.locmem import LocMemCache
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from progress.address import client_address

from .requests import refuse, wants_json

logger = logging.getLogger(__name__)

#: Seconds over which starts are counted.
WINDOW = 60
#: After the cache failed, this process counts for itself for so many seconds: a start must not wait for it each time.
CACHE_REST = 5.0

_own = LocMemCache("tasks-limits", {})
_cache_rests_until = 0.0

View = Callable[..., HttpResponse]


def limit_starts(view: View) -> View:
    """Decorator of a view that starts tasks: beyond `TASKS_STARTS_PER_MINUTE` it answers 429 with Retry-After."""

    @wraps(view)
    def limited(request: HttpRequest, *args: object, **kwargs: object) -> HttpResponse:
        allowed = settings.TASKS_STARTS_PER_MINUTE
        wait = _count(client_of(request), allowed) if allowed else 0
        return _too_many(request, allowed, wait) if wait else view(request, *args, **kwargs)

    return limited


def client_of(request: HttpRequest) -> str:
    """Whose requests are counted together."""
    if request.user.is_authenticated:
        return f"user-{request.user.pk}"
    forwarded = request.headers.get("X-Forwarded-For", "")
    return client_address(request.META.get("REMOTE_ADDR") or "", forwarded, settings.PROXIES)


def _count(client: str, allowed: int) -> int:
    """Count a start; the seconds to wait when it is one too many, else 0."""
    global _cache_rests_until
    window, passed = divmod(int(time.time()), WINDOW)
    key = f"starts:{client}:{window}"
    count = None
    if time.monotonic() >= _cache_rests_until:
        try:
            count = _increment(cache, key)
        except Exception as error:
            # Whoever wants to start must not suffer for it, and a limit of each process is still a limit.
            _cache_rests_until = time.monotonic() + CACHE_REST
            logger.warning("The cache cannot count starts; each process counts for itself: %s", error)
    if count is None:
        count = _increment(_own, key)
    return WINDOW - passed if count > allowed else 0


def _increment(counter: BaseCache, key: str) -> int:
    counter.add(key, 0, timeout=2 * WINDOW)
    try:
        return int(counter.incr(key))
    except ValueError:  # it was evicted just now
        return 1


def _too_many(request: HttpRequest, allowed: int, wait: int) -> HttpResponse:
    sentence = f"You may start {allowed} tasks a minute. Try again in {wait} s."
    if wants_json(request):
        response: HttpResponse = refuse({"task": [sentence]}, 429)
    else:
        response = render(request, "429.html", {"sentence": sentence}, status=429)
    response["Retry-After"] = str(wait)
    return response
