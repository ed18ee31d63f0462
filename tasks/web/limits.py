"""How many tasks one viewer may start. The count is kept in the cache, for all web machines together.

A viewer is a signed-in user, else an address: an anonymous one gets a new session for the asking.
"""

from __future__ import annotations

import logging
import math
import random
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
#: Places that are looked at for one start; of a higher limit, this many by chance.
MOST_PLACES = 1_000
#: After the cache failed, this process counts for itself for this many seconds: a start must not wait for it each time.
CACHE_REST = 5.0

_own = LocMemCache("tasks-limits", {"OPTIONS": {"MAX_ENTRIES": 100_000}})
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
    return address_of(request)


def address_of(request: HttpRequest) -> str:
    """The address that the request comes from, behind proxies of ours."""
    forwarded = request.headers.get("X-Forwarded-For", "")
    return client_address(request.META.get("REMOTE_ADDR") or "", forwarded, settings.PROXIES)


def _count(client: str, allowed: int) -> int:
    """Count a start; the seconds to wait when it is one too many, else 0."""
    global _cache_rests_until
    if time.monotonic() >= _cache_rests_until:
        try:
            return _take_place(cache, client, allowed)
        except Exception as error:
            # Whoever wants to start must not suffer for it, and a limit of each process is still a limit.
            _cache_rests_until = time.monotonic() + CACHE_REST
            logger.warning("The cache cannot count starts; each process counts for itself: %s", error)
    return _take_place(_own, client, allowed)


def _take_place(counter: BaseCache, client: str, allowed: int) -> int:
    """Take one of `allowed` places, each of which is free again `WINDOW` seconds after it was taken: 0, else the wait.

    So no `WINDOW` seconds see more than `allowed` starts, wherever they begin, and by the cache's clock alone.
    """
    numbers = range(allowed) if allowed <= MOST_PLACES else random.sample(range(allowed), MOST_PLACES)
    places = [f"starts:{client}:{number}" for number in numbers]
    taken = counter.get_many(places)
    free = [place for place in places if place not in taken]
    random.shuffle(free)  # two that come at once do not want the same one
    if any(counter.add(place, time.time(), timeout=WINDOW) for place in free):
        return 0
    passed = time.time() - min(taken.values(), default=time.time())
    return max(1, min(WINDOW, math.ceil(WINDOW - passed)))


def _too_many(request: HttpRequest, allowed: int, wait: int) -> HttpResponse:
    sentence = f"You may start {allowed} tasks a minute. Try again in {wait} s."
    if wants_json(request):
        response: HttpResponse = refuse({"task": [sentence]}, 429)
    else:
        response = render(request, "429.html", {"sentence": sentence, "wait": wait}, status=429)
    response["Retry-After"] = str(wait)
    return response
