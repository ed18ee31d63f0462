"""Huey as the engine of runs: what `runs.engine.Engine` asks."""

from __future__ import annotations

import copy
import logging
from collections.abc import Sequence
from typing import cast

import redis
from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from huey.exceptions import HueyException
from huey.utils import SKIPPED

from progress.messages import TaskError
from progress.types import JSON
from tasks import runs
from tasks.models import State, TaskGroup, TaskRun
from tasks.runs import NotAccepted, Start

from . import values
from .messages import made, naive, start_of, task_of
from .names import NAME, instances
from .results import outcome
from .types import Process, Queue

logger = logging.getLogger(__name__)

#: Seconds that a broker of its own may take to answer.
ANSWERS_WITHIN = 0.5


class HueyEngine:
    """See `runs.engine.Engine`."""

    name = NAME

    def publish(self, run: TaskRun) -> None:
        """Into the queue; before its time into Huey's schedule, from which a consumer moves it there."""
        huey = self._instance(run.queue)
        data = huey.serialize_task(task_of(huey, run))
        if run.due_at is not None and run.due_at > timezone.now():
            huey.storage.add_to_schedule(data, naive(huey, run.due_at))
        else:
            huey.storage.enqueue(data, run.priority)

    def publish_many(self, found: Sequence[TaskRun]) -> list[TaskRun]:
        """One after the other."""
        refused = []
        for run in found:
            try:
                self.publish(run)
            except Exception as error:
                if self.is_away(error):
                    raise
                logger.warning("%s cannot be sent: %s", run, error)
                refused.append(run)
        return refused

    def is_away(self, error: Exception) -> bool:
        """A lost or refused connection, or a Redis that is full."""
        return isinstance(error, (redis.RedisError, OSError))

    def count(self, queue: str) -> int:
        """In the queue, and in the schedule what is due."""
        storage = self._instance(queue).storage
        now = storage.convert_ts(self._instance(queue)._get_timestamp())
        return int(storage.queue_size()) + int(storage.conn.zcount(storage.schedule_key, "-inf", now))

    def answers(self) -> bool:
        """Where it is the Redis of the beats, whoever asks has just asked that."""
        return all(_answers(huey) for huey in instances.values() if not huey.shares_redis)

    def is_separate(self) -> bool:
        """True if HUEY names a Redis of its own."""
        return any(not huey.shares_redis for huey in instances.values())

    def queues(self) -> set[str]:
        """One a Huey instance."""
        return set(instances)

    def start_command(self, queue: str) -> str:
        """djhuey's own."""
        return str(getattr(settings, "TASKS_START_HUEY", "python manage.py run_huey"))

    def in_flower(self) -> bool:
        """Flower knows nothing of Huey."""
        return False

    def arguments(self, run: TaskRun) -> tuple[list[object], dict[str, object]]:
        """With dates, decimals and ids as they were given."""
        given = values.decode(run.args), values.decode(cast(JSON, run.kwargs))
        return cast("tuple[list[object], dict[str, object]]", given)

    def value(self, stored: JSON) -> object:
        """With dates, decimals and ids as they were given."""
        return values.decode(stored)

    def again(self, run: TaskRun) -> Start:
        """With the same arguments and priority, and its retries as the task has them."""
        try:
            huey = self._instance(run.queue)
            task = huey.class_of(run.name)(*self.arguments(run), priority=run.priority)
        except (LookupError, HueyException) as error:
            raise NotAccepted(f"The task {run.name} does not exist any more.") from error
        task.args = tuple(task.args)
        task.resolve_expires(huey.utc)
        start = start_of(huey, task)
        start.id = None
        return start

    def is_followed(self, run: TaskRun, *, ended_well: bool = True) -> bool:
        """It has a next link; an error handler."""
        options = run.message.get("options") if isinstance(run.message, dict) else None
        return isinstance(options, dict) and bool(options.get("then" if ended_well else "error"))

    def free(self, run: TaskRun) -> None:
        """The next link of its pipeline, with its result."""
        then = (run.message.get("options") or {}).get("then")
        if isinstance(then, dict):
            self._start_next(run, then, outcome(run))

    def failed(self, run: TaskRun) -> None:
        """Its error handler, with the exception."""
        handler = (run.message.get("options") or {}).get("error")
        if not isinstance(handler, dict) or run.state != State.FAILURE:
            return
        try:
            with transaction.atomic():
                self.start_handler(run, handler, values.raised(run.error))
        except runs.DatabaseAway:
            raise
        except Exception:
            logger.exception("The error handler of %s cannot be started.", run)

    def start_handler(self, run: TaskRun, described: dict[str, JSON], error: BaseException) -> None:
        """A new run of the handler for each failure of `run` that it hears of."""
        huey = self._instance(run.queue)
        task = made(huey, str(described["name"]), {**described, "id": None})
        task.extend_data(error)
        task.resolve_expires(huey.utc)
        start = start_of(huey, task)
        start.parent_id = run.pk
        runs.accept(start)

    def complete(self, group: TaskGroup) -> None:
        """All parts of a chord have ended: its callback gets their results in order, errors among them, as in Huey."""
        body = cast("dict[str, JSON]", group.body)
        parts = {run.pk: run for run in TaskRun.objects.filter(pk__in=group.members)}
        results = [self._part(parts.get(pk)) for pk in group.members]
        first = next(iter(parts.values()), None)
        if first is not None:
            self._start_next(first, body, (results,), after=group.pk)

    @staticmethod
    def _part(run: TaskRun | None) -> object:
        return SKIPPED if run is None or run.state == State.REVOKED else outcome(run)

    def _start_next(self, run: TaskRun, described: dict[str, JSON], value: object, after: str | None = None) -> None:
        """Let what is held go, with what came out before it."""
        try:
            with transaction.atomic():
                huey = self._instance(run.queue)
                task = made(huey, str(described["name"]), described)
                task.extend_data(value)
                task.resolve_expires(huey.utc)
                start = start_of(huey, task)
                start.parent_id = run.parent_id
                runs.accept(start)
        except runs.DatabaseAway:
            raise
        except Exception as error:
            logger.error("What follows %s cannot be started: %s", run, error)
            told: TaskError = values.describe(error)
            for pk in list(TaskRun.objects.filter(after=after or run.pk, held=True).values_list("pk", flat=True)):
                runs.end(pk, "FAILURE", error=told)

    def tracks_everything(self) -> bool:
        """Every task of a `TrackedHuey` is a run."""
        return True

    def priorities(self, priority: int | None) -> tuple[Q, Q]:
        """The largest first; without one it is 0."""
        mine = priority or 0
        before, same = Q(priority__gt=mine), Q(priority=mine)
        return before | Q(priority=None) if mine < 0 else before, same | Q(priority=None) if mine == 0 else same

    def _instance(self, queue: str) -> Queue:
        try:
            return instances[queue]
        except KeyError:
            raise LookupError(f"No Huey with the name {queue!r} is set up here.") from None


def _answers(huey: Queue) -> bool:
    pool: Process = huey.storage.pool
    try:
        kwargs = {**pool.connection_kwargs, "socket_timeout": ANSWERS_WITHIN, "socket_connect_timeout": ANSWERS_WITHIN}
        probe = copy.copy(pool.connection_class(**kwargs))
        try:
            probe.connect()
            probe.send_command("PING")
            probe.read_response()
        finally:
            probe.disconnect()
    except (redis.RedisError, OSError):
        return False
    return True


engine = HueyEngine()


def register() -> None:
    """Say that runs of this engine can be done here."""
    runs.register(engine)
