"""Groups and chords over rows: a chord's body starts once, after the last of its header, whatever died in between.

Chains need nothing here: their links are rows that are held until the link before has ended.
"""

from __future__ import annotations

import json
import logging
import time
from typing import cast

import redis
from celery import current_app
from celery.canvas import maybe_signature
from celery.exceptions import ChordError
from celery.result import GroupResult, result_from_tuple
from django.db import transaction
from kombu.utils.functional import maybe_list
from kombu.utils.json import dumps as kombu_dumps
from kombu.utils.json import loads as kombu_loads

from progress.child_count import add_ended, expect
from progress.messages import Changing, TaskError
from progress.record import get_record
from progress.types import JSON
from tasks import runs
from tasks.models import State, TaskGroup, TaskRun
from tasks.runs import DatabaseAway, barrier

from .message import decoded
from .start import behind, following, is_following
from .types import Result, Signature

logger = logging.getLogger(__name__)


def remember_group(result: GroupResult) -> None:
    """Store which tasks are in the group."""
    TaskGroup.objects.update_or_create(pk=result.id, defaults={"members": _plain(result.as_tuple())})


def remember_chord(header: GroupResult, body: Signature) -> None:
    """Store the header's members and the body, and write the body's rows: its id is known from now on."""
    ids = _ids(header)
    # Where it is called, all begin; in a chain whose turn has come, a part may have ended before.
    parts = len(ids) - (barrier.ended_before(ids) if is_following() else 0)
    _remember(str(header.id), parts, header.as_tuple(), body)


def remember_growing_chord(group_id: str, body: Signature) -> None:
    """`remember_chord` for a header whose parts come one by one: its generator is consumed while the first run."""
    _remember(group_id, barrier.UNKNOWN, ((group_id, None), []), body)


def count_chord(group_id: str, parts: int) -> None:
    """The header's size is known now. It was from the start, unless its parts came from a generator."""
    group = TaskGroup.objects.filter(pk=group_id, left__gt=barrier.UNKNOWN // 2, body__isnull=False).first()
    if group is not None:
        barrier.settle(group_id, parts)
        _expect(group_id, parts, TaskRun.objects.filter(after=group_id, held=True).values_list("pk", flat=True).first())


def _remember(group_id: str, parts: int, members: object, body: Signature) -> None:
    starts, _ = behind([body], group_id)
    for start in starts:
        if parts == barrier.UNKNOWN and start.group_id == group_id:
            start.group_id = None  # Celery says of what follows the body that it is in the group, which is counted
    with transaction.atomic():
        runs.hold(starts, None)
        barrier.raise_barrier(group_id, parts, _plain(members), _plain(body))
    if parts != barrier.UNKNOWN:
        # Not while the transaction is open: nobody waits for its rows because Redis is slow.
        body_id = starts[0].id if starts else None
        transaction.on_commit(lambda: _expect(group_id, parts, body_id), robust=True)


def _expect(group_id: str, parts: int, body_id: str | None) -> None:
    try:
        expect(group_id, parts, body_id)
    except (redis.RedisError, OSError) as error:
        logger.debug("The body of %s will show no bar: %s", group_id, error)


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


def forget_ignored(run: TaskRun) -> None:
    """The value of a run with `ignore_result`: nobody needs it once what follows has got it."""
    waits = bool(run.group_id) and TaskGroup.objects.filter(pk=run.group_id, done=False, body__isnull=False).exists()
    if not waits:
        TaskRun.objects.filter(pk=run.pk).update(result=None)
    run.result = None


def add_to_group(group_id: str, result: Result) -> None:
    """One more part of a chord whose header runs."""
    with transaction.atomic():
        group = TaskGroup.objects.select_for_update().get(pk=group_id)
        members = cast(GroupResult, result_from_tuple(group.members, current_app))
        members.add(result)
        TaskGroup.objects.filter(pk=group_id).update(members=_plain(members.as_tuple()), left=group.left + 1)


def restore_group(group_id: str) -> GroupResult | None:
    """The stored group; None for an unknown one."""
    stored = TaskGroup.objects.filter(pk=group_id).first()
    if stored is None:
        return None
    result = result_from_tuple(stored.members, current_app)
    return result if isinstance(result, GroupResult) else None


def forget_group(group_id: str) -> None:
    """Forget a stored group."""
    TaskGroup.objects.filter(pk=group_id).delete()


def complete(group: TaskGroup) -> None:
    """Start the body with the results of the header, or end it with the first error among them."""
    header = cast("Result | GroupResult", result_from_tuple(group.members, current_app))
    if isinstance(header, GroupResult) and not header.results:
        header = _grown(group)
    ids = _ids(header)
    parts = {run.pk: run for run in TaskRun.objects.filter(pk__in=ids).defer("message", "traceback")}
    body: Signature = maybe_signature(kombu_loads(json.dumps(group.body)), app=current_app)
    if group.left > barrier.UNKNOWN // 2:
        message = "The parts after the first ones were never sent."
        _end_body(group.pk, body, State.FAILURE, {"type": "PartGone", "message": message})
        return
    gone = next((one for one in ids if one not in parts), None)
    broken = next((parts[one] for one in ids if one in parts and parts[one].state != State.SUCCESS), None)
    if broken is not None:
        logger.info("The chord %s does not start its body: %s ended as %s.", group.pk, broken, broken.state)
        error: TaskError = dict(broken.error or {"type": "Error", "message": ""})  # type: ignore[assignment]
        _end_body(group.pk, body, str(broken.state), error)
    elif gone is not None:
        _end_body(group.pk, body, State.FAILURE, {"type": "PartGone", "message": f"The part {gone} is gone."})
    else:
        try:
            with transaction.atomic(), following():
                body.apply_async((_results(header, parts),))
                ignored = [pk for pk, run in parts.items() if run.progress.get("ignored")]
                TaskRun.objects.filter(pk__in=ignored).update(result=None)
        except DatabaseAway:
            raise
        except Exception as error:
            logger.error("The body of the chord %s cannot be started: %s", group.pk, error)
            _end_body(group.pk, body, State.FAILURE, {"type": type(error).__name__, "message": str(error)[:2000]})


def _grown(group: TaskGroup) -> GroupResult:
    """The parts of a header that came from a generator, in its order."""
    waiting = set(TaskRun.objects.filter(after=group.pk, held=True).values_list("pk", flat=True))
    found = TaskRun.objects.filter(group_id=group.pk).exclude(pk__in=waiting).order_by("accepted_at")
    rows = sorted(found, key=lambda run: decoded(run)["options"].get("group_index") or 0)
    return GroupResult(group.pk, [current_app.AsyncResult(run.pk) for run in rows])


def _end_body(group_id: str, body: Signature, state: str, error: TaskError) -> None:
    """What waits for the header ends as it did; the body's error callbacks are called."""
    leaves = {one.options.get("task_id"): one for one in _leaves(body)}
    waiting = list(TaskRun.objects.filter(after=group_id, held=True).values_list("pk", flat=True))
    state = State.FAILURE if state == State.FAILURE else State.REVOKED
    for pk in waiting:
        errbacks = [*(maybe_list(body.options.get("link_error")) or ())]
        leaf = leaves.get(pk)
        if leaf is not None and leaf is not body:
            errbacks += [one for one in maybe_list(leaf.options.get("link_error")) or () if one not in errbacks]
        message = {"args": [], "kwargs": {}, "options": {"link_error": _plain(errbacks)} if errbacks else {}}
        runs.end(pk, state, error=error, others={"message": message})
    # A body that is no run, and not one that has ended before: as Celery does.
    if not waiting and not TaskRun.objects.filter(pk__in=[pk for pk in leaves if pk]).exists():
        try:
            raise ChordError(f"{error['type']}: {error['message']}")
        except ChordError as broken_off:  # raised, because Celery takes the traceback from the stack
            current_app.backend.chord_error_from_stack(body, broken_off)


def _leaves(signature: Signature) -> list[Signature]:
    """The single tasks of a frozen signature: of a chain its links, of a group its members, of a chord both parts."""
    inner = getattr(signature, "tasks", None)
    if inner is None:
        return [signature]
    inner = [*getattr(inner, "tasks", inner)]
    if signature.get("subtask_type") == "chord":
        inner.append(signature.body)
    return [leaf for one in inner for leaf in _leaves(maybe_signature(one, app=current_app))]


def _ids(result: Result | GroupResult) -> list[str]:
    """The ids of all tasks in a group, and in the groups within it."""
    if isinstance(result, GroupResult):
        return [one for part in result.results or () for one in _ids(part)]
    return [result.id]


def _results(result: Result | GroupResult, parts: dict[str, TaskRun]) -> object:
    if isinstance(result, GroupResult):
        return [_results(part, parts) for part in result.results or ()]
    return kombu_loads(json.dumps(parts[result.id].result))


def _plain(value: object) -> JSON:
    plain: JSON = json.loads(kombu_dumps(value))
    return plain
