"""What Celery's objects are called here where its types know less of them than we ask."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeAlias

from celery.concurrency.base import BasePool
from celery.result import AsyncResult
from kombu.transport.redis import Channel


class Worker(Protocol):
    """Celery's WorkController, with what it is given when it begins and when its pool does."""

    app: Any  # with what is private to Celery's
    hostname: str
    concurrency: int
    pool: BasePool | None
    pool_cls: type | str
    wait_for_soft_shutdown: Callable[[], object]


#: A registered task: ours, one of Celery's own class, or what a message says of an unknown one.
CeleryTask: TypeAlias = Any
#: `self.request` of a task, and what we note on it: `attempt`, `claimed`, `next_attempt`, `replacement`, `raised`.
TaskRequest: TypeAlias = Any
#: One of Celery's schedules, whose types do not know what a crontab expands to.
CelerySchedule: TypeAlias = Any
#: A signature (of a task, group, chain or chord), the dict that it is in a message, or a list of them.
Signature: TypeAlias = Any

#: kombu's channel, with what is private to it: that is in no type.
RedisChannel: Any = Channel

#: The arguments of a start, as Celery takes them.
Args: TypeAlias = tuple[object, ...]
Kwargs: TypeAlias = dict[str, object]
#: The options of a start, by name, and one of them.
Option: TypeAlias = Any
Options: TypeAlias = dict[str, Option]
#: What a start gives back.
Result: TypeAlias = AsyncResult[object]
#: What a backend says of a task: `{"status", "result", …}`.
Meta: TypeAlias = dict[str, object]
