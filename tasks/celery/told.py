"""What a running task said of itself: `AsyncResult.info`, and `.state` after `self.update_state(state=…, meta=…)`.

The run's own state stays STARTED, so this is kept beside it, in Redis, for as long as a live record. Telling never
hurts doing: what cannot be kept is left out, and while Redis is away `AsyncResult.state` is STARTED.
"""

from __future__ import annotations

import json
import logging
from functools import cache
from typing import cast

import redis
from django.conf import settings
from kombu.utils.json import dumps as kombu_dumps
from kombu.utils.json import loads as kombu_loads

from progress.held import Since
from progress.record import TTL, get_record
from progress.redis import make_client

from .types import Meta

logger = logging.getLogger(__name__)

#: Characters of JSON that are kept of one `meta`.
MAX_META = 256 * 1024


@cache
def _client() -> redis.Redis:
    return make_client(settings.PROGRESS_REDIS_URL)


def _key(task_id: str) -> str:
    return f"{settings.PROGRESS_PREFIX}:told:{task_id}"


def keep(task_id: str, state: str | None, meta: object, attempt: int | None) -> None:
    """Keep what an attempt says; without one (somebody else says it of a task) it counts for whichever runs."""
    try:
        text = kombu_dumps([attempt, state and str(state), meta])
        if len(text) <= MAX_META:
            _client().set(_key(task_id), text, ex=TTL)
    except Exception as error:  # no value of any type, and no server, may end the task that tells
        logger.debug("The state %r of %s could not be kept: %s", state, task_id, error)


def read(task_id: str, running: int | None = None) -> Meta:
    """`{"status", "result"}` as the `running` attempt, or a task that is no run, told them; {} where none did.

    What a running attempt told by its progress alone is a `result` with `current`, `total`, `percent` and `message`, as
    views that poll expect them; what was not told yet is 0, None, None and "".
    """
    told = _by_update_state(task_id, running)
    return told if told or running is None else {"result": _numbers(task_id, running)}


def _numbers(task_id: str, running: int) -> Meta:
    try:
        changing = get_record().read(task_id, Since(log=False)).changing
    except (redis.RedisError, OSError):
        changing = {}
    told = changing if changing.get("attempt") == running else {}
    return {
        "current": told.get("current") or 0,
        "total": told.get("total"),
        "percent": told.get("percent"),
        "message": told.get("message") or "",
    }


def _by_update_state(task_id: str, running: int | None) -> Meta:
    try:
        text = cast("bytes | None", _client().get(_key(task_id)))
        attempt, state, meta = json.loads(text) if text else (0, "", None)
    except (redis.RedisError, OSError, ValueError):
        return {}
    if not text or attempt not in (None, running):
        return {}
    return {"status": state, "result": kombu_loads(json.dumps(meta))}
