"""A parent's bar that adds up its children: each that ends is one O(1) write, from whatever machine it ran on.

The count is stored in a hash `{prefix}:progress-group:{id}` (ended, total, body). It is for the eye: what a chord waits
for is decided in the database.
"""

from __future__ import annotations

import contextlib
import time
from functools import cache
from typing import cast

import redis
from django.conf import settings

from .record import TTL
from .redis import make_client
from .threads import reporter_here as current
from .types import Group

#: Seconds between two looks at the count while a parent waits.
LOOK_EVERY = 0.1
#: Seconds without news after which each child is asked itself: Redis may have forgotten the count.
ASK_AFTER = 3.0


@cache
def _client() -> redis.Redis:
    return make_client(settings.PROGRESS_REDIS_URL)


def _key(group_id: str) -> str:
    return f"{settings.PROGRESS_PREFIX}:progress-group:{group_id}"


def expect(group_id: str, total: int, body_id: object) -> None:
    """A group of `total` tasks begins; `body_id` is the task whose bar shows how many have ended."""
    with _client().pipeline(transaction=False) as pipe:
        pipe.hset(_key(group_id), mapping={"total": total, "body": str(body_id or "")})
        pipe.expire(_key(group_id), TTL)
        pipe.execute()


def add_ended(group_id: str) -> tuple[int, int, str]:
    """One more has ended: (how many have, of how many or 0 if nobody said, the body's id or "")."""
    with _client().pipeline(transaction=False) as pipe:
        pipe.hincrby(_key(group_id), "ended", 1)
        pipe.hmget(_key(group_id), "total", "body")
        pipe.expire(_key(group_id), TTL)
        ended, (total, body), _ = pipe.execute()
    return int(ended), int(total or 0), (body or b"").decode()


def ended(group_id: str) -> int:
    """How many of the group's tasks have ended."""
    return int(cast("bytes | None", _client().hget(_key(group_id), "ended")) or 0)


def children(group: Group, unit: str = "tasks") -> None:
    """Wait until every task of `group` (a Celery GroupResult) has ended; the running task's bar shows how many have.

    The waiting task keeps its place in the pool: with as many waiting parents as places no child could run. A chord
    needs no place: its body's bar counts its header while it waits. Raises `Cancelled` when the task was cancelled.
    """
    results = list(group.results)
    reporter = current()
    done, heard_at = 0, time.monotonic()
    if reporter is not None:
        reporter.set(0, len(results), unit=unit)
    while done < len(results):
        time.sleep(LOOK_EVERY)
        before = done
        with contextlib.suppress(redis.RedisError, OSError):  # then the children are asked below
            done = max(done, min(ended(group.id), len(results)))
        if done == before and time.monotonic() - heard_at > ASK_AFTER:
            done = max(done, sum(result.ready() for result in results))
            heard_at = time.monotonic()
        if done != before:
            heard_at = time.monotonic()
        if reporter is not None:
            reporter.set(done)
