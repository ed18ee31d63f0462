"""The live record of a task in Redis: what a viewer who comes now must see. One Lua script a write.

Two keys a task: a hash `{prefix}:progress:{id}` (epoch, seq, attempt, said, final, cancel, where, data, lines,
trimmed) and a list `{prefix}:progress-log:{id}` of `seq|line`. `data` is the JSON text of `messages.Changing`, made by
the worker and never parsed on its way to the browser.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeAlias, cast

import redis
import redis.asyncio
from channels.layers import get_channel_layer
from django.conf import settings
from django.core.signals import setting_changed

from .held import Held, Since
from .layer import ProgressChannelLayer
from .messages import Changing, Level, dumps
from .redis import make_client
from .scripts import PUBLISH, READ
from .sink import Reply, Told
from .size import fitting
from .stored import parse_changing, parse_line
from .values import MAX_LINE, plain_text

logger = logging.getLogger(__name__)

#: Seconds that a record outlives its last write.
TTL = 24 * 3600
#: Log lines held for each task: `PROGRESS_LOG_LINES`.
LOG_LINES = 1_000

NOTHING_TOLD = Told()
#: Seconds for which an answer where a task is waits for who has asked.
ANSWER_FOR = 60
#: More lines than an attempt has: a line from outside is none of those that the record may hold already.
BEYOND = 2**40

#: What Redis says of a key that is no record: another type, or a value that the scripts cannot calculate with.
BROKEN = ("WRONGTYPE", "attempt to ", "not an integer", "bad argument", "Wrong number of args")

#: What READ returns.
Answer: TypeAlias = tuple[bytes, int, bytes, bytes, int, list[bytes]]


def hash_key(task_id: str) -> str:
    """The Redis key of the task's record."""
    return f"{settings.PROGRESS_PREFIX}:progress:{task_id}"


def log_key(task_id: str) -> str:
    """The Redis key of the task's log lines."""
    return f"{settings.PROGRESS_PREFIX}:progress-log:{task_id}"


def _answer_key(asked: str) -> str:
    return f"{settings.PROGRESS_PREFIX}:progress-where:{asked}"


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
        refused, cancel, seq, where = cast("tuple[int, bytes, int, bytes]", answer)
        return Reply(
            cancel_requested=cancel == b"1", stale=bool(refused), seq=int(seq), asked=self._asked(task_id, where)
        )

    def poll(self, asked: Sequence[tuple[str, int]]) -> Sequence[Reply]:
        """What `publish` would reply to each (task, attempt), without publishing, in one round trip."""
        with self._client.pipeline(transaction=False) as pipe:
            for task_id, _ in asked:
                pipe.hmget(hash_key(task_id), "attempt", "cancel", "where")
            answers = pipe.execute(raise_on_error=False)
        return [self._reply(answer, *one) for answer, one in zip(answers, asked, strict=True)]

    def _reply(self, answer: object, task_id: str, attempt: int) -> Reply:
        _raise_unless_broken(answer)
        try:
            held, cancel, where = cast("tuple[bytes | None, bytes | None, bytes | None]", answer)
            asked = self._asked(task_id, where)
            return Reply(cancel_requested=cancel == b"1", stale=int(held or -1) > attempt, asked=asked)
        except (TypeError, ValueError):  # broken: the next publish begins it anew
            return Reply()

    def _asked(self, task_id: str, where: bytes | None) -> Callable[[str], None] | None:
        return partial(self.answer, task_id, where.decode(errors="replace")) if where else None

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

    def ask_where(self, task_id: str) -> str:
        """Ask the running task where it is; returns the name of the question, for `answered`."""
        asked = secrets.token_hex(8)
        with self._client.pipeline(transaction=False) as pipe:
            pipe.hset(hash_key(task_id), "where", asked)
            pipe.expire(hash_key(task_id), self._ttl)
            pipe.execute()
        return asked

    def hear_of(self, key: str, task_id: str, asked: str, seconds: int) -> None:
        """Leave that question in the hash `key` as well, for those who may answer in the task's place."""
        with self._client.pipeline(transaction=False) as pipe:
            pipe.hset(key, task_id, asked)
            pipe.expire(key, seconds)
            pipe.execute()

    def heard(self, key: str) -> dict[str, str]:
        """The questions in that hash, by their tasks."""
        found = cast("dict[bytes, bytes]", self._client.hgetall(key))
        return {task_id.decode(): asked.decode() for task_id, asked in found.items()}

    def unheard(self, key: str, task_id: str) -> None:
        """That one is dealt with."""
        self._client.hdel(key, task_id)

    def answer(self, task_id: str, asked: str, stack: str) -> None:
        """Say where the task is to who has asked under that name."""
        with self._client.pipeline(transaction=False) as pipe:
            pipe.set(_answer_key(asked), stack, ex=ANSWER_FOR)
            pipe.hdel(hash_key(task_id), "where")
            pipe.execute()

    def answered(self, asked: str) -> str | None:
        """The answer to that question; None: there is none yet."""
        found = cast("bytes | None", self._client.get(_answer_key(asked)))
        return None if found is None else found.decode(errors="replace")

    def add_line(self, task_id: str, attempt: int, text: str, level: Level = "warning") -> None:
        """A line in the log of an attempt that does not live any more, from outside of it."""
        line = dumps({"ts": round(time.time(), 3), "level": level, "text": plain_text(text, MAX_LINE)})
        self.publish(task_id, attempt, None, [line], Told(lines=BEYOND), final=False)

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
