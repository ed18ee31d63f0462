"""Groups and chords over rows: a chord's body starts once, after the last of its header, whatever died in between.

Chains need nothing here: their links are rows that are held (`runs.hold`) until the link before has ended.
"""

from __future__ import annotations

import json
import logging
import time
from typing import Any

import redis
from celery import current_app
from celery.canvas import maybe_signature
from celery.exceptions import ChordError
from celery.result import GroupResult, result_from_tuple
from django.db import transaction
from kombu.utils.json import dumps as kombu_dumps
from kombu.utils.json import loads as kombu_loads

from progress.child_count import add_ended, expect
from progress.messages import Changing
from progress.record import get_record

from . import runs
from .models import FINAL, State, TaskGroup, TaskRun

logger = logging.getLogger(__name__)


def remember_group(result: GroupResult) -> None:
    """Store which tasks are in the group."""
    TaskGroup.objects.update_or_create(pk=result.id, defaults={"members": _plain(result.as_tuple())})


def remember_chord(header: GroupResult, body: Any) -> None:
    """Store the header's members and the body, and write the body's rows: its id is known from now on."""
    TaskGroup.objects.update_or_create(
        pk=header.id, defaults={"members": _plain(header.as_tuple()), "body": _plain(body), "done": False}
    )
    runs.hold([body])
    try:
        expect(str(header.id), len(_ids(header)), runs.leaves(body)[0].options.get("task_id"))
    except (redis.RedisError, OSError) as error:
        logger.debug("The body of %s will show no bar: %s", header.id, error)


def part_ended(run: TaskRun) -> None:
    """A task of a group has ended: count it, and show the count on the bar of the chord's body."""
    if not run.group_id:
        return
    try:
        ended, total, body_id = add_ended(run.group_id)
        if body_id:
            state: Changing = {
                "state": "PENDING",
                "attempt": 0,
                "current": ended,
                "total": total,
                "percent": round(100 * min(ended / total, 1), 2),
                "unit": "tasks before it",
                "message": "",
                "ts": round(time.time(), 3),
            }
            get_record().tell(body_id, state, final=False)
    except (redis.RedisError, OSError) as error:
        logger.debug("The end of %s could not be counted: %s", run, error)


def restore_group(group_id: str) -> GroupResult | None:
    """The stored group; None for an unknown one."""
    stored = TaskGroup.objects.filter(pk=group_id).first()
    if stored is None:
        return None
    result: Any = result_from_tuple(stored.members, current_app)
    return result if isinstance(result, GroupResult) else None


def forget_group(group_id: str) -> None:
    """Forget a stored group."""
    TaskGroup.objects.filter(pk=group_id).delete()


def complete_open_chords() -> None:
    """Complete chords whose last part ended without anybody hearing it; called by the sweep."""
    for group_id in TaskGroup.objects.filter(done=False, body__isnull=False).values_list("pk", flat=True)[:100]:
        complete_chord(group_id)


def complete_chord(group_id: str) -> None:
    """Start the body if the whole header has ended well, or fail it; once, and in one transaction with the mark."""
    stored = TaskGroup.objects.filter(pk=group_id, done=False, body__isnull=False).first()
    if stored is None:
        return
    header = result_from_tuple(stored.members, current_app)
    ids = _ids(header)
    parts = {run.pk: run for run in TaskRun.objects.filter(pk__in=ids)}
    if len(parts) < len(ids) or any(run.state not in FINAL for run in parts.values()):
        return
    body: Any = maybe_signature(kombu_loads(json.dumps(stored.body)), app=current_app)
    broken = next((parts[one] for one in ids if parts[one].state != State.SUCCESS), None)
    with transaction.atomic():
        if not TaskGroup.objects.filter(pk=group_id, done=False).update(done=True):
            return
        if broken is None:
            body.delay(_results(header, parts))
            return
        error = broken.error or {"type": "Error", "message": ""}
        try:
            raise ChordError(f"{broken.name} {broken.pk} ended as {broken.state}: {error['type']}: {error['message']}")
        except ChordError as broken_off:  # raised, because Celery takes the traceback from the stack
            logger.info("The chord %s does not start its body: %s", group_id, broken_off)
            current_app.backend.chord_error_from_stack(body, broken_off)


def _ids(result: Any) -> list[str]:
    """The ids of all tasks in a group, and in the groups within it."""
    if isinstance(result, GroupResult):
        return [one for part in result.results or () for one in _ids(part)]
    return [result.id]


def _results(result: Any, parts: dict[str, TaskRun]) -> Any:
    if isinstance(result, GroupResult):
        return [_results(part, parts) for part in result.results or ()]
    return kombu_loads(json.dumps(parts[result.id].result))


def _plain(value: Any) -> Any:
    return json.loads(kombu_dumps(value))
