"""Celery as the engine of runs: what `runs.engine.Engine` asks."""

from __future__ import annotations

import json
import logging
from bisect import bisect
from collections.abc import Sequence
from typing import cast

from amqp.exceptions import AMQPError
from celery import current_app
from celery.canvas import maybe_signature
from celery.result import GroupResult
from celery.utils.nodenames import WORKER_DIRECT_QUEUE_FORMAT, worker_direct
from django.conf import settings
from django.db import transaction
from django.db.models import Q
from kombu.exceptions import KombuError, OperationalError
from kombu.transport.redis import PRIORITY_STEPS as DEFAULT_PRIORITY_STEPS
from kombu.utils.json import loads as kombu_loads
from redis import RedisError

from progress.types import JSON
from tasks import runs
from tasks.models import CELERY, TaskGroup, TaskRun, new_id
from tasks.runs import NotAccepted, Start

from . import at_once, broker, canvas, children, errors  # noqa: F401 - at_once changes Celery's own
from .connections import keep_defaults
from .events import start_events
from .message import decoded
from .options import check
from .pipeline import publish_many
from .routing import queue_of
from .signals import run_ended
from .start import UnknownTask, following, is_tracked, start_of
from .types import CeleryTask, Result, Signature

logger = logging.getLogger(__name__)

#: How the name of a queue ends that one worker alone has (`worker_direct`).
OF_A_WORKER = WORKER_DIRECT_QUEUE_FORMAT.format(hostname="")


class CeleryEngine:
    """See `runs.engine.Engine`."""

    name = CELERY

    def __init__(self) -> None:
        keep_defaults(current_app)

    def publish(self, run: TaskRun) -> None:
        """As Celery sends it, under the run's id."""
        message = decoded(run)
        options = message["options"]
        check(options)
        for name in ("eta", "expires", "countdown"):  # the row's columns say when
            options.pop(name, None)
        if run.due_at is not None:
            options["eta"] = run.due_at
        if run.expires is not None:
            options["expires"] = run.expires
        options["event_dispatcher"] = start_events
        if str(options.get("queue", "")).endswith(OF_A_WORKER):  # has an exchange of its own, and is made otherwise
            options["queue"] = worker_direct(options["queue"].removesuffix(OF_A_WORKER))
        name, args, kwargs = run.name, message["args"], message["kwargs"]
        if (carried := options.pop("carried", None)) is not None:  # it is done by another task, which is told its name
            name, args, kwargs = carried["task"], [run.name, args, kwargs], {}
            options["shadow"] = run.name
        task: CeleryTask = current_app.tasks.get(name)
        if task is None or not hasattr(task, "publish"):  # this process does not know the task; a worker will
            current_app.send_task(name, args, kwargs, task_id=run.pk, **options)
            return
        task.publish(args, kwargs, task_id=run.pk, **options)

    def publish_many(self, found: Sequence[TaskRun]) -> list[TaskRun]:
        """Over one connection, in pipelines."""
        return publish_many(found, self.publish, self.is_away)

    def is_away(self, error: Exception) -> bool:
        """A lost or refused connection, a broker that is full, or one that answers with an error."""
        away = (OperationalError, OSError, RedisError, AMQPError, settings.BROKER.full)
        if isinstance(error, OperationalError):  # kombu's name for all that went wrong while it sent: a bad message too
            cause = error.__cause__ or error.__context__
            return cause is None or isinstance(cause, (*away, KombuError))
        return isinstance(error, away) and not isinstance(error, KombuError)

    def count(self, queue: str) -> int:
        """Over all priorities."""
        return broker.count(queue)

    def answers(self) -> bool:
        """Looked at every second at most."""
        return broker.answers()

    def is_separate(self) -> bool:
        """RabbitMQ, or another Redis."""
        return broker.is_separate()

    def queues(self) -> set[str]:
        """As the project's tasks are routed."""
        current_app.loader.import_default_modules()
        return {queue_of(task, {}) for task in current_app.tasks.values() if is_tracked(task)}

    def start_command(self, queue: str) -> str:
        """With `-Q` for every queue but the default one."""
        command: str = settings.TASKS_START_WORKER
        return command if queue == current_app.conf.task_default_queue else f"{command} -Q {queue}"

    def in_flower(self) -> bool:
        """Flower is Celery's."""
        return True

    def arguments(self, run: TaskRun) -> tuple[list[object], dict[str, object]]:
        """With dates, decimals and ids as they were given."""
        return kombu_loads(json.dumps(run.args)), kombu_loads(json.dumps(run.kwargs))

    def value(self, stored: JSON) -> object:
        """With dates, decimals and ids as they were given."""
        return kombu_loads(json.dumps(stored))

    def again(self, run: TaskRun) -> Start:
        """In the same queue, with the same priority."""
        message = decoded(run)
        task: CeleryTask = current_app.tasks.get(run.name)
        if "carried" in message["options"]:
            task = UnknownTask(run.name, current_app)
        if task is None:
            raise NotAccepted(f"The task {run.name} does not exist any more.")
        kept = ("carried", "queue", "priority", "time_limit", "soft_time_limit", "serializer", "shadow")
        options = {key: message["options"][key] for key in kept if key in message["options"]}
        return start_of(task, message["args"], message["kwargs"], options)

    def is_followed(self, run: TaskRun, *, ended_well: bool = True) -> bool:
        """It has callbacks, or a next link; error callbacks; or somebody else hears of its end."""
        options = run.message.get("options") if isinstance(run.message, dict) else None
        if not isinstance(options, dict):
            return bool(run.message)
        names = ("link", "chain") if ended_well else ("link_error",)
        return any(options.get(name) for name in (*names, "carried"))

    def free(self, run: TaskRun) -> None:
        """Its callbacks, and the next link of its chain, each with its result."""
        _tell_ended(run)
        options = decoded(run)["options"]
        callbacks, chain = _as_list(options.get("link")), list(options.get("chain") or ())
        if not callbacks and not chain:
            return
        result = kombu_loads(json.dumps(run.result))
        given = {"parent_id": run.pk, "root_id": options.get("root_id") or run.pk}
        if current_app.conf.task_inherit_parent_priority:
            given["priority"] = options.get("priority")
        started: list[Result | GroupResult] = []
        for one in callbacks:
            try:
                with transaction.atomic(), following():
                    callback: Signature = maybe_signature(one, app=current_app)
                    started.append(callback.apply_async((result,), **given))
            except runs.DatabaseAway:
                raise
            except Exception as error:
                logger.error("A callback of %s is not started: %s", run, error)
        if len(callbacks) > 1:  # Celery starts these as a group
            single = [one for one in started if not isinstance(one, GroupResult)]
            groups = [one for one in started if isinstance(one, GroupResult)]
            started = [*groups, GroupResult(new_id(), single)] if single else [*groups]
        if chain:
            signature: Signature = maybe_signature(chain[-1], app=current_app)
            try:
                with transaction.atomic(), following():
                    started.append(signature.apply_async((result,), chain=chain[:-1], **given))
            except Exception as error:
                if isinstance(error, runs.DatabaseAway):
                    raise
                self._fail_next(run, error)
        children.add(run, started)

    def _fail_next(self, run: TaskRun, error: Exception) -> None:
        """What follows cannot be started: its arguments are too large, or are no arguments of it."""
        logger.error("What follows %s cannot be started: %s", run, error)
        for pk in list(TaskRun.objects.filter(after=run.pk, held=True).values_list("pk", flat=True)):
            runs.end(pk, "FAILURE", error=errors.describe(error))

    def failed(self, run: TaskRun) -> None:
        """Its error callbacks: those that are tasks in this transaction, those that are called at once after it."""
        _tell_ended(run)
        errbacks = _as_list(decoded(run)["options"].get("link_error"))
        if errbacks:
            errors.call_back(run, errbacks, decoded(run)["options"])

    def complete(self, group: TaskGroup) -> None:
        """Start a chord's body, or fail it."""
        canvas.complete(group)

    def tracks_everything(self) -> bool:
        """False where a task has Celery's own class."""
        return all(hasattr(task, "tracked") for task in current_app.tasks.values())

    def priorities(self, priority: int | None) -> tuple[Q, Q]:
        """Redis has a list for each of a few steps, the smallest first; RabbitMQ's quorum queues put above 4 first."""
        if settings.BROKER.queue_type == "quorum":
            first = Q(priority__gt=4)
            return (Q(pk__in=()), first) if (priority or 0) > 4 else (first, ~first | Q(priority=None))
        given = cast("list[int] | None", settings.BROKER.transport_options.get("priority_steps"))
        steps = sorted(given or DEFAULT_PRIORITY_STEPS)
        number = max(bisect(steps, priority or 0) - 1, 0)
        before, same = Q(priority__lt=steps[number]), Q(priority__gte=steps[number])
        if number == 0:
            before = Q(pk__in=())
            same = Q(priority__lt=steps[1]) if len(steps) > 1 else Q()
            return before, same | Q(priority=None)
        if number + 1 < len(steps):
            same &= Q(priority__lt=steps[number + 1])
        return before | Q(priority=None), same


def _tell_ended(run: TaskRun) -> None:
    if run_ended.receivers:
        transaction.on_commit(lambda: run_ended.send_robust(CeleryEngine, run=run), robust=True)


def _as_list(value: Signature) -> list[Signature]:
    if not value:
        return []
    return list(value) if isinstance(value, (list, tuple)) else [value]
