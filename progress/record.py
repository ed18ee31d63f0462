"""The live record of a task in Redis: what a viewer who comes now must see. One Lua script a write.

Two keys a task: a hash `{prefix}:progress:{id}` (epoch, seq, attempt, said, final, cancel, data, lines, trimmed) and
a list `{prefix}:progress-log:{id}` of `seq|line`. `data` is the JSON text of `messages.Changing`, made by the worker
and never parsed on its way to the browser.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Sequence
from typing import TypeAlias, cast

import redis
import redis.asyncio
from channels.layers import get_channel_layer
from django.conf import settings
from django.core.signals import setting_changed

from .held import Held, Since
from .layer import ProgressChannelLayer
from .messages import Changing, dumps
from .redis import make_client
from .sink import Reply, Told
from .size import MAX_LINES, fitting
from .stored import parse_changing, parse_line

logger = logging.getLogger(__name__)

#: Seconds that a record outlives its last write.
TTL = 24 * 3600
#: Log lines held for each task: `PROGRESS_LOG_LINES`.
LOG_LINES = 1_000

NOTHING_TOLD = Told()

#: What Redis says of a key that is no record: another type, or a value that the scripts cannot calculate with.
BROKEN = ("WRONGTYPE", "attempt to ", "not an integer", "bad argument", "Wrong number of args")

# KEYS: hash, log list. ARGV: channel, task id, attempt, ttl, lines to hold, a fresh epoch, final ("1" or ""), body
# (JSON object or ""), what the writer was told: lines and seq, then log lines (JSON objects).
# Returns {refused, cancel, seq}.
PUBLISH = """
local held = redis.call('HMGET', KEYS[1], 'attempt', 'final', 'epoch', 'cancel', 'seq', 'said')
local attempt, mine = tonumber(held[1] or '-1'), tonumber(ARGV[3])
local cancel, seq, said = held[4] or '0', tonumber(held[5] or '0'), tonumber(held[6] or '0')
if mine < attempt then return {1, cancel, seq} end
if mine == attempt and held[2] == '1' then return {0, cancel, seq} end
local epoch = held[3]
if not epoch or not string.match(epoch, '^%w+$') or seq < tonumber(ARGV[10]) then
  -- A new record, a broken one, or Redis came back with one of before.
  epoch = ARGV[6]
  redis.call('HSET', KEYS[1], 'epoch', epoch)
end
if mine > attempt then
  said = 0
  redis.call('HSET', KEYS[1], 'attempt', mine, 'final', '0', 'said', '0')
end
local function tell(kind, rest, final)
  seq = redis.call('HINCRBY', KEYS[1], 'seq', 1)
  local text = '{"v":1,"type":"' .. kind .. '","task_id":"' .. ARGV[2] .. '","epoch":"' .. epoch ..
    '","seq":' .. seq .. ',' .. rest
  redis.call('PUBLISH', ARGV[1], cmsgpack.pack({
    type = 'progress.frame', task_id = ARGV[2], epoch = epoch, seq = seq, kind = kind, final = final, text = text}))
end
-- A publish whose answer was lost comes again: its lines are held already.
local first = 11 + math.max(said - tonumber(ARGV[9]), 0)
if #ARGV >= first then
  local count = #ARGV - first + 1
  local n = redis.call('HINCRBY', KEYS[1], 'lines', count) - count
  local lines, size = {}, 0
  local function tell_lines()
    tell('log', '"lines":[' .. table.concat(lines, ',') .. ']}', false)
    for i = 1, #lines do redis.call('RPUSH', KEYS[2], seq .. '|' .. lines[i]) end
    lines, size = {}, 0
  end
  for i = 1, count do
    local line = '{"n":' .. (n + i) .. ',' .. string.sub(ARGV[first + i - 1], 2)
    if #lines > 0 and size + #line > MAX_LINES then tell_lines() end
    lines[#lines + 1], size = line, size + #line + 1
  end
  tell_lines()
  redis.call('HSET', KEYS[1], 'said', tonumber(ARGV[9]) + #ARGV - 10)
  local over = redis.call('LLEN', KEYS[2]) - tonumber(ARGV[5])
  if over > 0 then
    local last = redis.call('LINDEX', KEYS[2], over - 1)
    redis.call('HSET', KEYS[1], 'trimmed', string.match(last, '^%d+'))
    redis.call('LTRIM', KEYS[2], over, -1)
  end
  redis.call('EXPIRE', KEYS[2], ARGV[4])
end
if ARGV[8] ~= '' then
  redis.call('HSET', KEYS[1], 'final', ARGV[7] == '1' and '1' or '0', 'data', ARGV[8])
  tell('update', string.sub(ARGV[8], 2), ARGV[7] == '1')
end
redis.call('EXPIRE', KEYS[1], ARGV[4])
return {0, cancel, seq}
""".replace("MAX_LINES", str(MAX_LINES))

# KEYS: hash, log list. ARGV: epoch and seq that the reader holds (or "", 0), "1" to read the log, a fresh epoch, "1"
# where a client claims to hold that.
# Returns {epoch, seq, data, cancel, recovered, {line, …}}.
READ = """
local held = redis.call('HMGET', KEYS[1], 'epoch', 'seq', 'data', 'cancel', 'trimmed')
if not held[1] then return {'', 0, '', held[4] or '0', 0, {}} end
local since, recovered = tonumber(ARGV[2]), 1
local beyond = ARGV[1] == held[1] and since > tonumber(held[2] or '0')
if beyond and ARGV[5] == '1' then
  since, recovered = -1, 0
elseif beyond then
  -- We told more than there is: Redis came back with a record of before. What follows must not pass for it.
  held[1] = ARGV[4]
  redis.call('HSET', KEYS[1], 'epoch', held[1])
end
if ARGV[1] ~= held[1] or since < tonumber(held[5] or '0') then since, recovered = -1, 0 end
local lines = {}
if ARGV[3] == '1' and since < tonumber(held[2] or '0') then
  local newest = redis.call('LRANGE', KEYS[2], 0, -1)
  if since >= 0 then
    local first = #newest + 1
    while first > 1 and tonumber(string.match(newest[first - 1], '^%d+')) > since do first = first - 1 end
    for i = first, #newest do lines[#lines + 1] = newest[i] end
  else
    lines = newest
  end
end
return {held[1], tonumber(held[2] or '0'), held[3] or '', held[4] or '0', recovered, lines}
"""


#: What READ returns.
Answer: TypeAlias = tuple[bytes, int, bytes, bytes, int, list[bytes]]


def hash_key(task_id: str) -> str:
    """The Redis key of the task's record."""
    return f"{settings.PROGRESS_PREFIX}:progress:{task_id}"


def log_key(task_id: str) -> str:
    """The Redis key of the task's log lines."""
    return f"{settings.PROGRESS_PREFIX}:progress-log:{task_id}"


def group_name(task_id: str) -> str:
    """The Channels group of the task's viewers."""
    return f"progress.{task_id}"


class Record:
    """The worker's and the views' side: synchronous, one round trip a call. A `sink.Sink`."""

    def __init__(self, client: redis.Redis, layer: ProgressChannelLayer) -> None:
        self._client = client
        self._layer = layer
        self._publish = client.register_script(PUBLISH)
        self._read = client.register_script(READ)
        self._log_lines = int(getattr(settings, "PROGRESS_LOG_LINES", LOG_LINES))
        self._ttl = int(getattr(settings, "PROGRESS_TTL", TTL))

    def publish(
        self, task_id: str, attempt: int, body: str | None, lines: list[str], told: Told = NOTHING_TOLD, *, final: bool
    ) -> Reply:
        """Store and send; see `sink.Sink`. Raises `redis.RedisError` when Redis is away."""
        keys = [hash_key(task_id), log_key(task_id)]
        args = [
            self._layer.group_channel(group_name(task_id)),
            task_id,
            attempt,
            self._ttl,
            self._log_lines,
            secrets.token_hex(4),
            "1" if final else "",
            body or "",
            told.lines,
            told.seq,
            *lines,
        ]
        try:
            answer = self._publish(keys=keys, args=args)
        except redis.ResponseError as error:
            if not _is_broken(error):
                raise
            logger.warning("The record of %s is broken and begins anew: %s", task_id, error)
            self._client.delete(*keys)
            answer = self._publish(keys=keys, args=args)
        refused, cancel, seq = cast("tuple[int, bytes, int]", answer)
        return Reply(cancel_requested=cancel == b"1", stale=bool(refused), seq=int(seq))

    def poll(self, asked: Sequence[tuple[str, int]]) -> Sequence[Reply]:
        """What `publish` would reply to each (task, attempt), without publishing, in one round trip."""
        with self._client.pipeline(transaction=False) as pipe:
            for task_id, _ in asked:
                pipe.hmget(hash_key(task_id), "attempt", "cancel")
            answers = pipe.execute(raise_on_error=False)
        return [_reply(answer, attempt) for answer, (_, attempt) in zip(answers, asked, strict=True)]

    def tell(self, task_id: str, changing: Changing, *, final: bool) -> None:
        """Publish a state from outside the task: a cancel of a queued run, a worker that was lost."""
        self.publish(task_id, changing["attempt"], dumps(fitting(changing)), [], final=final)

    def tell_many(self, told: Sequence[tuple[str, Changing]]) -> None:
        """`tell` of many tasks that have ended, in one round trip. A broken record is left as it is."""
        for _ in range(2):
            with self._client.pipeline(transaction=False) as pipe:
                for task_id, changing in told:
                    keys = [hash_key(task_id), log_key(task_id)]
                    pipe.evalsha(self._publish.sha, 2, *keys, *self._args(task_id, changing, final=True))
                answers = pipe.execute(raise_on_error=False)
            if not any(isinstance(answer, redis.exceptions.NoScriptError) for answer in answers):
                return
            self._client.script_load(PUBLISH)

    def _args(self, task_id: str, changing: Changing, *, final: bool) -> list[str | int]:
        channel, end = self._layer.group_channel(group_name(task_id)), "1" if final else ""
        first: list[str | int] = [channel, task_id, changing["attempt"], self._ttl, self._log_lines]
        return [*first, secrets.token_hex(4), end, dumps(changing), NOTHING_TOLD.lines, NOTHING_TOLD.seq]

    def request_cancel(self, task_id: str) -> None:
        """Raise the flag that the task's next publish or poll sees."""
        with self._client.pipeline(transaction=False) as pipe:
            pipe.hset(hash_key(task_id), "cancel", "1")
            pipe.expire(hash_key(task_id), self._ttl)
            pipe.execute()

    def read(self, task_id: str, since: Since | None = None) -> Held:
        """What a viewer who comes now must see."""
        return self.read_many([task_id], since)[0]

    def read_many(self, task_ids: Sequence[str], since: Since | None = None) -> list[Held]:
        """`read` of each, in one round trip. Raises `redis.RedisError` when Redis is away."""
        args = _read_args(since or Since())
        for _ in range(2):
            with self._client.pipeline(transaction=False) as pipe:
                for task_id in task_ids:
                    pipe.evalsha(self._read.sha, 2, hash_key(task_id), log_key(task_id), *args)
                answers = pipe.execute(raise_on_error=False)
            if not any(isinstance(answer, redis.exceptions.NoScriptError) for answer in answers):
                return [_held(answer) for answer in answers]
            self._client.script_load(READ)  # another server now, or its scripts were flushed
        raise redis.RedisError("Redis forgot the read script twice in a row.")


class AsyncRecord:
    """The web server's side: reads only, many tasks in one pipeline."""

    def __init__(self, client: redis.asyncio.Redis) -> None:
        self._client = client
        self._sha: str | None = None

    async def read_many(self, wanted: Sequence[tuple[str, Since]]) -> list[Held]:
        """The records of `wanted`, in its order, in one round trip. Raises `redis.RedisError`."""
        for _ in range(2):
            if self._sha is None:
                self._sha = await self._client.script_load(READ)
            async with self._client.pipeline(transaction=False) as pipe:
                for task_id, since in wanted:
                    pipe.evalsha(self._sha, 2, hash_key(task_id), log_key(task_id), *_read_args(since))
                answers = await pipe.execute(raise_on_error=False)
            if not any(isinstance(answer, redis.exceptions.NoScriptError) for answer in answers):
                return [_held(answer) for answer in answers]
            self._sha = None  # another server now, or its scripts were flushed
        raise redis.RedisError("Redis forgot the read script twice in a row.")

    async def positions(self, task_ids: Sequence[str]) -> list[tuple[str, int]]:
        """(epoch, seq) of each task, ("", 0) for an unknown one, in one round trip."""
        async with self._client.pipeline(transaction=False) as pipe:
            for task_id in task_ids:
                pipe.hmget(hash_key(task_id), "epoch", "seq")
            answers = await pipe.execute(raise_on_error=False)
        return [_position(answer) for answer in answers]


def _read_args(since: Since) -> list[str | int]:
    return [since.epoch, since.seq, "1" if since.log else "", secrets.token_hex(4), "1" if since.claimed else ""]


def _is_broken(error: Exception) -> bool:
    """True if Redis says that a key is no record; any other error is an error, not an answer."""
    return isinstance(error, redis.ResponseError) and any(word in str(error) for word in BROKEN)


def _raise_unless_broken(answer: object) -> None:
    if isinstance(answer, Exception) and not _is_broken(answer):
        raise answer


def _reply(answer: object, attempt: int) -> Reply:
    _raise_unless_broken(answer)
    try:
        held, cancel = cast("tuple[bytes | None, bytes | None]", answer)
        return Reply(cancel_requested=cancel == b"1", stale=int(held or -1) > attempt)
    except (TypeError, ValueError):  # broken: the next publish begins it anew
        return Reply()


def _position(answer: object) -> tuple[str, int]:
    _raise_unless_broken(answer)
    try:
        epoch, seq = cast("tuple[bytes | None, bytes | None]", answer)
        return (epoch or b"").decode(), int(seq or 0)
    except (TypeError, ValueError):
        return "", 0


def _held(answer: Answer | Exception) -> Held:
    _raise_unless_broken(answer)
    try:
        epoch, seq, data, cancel, recovered, lines = cast(Answer, answer)
        log = [parse_line(line.partition(b"|")[2]) for line in lines]
        return Held(
            epoch=epoch.decode(),
            seq=int(seq),
            changing=parse_changing(data),
            cancel_requested=cancel == b"1",
            recovered=bool(recovered),
            log=[line for line in log if line is not None],
        )
    except (TypeError, ValueError):  # broken, as if there were none: the row is shown
        return Held()


_record: Record | None = None


def get_record() -> Record:
    """This process's synchronous record. Threads share it; redis-py's pool gives each its connection."""
    global _record
    if _record is None:
        _record = Record(make_client(settings.PROGRESS_REDIS_URL), cast(ProgressChannelLayer, get_channel_layer()))
    return _record


def _forget(**_: object) -> None:
    global _record
    _record = None


setting_changed.connect(_forget)
