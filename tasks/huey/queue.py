"""The Huey object of a project: what is put into it is stored first, and what a consumer takes out is claimed.

It is made before Django's models are there, so what knows those is imported where it is called.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import time
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, TypeVar, cast

import redis
from django.apps import apps
from django.conf import settings
from huey import signals
from huey.api import PriorityRedisHuey, ResultGroup, Task, TaskWrapper, chord, group
from huey.exceptions import HueyException

from progress.redis import make_client

from .names import instances, name_of, queue_name
from .types import HueyResult, HueyTask

if TYPE_CHECKING:
    from .consumer import TrackedConsumer
    from .results import RunResult

logger = logging.getLogger(__name__)

T = TypeVar("T")

#: Seconds that Redis is waited for. A consumer's blocking pop takes one of them by itself.
CONNECT_WITHIN, ANSWER_WITHIN = 0.8, 3.0
#: Seconds between two tries of a consumer to reach a Redis that is away.
PAUSE = 0.5
#: How a HUEY setting names a Redis of its own.
ADDRESSES = ("url", "connection_pool", "host", "port", "db", "password", "username", "path", "unix_socket_path")


class TrackedTask(TaskWrapper):
    """A task of a `TrackedHuey`. Beside Huey's own ways it is started as Start Task starts a task.

    Its decorator also takes `max_attempts`, `one_while_active` (see `tasks.celery.task`) and `run_name`.
    """

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        self.name = name_of(self.task_class)

    def create_task(
        self, func: Callable[..., object], context: bool = False, name: str | None = None, **settings: object
    ) -> HueyTask:
        return super().create_task(func, context, name, **{**settings, "function": staticmethod(func)})

    def delay(self, *args: object, **kwargs: object) -> RunResult:
        """Start it with these arguments."""
        return self.apply_async(args, kwargs)

    def apply_async(
        self, args: Iterable[object] = (), kwargs: dict[str, object] | None = None, idempotency_key: str | None = None
    ) -> RunResult:
        """The same; the same key from the same owner within 24 h gives the same run. Raises `runs.NotAccepted`."""
        task = self.task_class(tuple(args), kwargs or {})
        return cast("RunResult", self.huey.enqueue(task, idempotency_key=idempotency_key))


class TrackedHuey(PriorityRedisHuey):
    """`HUEY = {"huey_class": "tasks.huey.TrackedHuey"}`: Redis is that of REDIS_URL, unless HUEY names another one."""

    _redis_is_away = False

    def __init__(self, *args: object, **kwargs: object) -> None:
        self.shares_redis = not any(kwargs.get(name) is not None for name in ADDRESSES)
        if self.shares_redis:
            client = make_client(
                settings.REDIS_URL, socket_connect_timeout=CONNECT_WITHIN, socket_timeout=ANSWER_WITHIN
            )
            kwargs["connection_pool"] = client.connection_pool
        super().__init__(*args, **kwargs)
        instances[queue_name(self)] = self
        if apps.ready:  # else the engine is registered when they are
            from .engine import register

            register()

    def get_task_wrapper_class(self) -> type[TrackedTask]:
        return TrackedTask

    def create_consumer(self, workers: int = 1, **options: object) -> TrackedConsumer:
        from .consumer import TrackedConsumer

        return TrackedConsumer(self, workers, **options)

    def class_of(self, name: str) -> HueyTask:
        """The class of the tasks whose runs have that name. Raises HueyException where there is none."""
        for task_class in self._registry._registry.values():
            if name_of(task_class) == name:
                return task_class
        raise HueyException(f"{name} not found in TaskRegistry")

    # --- the caller's side --------------------------------------------------------------------------------------------

    def enqueue(self, task: HueyTask, idempotency_key: str | None = None) -> HueyResult:
        """Accept a run; see Huey's. Raises `runs.NotAccepted` for what no row can hold."""
        from .calls import accept

        if self._immediate or isinstance(task, group):
            return super().enqueue(task)
        if isinstance(task, chord):
            return self._enqueue_chord(task)
        if getattr(task, "from_schedule", False):  # its time has come, and its row is there
            self.storage.enqueue(self.serialize_task(task), task.priority)
            return None
        if task.expires:
            task.resolve_expires(self.utc)
        accept(self, task, idempotency_key)
        self._emit(signals.SIGNAL_ENQUEUED, task)
        if not self.results:
            return None
        results = self._pipeline_results(task)
        return ResultGroup(results) if len(results) > 1 else results[0]

    def _enqueue_chord(self, wanted: HueyTask) -> HueyResult:
        from .calls import accept_chord

        return super()._enqueue_chord(wanted) if self._immediate else accept_chord(self, wanted)

    def _pipeline_results(self, task: HueyTask) -> list[HueyResult]:
        if self._immediate:
            return list(super()._pipeline_results(task))
        from .results import RunResult

        found = []
        while task is not None:
            found.append(RunResult(self, task))
            task = task.on_complete
        return found

    def _result_handle(self, task: HueyTask) -> HueyResult:
        from .results import RunResult

        return super()._result_handle(task) if self._immediate else RunResult(self, task)

    def result(self, id: str, *args: object, **kwargs: object) -> object:
        """What the run has come to; see Huey's."""
        return self._result_handle(Task(id=id)).get(*args, **kwargs)

    def revoke(self, task: HueyTask, revoke_until: datetime | None = None, revoke_once: bool = False) -> None:
        """Huey's; and a run that waits is REVOKED at once, unless the revoke has an end."""
        from .calls import revoke

        if not self._immediate and revoke_until is None and revoke(task.id):
            return
        super().revoke(task, revoke_until, revoke_once)

    # --- the consumer's side ------------------------------------------------------------------------------------------

    def dequeue(self) -> HueyTask:
        """The next task. A message that nobody can read ends its run, and stops nobody else."""
        from . import attempt

        data = self._ask(self.storage.dequeue)
        if data is None:
            return None
        try:
            return self.deserialize_task(data)
        except Exception as error:
            attempt.end_unreadable(self, data, error)
            return None

    def read_schedule(self, timestamp: datetime | None = None) -> list[HueyTask]:
        tasks = self._ask(lambda: super(TrackedHuey, self).read_schedule(timestamp)) or []
        for task in tasks:
            task.from_schedule = True
        return list(tasks)

    def read_periodic(self, timestamp: datetime | None = None) -> list[HueyTask]:
        """Each tick has one id, whoever of several consumers comes to it first."""
        now = timestamp or self._get_timestamp()
        tasks = super().read_periodic(now)
        for task in tasks:
            tick = f"{self.name} {name_of(type(task))} {now:%Y-%m-%d %H:%M}"
            task.id = f"tick-{hashlib.sha256(tick.encode()).hexdigest()[:32]}"
            task.revoke_id = f"r:{task.id}"
        return list(tasks)

    def _ask(self, question: Callable[[], T]) -> T | None:
        """What Redis answers to a consumer; None after a pause while it is away, which is said once an outage."""
        try:
            answer = question()
        except (redis.RedisError, OSError) as error:
            logger.log(logging.DEBUG if self._redis_is_away else logging.WARNING, "Redis is away: %s", error)
            self._redis_is_away = True
            time.sleep(PAUSE)
            return None
        if self._redis_is_away:
            logger.info("Redis answers again.")
            self._redis_is_away = False
        return answer

    def execute(self, task: HueyTask, timestamp: datetime | None = None) -> object:
        """Claim the run and work on it, or drop the message: it is a copy."""
        from . import attempt

        if self._immediate:
            return super().execute(task, timestamp)
        now = timestamp or self._get_timestamp()
        if not self.ready_to_run(task, now):
            self.add_schedule(task)
            return None
        return attempt.work(self, task, now)

    def delete(self, key: str) -> object:
        """Huey's. It forgets a task's revoke before it looks at the result: a Redis that is away costs no result."""
        from . import attempt

        held = attempt.running()
        if held is None or held.task.revoke_id != key:
            return super().delete(key)
        with contextlib.suppress(redis.RedisError, OSError):
            return super().delete(key)
        return False

    def put_result(self, key: str, data: object) -> object:
        """The result of a run is in its row."""
        from . import attempt

        held = attempt.running()
        return None if held is not None and held.run.pk == key else super().put_result(key, data)

    def _run_post_execute(self, task: HueyTask, task_value: object, exception: Exception | None) -> None:
        from . import attempt

        held = attempt.running()
        if held is not None and held.task is task:
            held.finish(exception)
        super()._run_post_execute(task, task_value, exception)

    def _requeue_task(self, task: HueyTask, timestamp: datetime, retry_eta: datetime | None = None) -> None:
        from . import attempt

        held = attempt.running()
        if held is None or held.task is not task:
            super()._requeue_task(task, timestamp, retry_eta)
            return
        task.retries -= 1
        at = retry_eta or timestamp + timedelta(seconds=task.retry_delay or 0)
        if retry_eta is None and task.retry_backoff:
            task.retry_delay *= task.retry_backoff
        held.postpone(at)
