"""The moves of a run. The only file that moves a state; every move is one conditional UPDATE.

Whoever writes for a running task names the attempt it holds; a stale attempt writes nothing. Every end passes `end`,
which in the same transaction frees or ends what waits for the run.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import cast

from django.conf import settings
from django.db import DatabaseError, transaction
from django.db.models import DateTimeField, Exists, F, Q, QuerySet, Value
from django.db.models.functions import Coalesce
from django.utils import timezone

from progress.messages import Changing, TaskError
from progress.types import JSON
from tasks.models import CLAIMABLE, Attempt, State, TaskRun

from . import attempts, barrier, counts, deaths
from .attempts import Left
from .engine import get_engine
from .fingerprint import fingerprint_of
from .message import MAX_TRACEBACK, plain, sayable
from .returning import update_returning
from .sending import send, send_new
from .state import tell
from .stuck import cancelled_parents

logger = logging.getLogger(__name__)

#: How much before its time a message may be claimed, for clocks that differ.
CLOCK_DIFFERENCE = timedelta(seconds=2)

CANCELLED: TaskError = {"type": "Cancelled", "message": "The task was cancelled."}


def claim(
    task_id: str, worker: str, at: datetime | None = None, waited_until: datetime | None = None
) -> TaskRun | None:
    """Begin the next attempt for `worker`; None when this message is a copy and must be dropped.

    A caller that does not know whether the claim was stored asks again with the same `at`, its name for this claim.
    `waited_until`: the time that the message named and its worker has waited for, by a clock that nobody sets.
    """
    now = at or timezone.now()
    soon = now + CLOCK_DIFFERENCE
    due = Q(next_retry_at=None) | Q(next_retry_at__lte=soon)
    due &= Q(eta=None) | Q(eta__lte=soon) | Q(state=State.RETRY)
    if waited_until is not None:
        due |= Q(next_retry_at=waited_until) | Q(next_retry_at=None, eta=waited_until)
    due &= Q(expires=None) | Q(expires__gt=now)
    free = TaskRun.objects.filter(
        due, ~Exists(cancelled_parents()), pk=task_id, state__in=CLAIMABLE, held=False, cancel_requested_at=None
    )
    claimed = update_returning(
        free,
        state=State.STARTED,
        attempt=F("attempt") + 1,
        worker=worker,
        release=settings.TASKS_RELEASE,
        started_at=now,
        next_retry_at=None,
        error=None,
        advanced=False,
        sent_at=Coalesce("sent_at", Value(now, DateTimeField())),  # it arrived, so it was sent
    )
    if claimed:
        return claimed[0]
    if at is None:
        return None
    return TaskRun.objects.filter(pk=task_id, state=State.STARTED, worker=worker, started_at=at).first()


def begin_again(wanted: TaskRun) -> bool:
    """A canvas whose ids were given out is called once more: its ended run waits again, as it is `wanted` now.

    The count of attempts goes on. False if it has not ended, or was revoked: that stays so, as Celery's workers see it.
    """
    names = [*("name", "message", "queue", "group_id", "parent_id", "eta", "expires", "priority", "max_attempts")]
    names += ["tries", "max_tries", "held", "after", "accepted_at", "freed_at"]
    values: dict[str, object] = {name: getattr(wanted, name) for name in names}
    values |= {"state": State.PENDING, "worker": "", "lost": 0, "in_vain": 0, "unfollowed": False}
    values |= {"progress": {}, "traceback": "", "release": "", "fingerprint": None}
    empty = ["sent_at", "started_at", "finished_at", "next_retry_at", "cancel_requested_at", "result", "error"]
    values |= dict.fromkeys([*empty, "checkpoint", "checkpoint_at"])
    return bool(TaskRun.objects.filter(pk=wanted.pk, state__in=(State.SUCCESS, State.FAILURE)).update(**values))


# --- the end ----------------------------------------------------------------------------------------------------------


def end(
    task_id: str,
    state: str,
    *,
    attempt: int | None = None,
    worker: str | None = None,
    result: object = None,
    error: TaskError | None = None,
    traceback: str = "",
    numbers: Changing | None = None,
    others: Mapping[str, object] | None = None,
    quietly: bool = False,
    alone: bool = False,
    left: Left | None = None,
) -> TaskRun | None:
    """Record the end of a run, once, and free or end what waits for it. None: somebody else holds it; nothing written.

    Who ends it is named by the number of its `attempt`; or by the `worker` that holds it, which may also end one that
    waits; by neither, whoever has not ended may be. `others` are columns that go before. `quietly`: viewers are told by
    the caller. `alone`: see `is_alone`; then it is one statement. `left`: how its attempt was ended from outside.
    """
    holder = Q(state=State.STARTED) if worker is None else Q(state=State.STARTED, worker=worker)
    mine = holder | Q(state__in=CLAIMABLE) if attempt is None else Q(state=State.STARTED, attempt=attempt)
    values: dict[str, object] = {
        "state": state,
        "finished_at": timezone.now(),
        "result": result,
        "error": error and sayable(cast(JSON, error)),
        "traceback": plain(traceback[-MAX_TRACEBACK:]),
        "fingerprint": fingerprint_of(state, error, traceback),
        "next_retry_at": None,
        "held": False,
        "unfollowed": True,
        **(others or {}),
    }
    if numbers is not None:
        values["progress"] = numbers
    if state == State.SUCCESS:  # nothing is left to go on with
        values |= {"checkpoint": None, "checkpoint_at": None}
    if worker is not None and state != State.SUCCESS:  # the worker ends what has not ended itself
        left = Left(Attempt.How.KILLED, error, traceback)
    over = attempts.over(TaskRun.objects.filter(mine, pk=task_id), left)
    run = _end(mine, task_id, values, over, quietly=quietly, alone=alone)
    if run is None and attempt is not None:
        counts.refused()
        logger.warning("Refused a late write: attempt %s of %s holds the run no longer.", attempt, task_id)
    return run


def _end(
    mine: Q,
    task_id: str,
    values: Mapping[str, object],
    over: Attempt | None = None,
    *,
    quietly: bool = False,
    alone: bool = False,
) -> TaskRun | None:
    """The door. One transaction: the end, and what waits for it; and the attempt that is `over` with it."""
    found = TaskRun.objects.filter(mine, pk=task_id)
    if alone:
        ended = update_returning(found, **{**values, "unfollowed": False})
        if not ended:
            return None
        run = ended[0]
    else:
        with transaction.atomic():
            ended = update_returning(found, **values)
            if not ended:
                return None
            run = ended[0]
            attempts.keep(over)
            follow(run)
    counts.ended(run)
    if not quietly:
        transaction.on_commit(lambda: tell(run), robust=True)
    return run


def follow(run: TaskRun) -> Exception | None:
    """Free or end what waits for an ended run. What fails here, and is returned, is tried again by the sweep."""
    try:
        with transaction.atomic():
            engine = get_engine(run.engine)
            if run.state == State.SUCCESS:
                engine.free(run)
            else:
                _end_held(Q(after=run.pk), run)
                if run.group_id and not barrier.is_open(run.group_id):  # a part that was never sent, nor its chord
                    _end_held(Q(after=run.group_id), run)
                engine.failed(run)
            if run.group_id and (group := barrier.arrive(run.group_id)) is not None:
                engine.complete(group)
            TaskRun.objects.filter(pk=run.pk).update(unfollowed=False)
            run.unfollowed = False
    except Exception as error:
        if isinstance(error, DatabaseError) and transaction.get_connection().needs_rollback:
            raise
        logger.exception("What waits for %s could not be freed now; the sweep tries again.", run)
        return error
    return None


def _end_held(which: Q, ended: TaskRun) -> None:
    """End the held runs that wait for one which ended badly, as that one ended."""
    held = TaskRun.objects.filter(which, held=True, state=State.PENDING)
    for pk in list(held.values_list("pk", flat=True)):
        end(pk, str(ended.state), error=ended.error, others={"fingerprint": ended.fingerprint})


def end_cancelled(task_id: str) -> bool:
    """REVOKED, if it waits. False if it has begun or ended."""
    now = timezone.now()
    values = {"state": State.REVOKED, "finished_at": now, "cancel_requested_at": now, "error": CANCELLED}
    values |= {"next_retry_at": None, "held": False, "unfollowed": True}
    return _end(Q(state__in=CLAIMABLE), task_id, values) is not None


def expire(task_id: str) -> bool:
    """REVOKED: the run, or its next attempt, was not started before its `expires`."""
    run = TaskRun.objects.filter(pk=task_id).first()
    what = "started" if run is None or not run.attempt else "started again"
    error: TaskError = {"type": "Expired", "message": f"The task was not {what} before it expired."}
    late = Q(state__in=CLAIMABLE, expires__lt=timezone.now())
    values = {"state": State.REVOKED, "finished_at": timezone.now(), "error": error}
    values |= {"next_retry_at": None, "held": False, "unfollowed": True}
    return _end(late, task_id, values) is not None


# --- between two attempts ---------------------------------------------------------------------------------------------


def postpone(task_id: str, attempt: int, at: datetime, values: Mapping[str, object], left: Left | None = None) -> bool:
    """The running attempt asks for another one at `at`, with these columns of its message, because of what `left` says.
    False from a stale one.
    """
    soon = at - timezone.now() <= settings.TASKS_LONGEST_COUNTDOWN
    # As a start is, it is sent as far as the sweep knows: else that would send it too, once a short pause is over.
    asked = {"state": State.RETRY, "next_retry_at": at, "sent_at": timezone.now() if soon else None, **values}
    left = left or Left(Attempt.How.RETRIED, cast("TaskError | None", values.get("error")))
    if not _leave(task_id, attempt, asked, left):
        return False
    if soon:
        run = TaskRun.objects.get(pk=task_id)
        transaction.on_commit(lambda: send_new(run), robust=True)
    return True


def set_aside(task_id: str, attempt: int) -> bool:
    """The running attempt is replaced by another task under its id, which lets it go. False from a stale one."""
    values: dict[str, object] = {"state": State.PENDING, "held": True, "after": task_id}
    values |= {"progress": {"replaced": True}, "sent_at": None, "eta": None, "next_retry_at": None}
    return _leave(task_id, attempt, values, Left(Attempt.How.REPLACED))


def lost(task_id: str, worker: str, *, send_again: bool, why: str = "", left: Left | None = None) -> str | None:
    """The process that ran this task for `worker` is gone, the last allowed time because of `why`.

    `left`: what is known of that beyond `why`. The new state; None when the run moved on before.
    """
    run = TaskRun.objects.filter(pk=task_id, state=State.STARTED, worker=worker).first()
    if run is None:
        return None
    left = left or Left(Attempt.How.LOST, deaths.one(why))
    if run.cancel_requested_at is not None:
        _revoke_instead(task_id, run.attempt, left)
        return State.REVOKED
    again: dict[str, object] = {"lost": F("lost") + 1, "in_vain": F("in_vain") + int(not run.advanced)}
    if (error := deaths.too_many(run, why)) is not None:
        ended = end(task_id, State.FAILURE, attempt=run.attempt, error=error, others=again, left=left)
        return State.FAILURE if ended else None
    if send_again:
        again["sent_at"] = None  # should the broker be away, the sweep sends it as soon as that is back
    return State.RETRY if _give_back(run, again, left, send_again=send_again) else None


def give_back(task_id: str, attempt: int, *, send_again: bool) -> bool:
    """The attempt ends without a result and without a death: another one follows at once. False from a stale one."""
    run = TaskRun.objects.filter(pk=task_id, attempt=attempt, state=State.STARTED).first()
    values = {"sent_at": None} if send_again else {}
    return run is not None and _give_back(run, values, Left(Attempt.How.GIVEN_BACK), send_again=send_again)


def release(worker: str, *, quietly: bool = False, but: frozenset[str] = frozenset()) -> int:
    """`worker` ends in good order: give back what it has not finished, without counting it as a death.

    A run that must not begin twice ends instead. `but`: those that are still worked on. `quietly`: in the database
    alone, because the broker may be away; the next sweep sends what was given back.
    """
    count, left = 0, Left(Attempt.How.GIVEN_BACK)
    for run in TaskRun.objects.filter(state=State.STARTED, worker=worker).exclude(pk__in=but):
        if run.max_attempts == 1 and run.cancel_requested_at is None:
            error: TaskError = {"type": "WorkerLost", "message": "Its worker was ended, and it may not begin twice."}
            end(run.pk, State.FAILURE, attempt=run.attempt, error=error, quietly=quietly)
        else:
            count += _give_back(run, {"sent_at": None}, left, send_again=not quietly, quietly=quietly)
    return count


def _give_back(
    run: TaskRun, values: Mapping[str, object], left: Left, *, send_again: bool, quietly: bool = False
) -> bool:
    """RETRY at once, or REVOKED where a cancel was asked for."""
    if not _leave(run.pk, run.attempt, {"state": State.RETRY, "next_retry_at": timezone.now(), **values}, left):
        return False
    run.refresh_from_db()
    if not quietly:
        tell(run)
    if send_again:
        send(run)
    return True


def _leave(task_id: str, attempt: int, values: Mapping[str, object], left: Left) -> bool:
    """The attempt is over, and its run is not; unless a cancel was asked for, which ends it."""
    mine = TaskRun.objects.filter(pk=task_id, attempt=attempt, state=State.STARTED)
    over = attempts.over(mine, left)
    with transaction.atomic():
        moved = mine.filter(cancel_requested_at=None).update(worker="", **values)
        if moved:
            attempts.keep(over)
    if not moved:
        _revoke_instead(task_id, attempt, left)
    return bool(moved)


def _revoke_instead(task_id: str, attempt: int, left: Left) -> None:
    """A run that shall end is not given another attempt: nobody could claim it."""
    mine = Q(state=State.STARTED, attempt=attempt, cancel_requested_at__isnull=False)
    values = {"state": State.REVOKED, "finished_at": timezone.now(), "error": CANCELLED, "unfollowed": True}
    over = attempts.over(TaskRun.objects.filter(mine, pk=task_id), left.cancelled())
    _end(mine, task_id, values, over)


def ask_to_cancel(task_id: str) -> bool:
    """Ask a running attempt to end. False if none runs, or it was asked before."""
    running = TaskRun.objects.filter(pk=task_id, state=State.STARTED, cancel_requested_at=None)
    return bool(running.update(cancel_requested_at=timezone.now()))


def cancel_children(parent_id: str) -> None:
    """`cancel_all` of what a run has started."""
    cancel_all(TaskRun.objects.filter(parent_id=parent_id))


def cancel_all(children: QuerySet[TaskRun]) -> None:
    """In two statements, however many: those that wait are REVOKED, those that run are asked to end.

    Each one's followers and viewers hear of it when the sweep, or the canceller, calls `follow`.
    """
    asked = {"cancel_requested_at": (now := timezone.now())}
    children.filter(state=State.STARTED, cancel_requested_at=None).update(**asked)
    values = {"state": State.REVOKED, "finished_at": now, "error": CANCELLED, "next_retry_at": None, **asked}
    children.filter(state__in=CLAIMABLE).update(held=False, unfollowed=True, **values)
