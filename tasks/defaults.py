"""`TASKS = {…}`: all that this package is told, with a default for each. Where Redis is, `PROGRESS` says.

A setting may also be written by itself, with the prefix TASKS_, and then takes precedence over the dict.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeGuard

from django.conf import settings

from progress import defaults as progress
from progress.defaults import given_in, put

from .celery.brokers import broker_at

SOURCE = "tasks.web.source.RunSource"

#: Each key of the dict, and what it is where nothing is said. LONGEST_COUNTDOWN follows from the broker, the commands
#: from the project's name.
DEFAULTS: Mapping[str, object] = {
    "BROKER_URL": None,
    "REQUIRE_LOGIN": False,
    "STARTS_PER_MINUTE": 0,
    "KEEP_RUNS": "30d",
    "LONGEST_COUNTDOWN": None,
    "START_ALL": None,
    "START_WORKER": None,
    "START_FLOWER": None,
}


def own() -> dict[str, object]:
    """What `TASKS` says to this package: Django's own task framework has its backends in a dict of that name."""
    return {key: value for key, value in given_in("TASKS").items() if not _is_backend(value)}


def backends() -> list[str]:
    """The classes of Django's task backends that `TASKS` names."""
    return [str(value["BACKEND"]) for value in given_in("TASKS").values() if _is_backend(value)]


def _is_backend(value: object) -> TypeGuard[Mapping[str, object]]:
    return isinstance(value, Mapping) and "BACKEND" in value


def fill() -> None:
    """Set what the project's settings leave out, and before that what `progress` needs."""
    given = own()
    if "SOURCE" not in given_in("PROGRESS"):
        put("PROGRESS_SOURCE", SOURCE)
    progress.fill()
    put("REDIS_URL", settings.PROGRESS_REDIS_URL)
    put("REDIS_PREFIX", settings.PROGRESS_PREFIX)
    put("PROXIES", settings.PROGRESS_PROXIES)
    url = given.get("BROKER_URL") or getattr(settings, "CELERY_BROKER_URL", None) or settings.REDIS_URL
    put("BROKER_URL", url)
    sentinel = {"master": settings.REDIS_SENTINEL_MASTER, "password": settings.REDIS_SENTINEL_PASSWORD}
    if not hasattr(settings, "BROKER"):
        settings.BROKER = broker_at(settings.BROKER_URL, settings.REDIS_PREFIX, **sentinel)
    project = str(getattr(settings, "ROOT_URLCONF", "")).partition(".")[0]
    worker = f"celery -A {project} worker -l info"
    found = {
        "LONGEST_COUNTDOWN": settings.BROKER.longest_countdown,
        "START_ALL": worker,
        "START_WORKER": worker,
        "START_FLOWER": f"celery -A {project} flower --address=127.0.0.1 --port={{port}}",
    }
    for key, default in DEFAULTS.items():
        if key != "BROKER_URL":
            put(f"TASKS_{key}", given.get(key, found.get(key, default)))
