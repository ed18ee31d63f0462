"""What is known of a task beside its live record: a hash in Redis with whose it is, its name and its times."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from typing import cast

import redis
from django.conf import settings
from django.core.signals import setting_changed
from redis.typing import EncodableT, FieldT

from ..messages import FINAL_STATES, State, TaskState, Waiting
from ..redis import make_client


def key(task_id: str) -> str:
    """The Redis key of the task's hash."""
    return f"{settings.PROGRESS_PREFIX}:progress-start:{task_id}"


def _ttl() -> int:
    return int(getattr(settings, "PROGRESS_TTL"))  # noqa: B009 - set by `defaults.fill`


@cache
def client() -> redis.Redis:
    """This process's client."""
    return make_client(settings.PROGRESS_REDIS_URL)


setting_changed.connect(lambda **_: client.cache_clear(), weak=False)


def now() -> str:
    """This moment, as the wire has it."""
    return datetime.now(UTC).isoformat()


def accepted(task_id: str, name: str, owner: str) -> None:
    """A message is about to be sent. One that is sent again stays whose it was."""
    with client().pipeline(transaction=False) as pipe:
        for field, value in (("name", name), ("owner", owner), ("accepted_at", now())):
            pipe.hsetnx(key(task_id), field, value)
        pipe.expire(key(task_id), _ttl())
        pipe.execute()


def begun(task_id: str, name: str) -> tuple[int, str]:
    """A worker begins: the number of this attempt, from 1, and whose the task is."""
    with client().pipeline(transaction=False) as pipe:
        pipe.hincrby(key(task_id), "attempt", 1)
        pipe.hget(key(task_id), "owner")
        pipe.hset(key(task_id), mapping={"state": "STARTED", "name": name, "started_at": now()})
        pipe.hdel(key(task_id), "finished_at")
        pipe.expire(key(task_id), _ttl())
        attempt, owner, *_ = pipe.execute()
    return int(attempt), (owner or b"").decode()


def ended(task_id: str, state: State, waiting: Waiting | None = None) -> int:
    """An attempt is over; the number of it. `waiting` says when the next one begins."""
    values: dict[FieldT, EncodableT] = {"state": state, "waiting": json.dumps(waiting)}
    if state in FINAL_STATES:
        values["finished_at"] = now()
    with client().pipeline(transaction=False) as pipe:
        pipe.hset(key(task_id), mapping=values)
        pipe.hget(key(task_id), "attempt")
        pipe.expire(key(task_id), _ttl())
        _, attempt, _ = pipe.execute()
    return int(attempt or 0)


def states(task_ids: Sequence[str]) -> dict[str, tuple[str, TaskState]]:
    """Of each task that is known: whose it is, and its state without what its record says. One round trip."""
    with client().pipeline(transaction=False) as pipe:
        for task_id in task_ids:
            pipe.hgetall(key(task_id))
        answers = pipe.execute()
    found: dict[str, tuple[str, TaskState]] = {}
    for task_id, answer in zip(task_ids, answers, strict=True):
        held = {name.decode(): value.decode() for name, value in answer.items()}
        if held:
            found[task_id] = held.get("owner", ""), _state(task_id, held)
    return found


def _state(task_id: str, held: dict[str, str]) -> TaskState:
    return {
        "id": task_id,
        "name": held.get("name", ""),
        "state": cast(State, held.get("state", "PENDING")),
        "attempt": int(held.get("attempt", 0)),
        "accepted_at": held.get("accepted_at"),
        "started_at": held.get("started_at"),
        "finished_at": held.get("finished_at"),
        "waiting": json.loads(held.get("waiting", "null")) if held.get("state") == "RETRY" else None,
        "cancel_requested": False,
    }
