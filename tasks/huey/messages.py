"""A Huey task as a row, with all that follows it, and back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import cast

from progress.active import current
from progress.types import JSON
from tasks.models import TaskRun
from tasks.runs import NotAccepted, Start, trace
from tasks.runs.message import stored_message

from . import values
from .names import NAME, name_of, queue_name
from .types import HueyTask, Queue

#: Fields of a task that travel with it as they are.
KEPT = ("retries", "retry_delay", "retry_backoff", "timeout", "expires")


def start_of(huey: Queue, task: HueyTask, *, after: str | None = None, one_while_active: object = None) -> Start:
    """What is to be stored of `task`, and behind it of its pipeline. Raises `NotAccepted`."""
    name, running = name_of(type(task)), current()
    request_id = trace.request_id()
    return Start(
        id=task.id,
        name=name,
        message=message_of(name, task, {"request_id": request_id} if request_id else {}),
        queue=queue_name(huey),
        engine=NAME,
        max_attempts=int(getattr(type(task), "max_attempts", 3)),
        max_tries=_tries(task),
        priority=_whole(name, task.priority),
        eta=aware(huey, task.eta),
        expires=aware(huey, task.expires_resolved),
        parent_id=running.task_id if running is not None and running.task_id != task.id else None,
        group_id=getattr(task, "group_id", None),
        after=after,
        one_while_active=one_while_active,
        behind=pipeline(huey, task),
    )


def pipeline(huey: Queue, task: HueyTask) -> Sequence[Start]:
    """The starts of what follows `task`, one after the other: rows that are known, and wait."""
    found, before = [], task
    while before.on_complete is not None:
        following = before.on_complete
        start = start_of(huey, _alone(following), after=before.id)
        start.message, start.eta = {}, None  # both are known when its turn comes
        start.group_id = getattr(following, "group_id", None)
        found.append(start)
        before = following
    return found


def _alone(task: HueyTask) -> HueyTask:
    return type(task)(task.args, task.kwargs, id=task.id, priority=task.priority)


def _tries(task: HueyTask) -> int:
    """Once, and by its retries."""
    return 1 + min(max(task.retries, 0), 2**31 - 2) if isinstance(task.retries, int) else 1


def _whole(name: str, priority: object) -> int | None:
    if priority is None or (isinstance(priority, int) and not isinstance(priority, bool)):
        return priority
    raise NotAccepted(f"The priority of {name} must be a whole number, but got {priority!r}."[:300])


def message_of(name: str, task: HueyTask, more: dict[str, JSON]) -> dict[str, JSON]:
    """`{"args", "kwargs", "options"}` as JSON. Raises `NotAccepted`."""
    described = {**described_as(name, task), **more}
    parts = {"args": described.pop("args"), "kwargs": described.pop("kwargs"), "options": described}
    try:
        text = json.dumps(parts)
    except (TypeError, ValueError, RecursionError) as error:
        raise NotAccepted(f"The arguments of {name} must be JSON: {error}") from error
    return stored_message(name, text)


def described_as(name: str, task: HueyTask) -> dict[str, JSON]:
    """The fields of `task`, and those of what follows it. Raises `NotAccepted`."""
    kwargs = {key: value for key, value in task.kwargs.items() if value is not task}
    try:
        found: dict[str, JSON] = {"args": [values.encode(one) for one in task.args], "kwargs": values.encode(kwargs)}
        for field in KEPT:
            if (value := getattr(task, field)) is not None:
                found[field] = values.encode(value)
    except (values.NotEncodable, RecursionError) as error:
        raise NotAccepted(f"The arguments of {name} must be JSON: {error}") from error
    for key, other in (("then", task.on_complete), ("error", task.on_error)):
        if other is not None:
            inner = name_of(type(other))
            found[key] = {**described_as(inner, other), "name": inner, "id": other.id, "priority": other.priority}
            if getattr(other, "group_id", None):
                cast("dict[str, JSON]", found[key])["group_id"] = other.group_id
            if other.eta is not None:
                cast("dict[str, JSON]", found[key])["eta"] = values.encode(other.eta)
    return found


def task_of(huey: Queue, run: TaskRun) -> HueyTask:
    """The run as Huey's task. Raises LookupError where no task has that name here, ValueError for a broken row."""
    options = run.message.get("options") or {}
    described = {**options, "args": run.args, "kwargs": run.kwargs, "priority": run.priority, "id": run.pk}
    task = made(huey, run.name, described)
    task.eta = naive(huey, run.due_at)
    task.expires_resolved = naive(huey, run.expires)
    return task


def made(huey: Queue, name: str, described: dict[str, JSON]) -> HueyTask:
    """The task that `_described` was given, with its pipeline and its error handler."""
    kept = {field: values.decode(described.get(field)) for field in KEPT}
    task = huey.class_of(name)(
        tuple(cast("list[object]", values.decode(described.get("args") or []))),
        values.decode(described.get("kwargs") or {}),
        id=described.get("id"),
        eta=values.decode(described.get("eta")),
        priority=described.get("priority"),
        **kept,
    )
    task.group_id = described.get("group_id")
    for key, place in (("then", "on_complete"), ("error", "on_error")):
        other = described.get(key)
        if isinstance(other, dict):
            setattr(task, place, made(huey, str(other["name"]), other))
    return task


def aware(huey: Queue, moment: datetime | None) -> datetime | None:
    """Huey's times have no zone: UTC, or that of the machine with `utc=False`."""
    if moment is None or moment.tzinfo is not None:
        return moment
    return moment.replace(tzinfo=UTC) if huey.utc else moment.astimezone(UTC)


def naive(huey: Queue, moment: datetime | None) -> datetime | None:
    """The other way round."""
    if moment is None:
        return None
    return moment.astimezone(UTC if huey.utc else None).replace(tzinfo=None)
