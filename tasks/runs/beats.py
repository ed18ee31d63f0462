"""Which workers are alive: each beats into Redis, everybody may look. One round trip a look.

Times are Redis's own clock, so that machines whose clocks differ agree. Keys: a sorted set `{prefix}:beats`
(worker → time) and a hash `{prefix}:workers` (worker → JSON).
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TypedDict, cast

import redis
from django.conf import settings

from tasks.models import CELERY

#: Seconds between two beats of a worker.
BEAT_EVERY = 0.5
#: Seconds after which a worker that does not beat is shown as gone.
SILENT_AFTER = 1.7
#: Seconds after which it counts as dead: its runs are sent again.
DEAD_AFTER = 5.0
#: Seconds that a dead worker is remembered.
FORGET_AFTER = 3600.0

NOW = """
local now = redis.call('TIME')
now = tonumber(now[1]) + tonumber(now[2]) / 1e6
-- A clock that was set back leaves beats in the future. Those who live beat again; the dead fall silent from now on.
for _, ahead in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. (now + 1), '+inf')) do
  redis.call('ZADD', KEYS[1], now, ahead)
end
"""

BEAT = f"""
{NOW}
local before = redis.call('ZSCORE', KEYS[1], ARGV[1])
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
for _, gone in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], 0, now - tonumber(ARGV[3]))) do
  redis.call('ZREM', KEYS[1], gone)
  redis.call('HDEL', KEYS[2], gone)
end
return before and tostring(now - tonumber(before)) or ''
"""

LOOK = f"""
{NOW}
local found = {{}}
local beats = redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES')
for i = 1, #beats, 2 do
  found[#found + 1] = {{beats[i], tostring(now - tonumber(beats[i + 1])), redis.call('HGET', KEYS[2], beats[i]) or ''}}
end
return found
"""


class Said(TypedDict, total=False):
    """What a worker says of itself in a beat."""

    hostname: str
    engine: str
    queues: list[str]
    concurrency: int
    active: list[str]
    reserved: list[str]


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker as it described itself in its last beat, `silent_for` seconds ago."""

    id: str
    hostname: str
    queues: list[str] = field(default_factory=list)
    concurrency: int = 0
    active: list[str] = field(default_factory=list)
    reserved: list[str] = field(default_factory=list)
    silent_for: float = 0.0
    engine: str = CELERY

    def serves(self, queue: str, engine: str) -> bool:
        """True if it lives, and takes from that queue of that engine."""
        return self.alive and self.engine == engine and queue in self.queues

    @property
    def alive(self) -> bool:
        """True if it beat just now."""
        return self.silent_for < SILENT_AFTER

    @property
    def dead(self) -> bool:
        """True if what it was doing must be done by another."""
        return self.silent_for > DEAD_AFTER


def _keys() -> list[str]:
    return [f"{settings.REDIS_PREFIX}:beats", f"{settings.REDIS_PREFIX}:workers"]


def beat(client: redis.Redis, worker: Worker) -> bool:
    """Say that `worker` lives; False when Redis had not heard of it just before.

    Then nothing can be said of the others either: they may have been as silent as this one, behind the same cut
    network, on the same suspended machine, or in a Redis that lost its data.
    """
    data = {key: value for key, value in asdict(worker).items() if key not in ("id", "silent_for")}
    answer = client.register_script(BEAT)(keys=_keys(), args=[worker.id, json.dumps(data), FORGET_AFTER])
    silent_for = cast(bytes, answer)
    return silent_for != b"" and float(silent_for) < SILENT_AFTER


def stop(client: redis.Redis, worker_id: str) -> None:
    """Say that the worker ends, so that nobody has to notice."""
    beats, workers = _keys()
    with client.pipeline(transaction=False) as pipe:
        pipe.zrem(beats, worker_id)
        pipe.hdel(workers, worker_id)
        pipe.execute()


def look(client: redis.Redis) -> list[Worker]:
    """All workers that beat within the last hour. Raises `redis.RedisError` when Redis is away."""
    found = cast("list[tuple[bytes, bytes, bytes]]", client.register_script(LOOK)(keys=_keys()))
    workers = []
    for worker_id, silent_for, data in found:
        workers.append(Worker(id=worker_id.decode(), silent_for=float(silent_for), **_described(worker_id, data)))
    return workers


def _described(worker_id: bytes, data: bytes) -> Said:
    """What a worker says of itself; one of another release may say more, or less, than this one knows."""
    try:
        said = json.loads(data)
        return cast(Said, {key: said[key] for key in Said.__annotations__ if key in said})
    except (ValueError, TypeError):
        return {"hostname": worker_id.decode(errors="replace")}
