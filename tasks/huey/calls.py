"""A call of a Huey task, or of a chord of them, becomes rows."""

from __future__ import annotations

import inspect
import uuid

from django.db import transaction
from huey.api import ChordResult, ResultGroup, chord, group

from progress.types import JSON
from tasks import runs
from tasks.runs import barrier
from tasks.runs.moves import end_cancelled

from . import values
from .messages import described_as, pipeline, start_of
from .names import NAME, name_of
from .results import RunResult
from .types import HueyTask, Queue


def accept(huey: Queue, task: HueyTask, idempotency_key: str | None) -> None:
    """Accept a run, and give `task` its id. Raises `runs.NotAccepted`."""
    run = runs.accept(start_of(huey, task, one_while_active=_active(task)), idempotency_key=idempotency_key)
    task.id, task.revoke_id = run.pk, f"r:{run.pk}"


def revoke(task_id: str) -> bool:
    """REVOKED, if it waits."""
    return end_cancelled(task_id)


def accept_chord(huey: Queue, wanted: HueyTask) -> ChordResult:
    """Accept the parts of a chord, and hold what follows them. Raises `runs.NotAccepted`."""
    for part in wanted.tasks:
        if isinstance(part, (chord, group)):
            raise runs.NotAccepted("A part of a chord must be a task, with its pipeline: start a chord of its own.")
    body, group_id = wanted.callback, str(uuid.uuid4())
    tails = []
    for part in wanted.tasks:
        tail = part
        while tail.on_complete is not None:
            tail = tail.on_complete
        tail.group_id = group_id
        tails.append(tail)
    described = described_as(name_of(type(body)), body)
    more: dict[str, JSON] = {"name": name_of(type(body)), "id": body.id, "priority": body.priority}
    with transaction.atomic():
        if tails:
            members = [tail.id for tail in tails]
            barrier.raise_barrier(group_id, len(tails), members, {**described, **more}, NAME)
            start = start_of(huey, body, after=group_id)
            start.message, start.behind = {}, ()
            runs.hold([start, *pipeline(huey, body)], None)
        for part in wanted.tasks:
            huey.enqueue(part)
        if not tails:
            body.extend_data(([],))
            huey.enqueue(body)
    results = huey._pipeline_results(body)
    parts = [RunResult(huey, tail) for tail in tails]
    return ChordResult(parts, results[0], ResultGroup(results) if len(results) > 1 else None)


def _active(task: HueyTask) -> list[JSON] | None:
    """The values of the arguments in `one_while_active`, defaults included; None where the task has none."""
    names: tuple[str, ...] = getattr(type(task), "one_while_active", ())
    if not names:
        return None
    function = inspect.unwrap(type(task).function)
    given = inspect.signature(function).bind(*task.args, **task.kwargs)
    given.apply_defaults()
    return [values.encode(given.arguments.get(name)) for name in names]
