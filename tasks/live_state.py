"""Runs as they stand right now: the row, and the live record where a worker is at it."""

from __future__ import annotations

from collections.abc import Sequence

from progress.held import Held, Since
from progress.messages import LogLine, TaskState
from progress.record import get_record
from progress.state import merge

from .models import TaskRun
from .public_state import public_state
from .queue_status import explain


def live_states(found: Sequence[TaskRun]) -> list[TaskState]:
    """The public state of each of `found`; while Redis is away, what the database knows."""
    waiting = explain(found)
    held = _held(found)
    return [merge(public_state(one, waiting.get(one.pk)), held.get(one.pk, Held()).changing) for one in found]


def live_log(found: TaskRun) -> list[LogLine]:
    """The log lines that are still held; none while Redis is away."""
    try:
        return list(get_record().read(found.pk).log)
    except Exception:
        return []


def _held(found: Sequence[TaskRun]) -> dict[str, Held]:
    running = [one.pk for one in found if not one.is_final]
    try:
        record = get_record()
        return {pk: record.read(pk, Since(log=False)) for pk in running}
    except Exception:
        return {}
