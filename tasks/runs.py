"""The life of a run. The only place that moves a state; every move is one conditional UPDATE.

    accept ──► PENDING ──claim──► STARTED ──finish──► SUCCESS | FAILURE | REVOKED
                  ▲                  │  │
                  └── send again     │  └─postpone / lost──► RETRY ──claim──► STARTED …

Whoever writes for a running task names the attempt it holds; a stale attempt writes nothing.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import logging
import re
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from celery import current_app
from celery.app.task import Context
from celery.canvas import maybe_signature
from celery.exceptions import SoftTimeLimitExceeded, TaskRevokedError, TimeLimitExceeded
from celery.exceptions import TaskError as CeleryTaskError
from django.conf import settings
from django.db import transaction
from django.db.models import DateTimeField, F, Q, QuerySet, Value
from django.db.models.functions import Coalesce
from django.utils import timezone
from kombu.utils.json import dumps as kombu_dumps
from kombu.utils.json import loads as kombu_loads

from progress.messages import ID_PATTERN, Changing, TaskError
from progress.record import get_record

from . import metrics, trace
from .models import CLAIMABLE, FINAL, State, TaskRun, new_id
from .visitor import Visitor, current_visitor

logger = logging.getLogger(__name__)

#: Bytes of JSON that a task's arguments and options may have: they travel through the broker and stand in a row.
MAX_MESSAGE = 256 * 1024
#: Bytes of JSON that a result may have.
MAX_RESULT = 1024 * 1024
#: Characters of an error's message and of its traceback that are kept.
MAX_ERROR = 2_000
MAX_TRACEBACK = 20_000
#: Hours in which the same Idempotency-Key of the same visitor means the same run.
IDEMPOTENCY_WINDOW = timedelta(hours=24)
#: How much before its time a message may be claimed, for clocks that differ.
CLOCK_DIFFERENCE = timedelta(seconds=2)
#: After the broker refused, starts do not wait for it again for so many seconds; the sweep sends them.
BROKER_REST = 2.0

#: Options of apply_async that make sense in the caller's process only.
CALLERS_OPTIONS = frozenset(
    {"producer", "connection", "publisher", "router", "add_to_parent", "task_type", "result_cls", "countdown"}
)


class NotAccepted(ValueError):
    """A start that cannot be stored; the message says which limit and what came."""


# --- accept and send --------------------------------------------------------------------------------------------------


def accept(
    task: Any,
    args: Any = None,
    kwargs: Any = None,
    options: dict[str, Any] | None = None,
    *,
    task_id: str | None = None,
    idempotency_key: str | None = None,
    retry_of: str | None = None,
    visitor: Visitor | None = None,
) -> TaskRun:
    """Write the row of a new run and publish its message when the caller's transaction commits.

    The same `task_id`, or the same visitor's `idempotency_key` within 24 h, gives the run that is there. Raises
    `NotAccepted` for what cannot be stored.
    """
    now = timezone.now()
    options = dict(options or {})
    run = TaskRun(id=task_id or new_id(), name=task.name, accepted_at=now, retry_of=retry_of)
    if not ID_PATTERN.fullmatch(run.id):
        raise NotAccepted(f"task_id must be 1 to 64 letters, digits, '.', '_' or '-', but got {run.id!r}.")
    run.max_attempts = getattr(task, "max_attempts", 3)
    run.eta = _moment(options.pop("eta", None)) or _moment(options.pop("countdown", None))
    run.expires = _moment(options.pop("expires", None))
    parent = _parent()
    if parent is not None:
        options.setdefault("parent_id", parent.id)
        options.setdefault("root_id", parent.root_id or parent.id)
        run.parent_id = parent.id
    if request_id := trace.request_id():  # so that a worker's log lines name the request that led to them
        options["headers"] = {**(options.get("headers") or {}), "request_id": request_id}
    run.group_id = options.get("group_id")
    run.queue = _queue(task, options)
    run.message = _message(task, args, kwargs, options)
    _give_owner(run, visitor or current_visitor(), parent)
    if idempotency_key:
        run.idempotency_key = f"{run.owner_id or run.session_key}:{idempotency_key}"[:200]
    run.active_key = _active_key(task, run)
    wanted = run
    run, created = _insert(run, known_id=task_id is not None)
    if created:
        hold(options.get("chain") or ())
    elif run.held:
        created = _let_go(run, wanted)
    if created:
        logger.info("Accepted %s.", run, extra={"task_id": run.pk})
        metrics.accepted(run)
        transaction.on_commit(lambda: send(run), robust=True)
    return run


def hold(signatures: Any) -> None:
    """Write the rows of what follows in a chain or chord, so that its ids are known; it is sent when its turn comes."""
    now = timezone.now()
    rows = []
    for signature in [leaf for one in signatures for leaf in leaves(maybe_signature(one, app=current_app))]:
        task_id, task = signature.options.get("task_id"), current_app.tasks.get(signature.task)
        if not task_id or task is None or not getattr(task, "tracked", False):
            continue
        row = TaskRun(id=task_id, name=task.name, accepted_at=now, held=True, queue=_queue(task, signature.options))
        row.max_attempts = getattr(task, "max_attempts", 3)
        row.group_id = signature.options.get("group_id")
        parent = _parent()
        row.parent_id = parent.id if parent is not None else None
        _give_owner(row, current_visitor(), parent)
        rows.append(row)
    TaskRun.objects.bulk_create(rows, ignore_conflicts=True)


def leaves(signature: Any) -> list[Any]:
    """The single tasks of a frozen signature: of a chain its links, of a group its members, of a chord both parts."""
    inner = getattr(signature, "tasks", None)
    if inner is None:
        return [signature]
    inner = [*getattr(inner, "tasks", inner)]
    if signature.get("subtask_type") == "chord":
        inner.append(signature.body)
    return [leaf for one in inner for leaf in leaves(one)]


def _let_go(run: TaskRun, wanted: TaskRun) -> bool:
    """The turn of a held run has come; what is `wanted` of it is known now. False if it came before."""
    known = {name: getattr(wanted, name) for name in ("message", "queue", "group_id", "eta", "expires")}
    for name, value in known.items():
        setattr(run, name, value)
    return bool(TaskRun.objects.filter(pk=run.pk, held=True, state=State.PENDING).update(held=False, **known))


def send(run: TaskRun) -> bool:
    """Publish the run's message; False when the broker cannot take it now. The sweep then sends it later."""
    global _broker_rests_until
    if run.eta is not None and run.eta - timezone.now() > settings.TASKS_LONGEST_COUNTDOWN:
        return False
    if time.monotonic() < _broker_rests_until:
        return False
    try:
        publish(run)
    except Exception as error:
        # Whatever it is (refused, hung, out of memory), the run is stored: the caller keeps its task_id.
        _broker_rests_until = time.monotonic() + BROKER_REST
        logger.warning("The broker does not take %s; it is stored and will be sent: %s", run, error)
        return False
    TaskRun.objects.filter(pk=run.pk).update(sent_at=timezone.now())
    return True


_broker_rests_until = 0.0


def publish(run: TaskRun) -> None:
    """Put the run's message into the broker's queue, once more if it was there before: a copy cannot claim."""
    message = kombu_loads(json.dumps(run.message))
    options = message["options"]
    eta = run.next_retry_at if run.state == State.RETRY else run.eta
    if eta is not None and eta > timezone.now():
        options["eta"] = eta
    if run.expires is not None:
        options["expires"] = run.expires
    task: Any = current_app.tasks.get(run.name)
    if task is None:  # this process does not know the task; a worker will
        current_app.send_task(run.name, message["args"], message["kwargs"], task_id=run.pk, **options)
        return
    task.publish(message["args"], message["kwargs"], task_id=run.pk, **options)


def _active_key(task: Any, run: TaskRun) -> str | None:
    """The key under which only one run of this visitor may be active; None where the task has no `one_while_active`."""
    names = getattr(task, "one_while_active", ())
    if not names:
        return None
    given = inspect.signature(task.run).bind(*run.args, **run.kwargs).arguments
    values = json.dumps([given.get(name) for name in names])
    return f"{run.owner_id or run.session_key}:{task.name}:{hashlib.sha256(values.encode()).hexdigest()}"[-200:]


def _insert(run: TaskRun, *, known_id: bool) -> tuple[TaskRun, bool]:
    if run.active_key:  # freed here, where it is wanted, and not by each of the ways in which a run can end
        TaskRun.objects.filter(active_key=run.active_key, state__in=FINAL).update(active_key=None)
    if run.idempotency_key:
        old = TaskRun.objects.filter(
            idempotency_key=run.idempotency_key, accepted_at__lt=run.accepted_at - IDEMPOTENCY_WINDOW
        )
        old.update(idempotency_key=None)
    elif not known_id and not run.active_key:
        run.save(force_insert=True)
        return run, True
    # ON CONFLICT DO NOTHING: of two that come at once, one is stored and both see it; no transaction breaks.
    same = Q(pk=run.pk)
    for name in ("idempotency_key", "active_key"):
        if getattr(run, name):
            same |= Q(**{name: getattr(run, name)})
    mine = run.pk
    TaskRun.objects.bulk_create([run], ignore_conflicts=True)
    held = TaskRun.objects.filter(same).order_by("accepted_at").first()
    if held is None:  # pragma: no cover - the row cannot be neither there nor insertable
        raise NotAccepted("The run could not be stored.")
    created = held.pk == mine and held.accepted_at == run.accepted_at
    return (run if created else held), created


def _message(task: Any, args: Any, kwargs: Any, options: dict[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in options.items() if key not in CALLERS_OPTIONS and value is not None}
    message = {"args": list(args or ()), "kwargs": dict(kwargs or {}), "options": kept}
    try:
        text = kombu_dumps(message)
        stored: dict[str, Any] = storable(text)
    except (TypeError, ValueError) as error:
        raise NotAccepted(f"The arguments of {task.name} must be JSON: {error}") from error
    if len(text) > MAX_MESSAGE:
        raise NotAccepted(
            f"The arguments of {task.name} may have {MAX_MESSAGE:,} bytes of JSON, but have {len(text):,}."
        )
    return stored


def storable(text: str) -> Any:
    """The value of a JSON text, if every database can hold it; raises ValueError for NaN, infinity and NUL."""

    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is not JSON")

    value = json.loads(text, parse_constant=refuse)
    if re.search(r"(?<!\\)(?:\\\\)*\\u0000", text):
        raise ValueError("a text may not contain the character NUL")
    return value


def plain(text: str) -> str:
    """`text` as every database can hold it: no NUL, no half of a character (as in a file name that is not UTF-8)."""
    return text.replace("\x00", "�").encode("utf-8", "replace").decode()


def _moment(value: Any) -> datetime | None:
    """An eta, or a number of seconds from now, as a time."""
    if value is None or isinstance(value, datetime):
        return value if value is None or value.tzinfo else value.replace(tzinfo=UTC)
    if isinstance(value, str):
        return _moment(datetime.fromisoformat(value))
    return timezone.now() + timedelta(seconds=float(value))


def _queue(task: Any, options: dict[str, Any]) -> str:
    queue = options.get("queue")
    if queue is not None:
        return str(getattr(queue, "name", queue))
    route = task.app.amqp.router.route(dict(options), task.name, task_type=task)
    queue = route.get("queue")
    return str(getattr(queue, "name", None) or task.app.conf.task_default_queue)


def _parent() -> Any:
    """The request of the task that is running here, if one is."""
    task = current_app.current_worker_task
    return task.request if task is not None and task.request.id else None


def _give_owner(run: TaskRun, visitor: Visitor | None, parent: Any) -> None:
    if visitor is not None:
        run.owner_id, run.session_key = visitor.owner()
    elif parent is not None:
        above = TaskRun.objects.filter(pk=parent.id).values_list("owner_id", "session_key").first()
        if above is not None:
            run.owner_id, run.session_key = above


# --- claim, finish, postpone ------------------------------------------------------------------------------------------


def claim(task_id: str, worker: str) -> TaskRun | None:
    """Begin the next attempt for `worker`; None when this message is a copy and must be dropped."""
    now = timezone.now()
    soon = now + CLOCK_DIFFERENCE
    due = Q(next_retry_at=None) | Q(next_retry_at__lte=soon)
    due &= Q(eta=None) | Q(eta__lte=soon) | Q(attempt__gt=0)
    due &= Q(expires=None) | Q(expires__gt=now)
    with transaction.atomic():
        claimed = TaskRun.objects.filter(
            due, pk=task_id, state__in=CLAIMABLE, held=False, cancel_requested_at=None
        ).update(
            state=State.STARTED,
            attempt=F("attempt") + 1,
            worker=worker,
            started_at=now,
            next_retry_at=None,
            error=None,
            sent_at=Coalesce("sent_at", Value(now, DateTimeField())),  # it arrived, so it was sent
        )
        return TaskRun.objects.get(pk=task_id) if claimed else None


def adopt(task: Any, request: Any) -> None:
    """Write the row of a message that was sent past us (`app.send_task` elsewhere), so that the same rules hold."""
    if TaskRun.objects.filter(pk=request.id).exists():
        return
    now = timezone.now()
    options = {"parent_id": request.parent_id, "root_id": request.root_id, "group_id": getattr(request, "group", None)}
    run = TaskRun(id=request.id, name=task.name, accepted_at=now, sent_at=now, queue=_queue(task, {}))
    run.max_attempts = getattr(task, "max_attempts", 3)
    run.message = _message(task, request.args, request.kwargs, options)
    _insert(run, known_id=True)


def holds(task_id: str, attempt: int) -> bool:
    """True if `attempt` is still the one that runs."""
    return TaskRun.objects.filter(pk=task_id, attempt=attempt, state=State.STARTED).exists()


def hold_fast(task_id: str, attempt: int) -> bool:
    """`holds`, and until the end of the caller's transaction nobody takes the run away: the row is locked."""
    return bool(TaskRun.objects.filter(pk=task_id, attempt=attempt, state=State.STARTED).update(attempt=attempt))


def finish(
    task_id: str,
    state: str,
    *,
    attempt: int | None = None,
    worker: str | None = None,
    result: Any = None,
    error: TaskError | None = None,
    traceback: str = "",
    numbers: Changing | None = None,
) -> bool:
    """Record the end of an attempt, once. False when it was not the one that runs: nothing was written.

    The attempt is named by its number, or by the `worker` that holds it when only that is known.
    """
    mine = Q(state=State.STARTED)
    if attempt is not None:
        mine &= Q(attempt=attempt)
    elif worker is not None:
        # Held: Celery fails the rest of a chain from the worker of its first failure.
        mine = Q(state=State.STARTED, worker=worker) | Q(state=State.PENDING, held=True)
    else:
        mine = Q(state__in=[*CLAIMABLE, State.STARTED])
    values: dict[str, Any] = {
        "state": state,
        "finished_at": timezone.now(),
        "result": result,
        "error": error,
        "traceback": plain(traceback[-MAX_TRACEBACK:]),
        "next_retry_at": None,
    }
    if numbers is not None:
        values["progress"] = numbers
    written = TaskRun.objects.filter(mine, pk=task_id).update(**values)
    if not written:
        metrics.refused()
        logger.warning("Refused a late write: attempt %s of %s holds the run no longer.", attempt, task_id)
    return bool(written)


def postpone(task_id: str, attempt: int, at: datetime, args: Any, kwargs: Any, options: dict[str, Any]) -> bool:
    """The running attempt asks for another one at `at` (Celery's `self.retry`). False from a stale attempt."""
    run = TaskRun.objects.filter(pk=task_id, attempt=attempt, state=State.STARTED).first()
    if run is None:
        return False
    task = current_app.tasks[run.name]
    run.message = _message(task, args, kwargs, options)
    mine = TaskRun.objects.filter(pk=task_id, attempt=attempt, state=State.STARTED)
    moved = mine.filter(cancel_requested_at=None).update(
        state=State.RETRY, next_retry_at=at, message=run.message, sent_at=None, worker=""
    )
    if not moved:
        _revoke_instead(mine)
        return False
    run.state, run.next_retry_at = State.RETRY, at
    if at - timezone.now() <= settings.TASKS_LONGEST_COUNTDOWN:
        transaction.on_commit(lambda: send(run), robust=True)
    return True


def lost(task_id: str, worker: str, *, send_again: bool) -> str | None:
    """The process that ran this task for `worker` is gone. The new state; None when the run moved on before."""
    run = TaskRun.objects.filter(pk=task_id, state=State.STARTED, worker=worker).first()
    if run is None:
        return None
    mine = TaskRun.objects.filter(pk=task_id, state=State.STARTED, attempt=run.attempt)
    now = timezone.now()
    if run.cancel_requested_at is not None:
        values: dict[str, Any] = {"state": State.REVOKED, "finished_at": now, "error": CANCELLED}
    elif run.lost + 1 >= run.max_attempts:
        times = "once" if run.max_attempts == 1 else f"{run.max_attempts} times"
        values = {"state": State.FAILURE, "finished_at": now, "lost": F("lost") + 1}
        values["error"] = {"type": "WorkerLost", "message": f"The worker process died in this task {times}."}
    else:
        values = {"state": State.RETRY, "next_retry_at": now, "lost": F("lost") + 1, "worker": ""}
        if send_again:
            values["sent_at"] = None  # should the broker be away, the sweep sends it as soon as that is back
    if not mine.update(**values):
        return None
    run.refresh_from_db()
    tell(run)
    if run.state == State.RETRY and send_again:
        send(run)
    if run.is_final:
        _break_off(run)
    return str(run.state)


def expire(task_id: str) -> None:
    """REVOKED: the run was not started before its `expires`."""
    error: TaskError = {"type": "Expired", "message": "The task was not started before it expired."}
    waiting = TaskRun.objects.filter(pk=task_id, state__in=CLAIMABLE)
    if waiting.update(state=State.REVOKED, finished_at=timezone.now(), error=error, next_retry_at=None):
        run = TaskRun.objects.get(pk=task_id)
        tell(run)
        _break_off(run)


def _break_off(run: TaskRun) -> None:
    """What follows an end that Celery did not see: its chain fails, its chord hears of it, its errbacks are called."""
    metrics.ended(run)
    options = kombu_loads(json.dumps(run.message)).get("options", {})
    errbacks = options.get("link_error") or []
    request = Context(
        id=run.pk,
        task=run.name,
        args=run.args,
        kwargs=run.kwargs,
        chain=options.get("chain"),
        chord=options.get("chord"),
        group=run.group_id,
        errbacks=errbacks if isinstance(errbacks, list) else [errbacks],
        root_id=options.get("root_id"),
        parent_id=run.parent_id,
    )
    if request.chain or request.chord or request.errbacks:
        error = run.error or {"type": "Error", "message": ""}
        exception = (
            TaskRevokedError(error["message"]) if run.state == State.REVOKED else CeleryTaskError(error["message"])
        )
        current_app.backend.mark_as_failure(run.pk, exception, request=request, store_result=False, state=run.state)


def release(worker: str, *, quietly: bool = False) -> int:
    """`worker` ends in good order: give back what it has not finished, without counting it as a death.

    `quietly`: in the database alone, because the broker may be away; the next sweep sends what was given back.
    """
    given = TaskRun.objects.filter(state=State.STARTED, worker=worker)
    runs = list(given)
    now = timezone.now()
    count = 0
    for run in runs:
        mine = TaskRun.objects.filter(pk=run.pk, state=State.STARTED, attempt=run.attempt)
        given_back = mine.filter(cancel_requested_at=None).update(
            state=State.RETRY, next_retry_at=now, worker="", sent_at=None
        )
        if given_back:
            count += 1
            if not quietly:
                run.refresh_from_db()
                tell(run)
                send(run)
        else:
            _revoke_instead(mine)
    return count


def _revoke_instead(mine: QuerySet[TaskRun]) -> None:
    """A run that shall end is not given another attempt: nobody could claim it."""
    run = mine.filter(cancel_requested_at__isnull=False).first()
    if run is not None and mine.update(state=State.REVOKED, finished_at=timezone.now(), error=CANCELLED):
        run.refresh_from_db()
        tell(run)
        _break_off(run)


# --- cancel and retry -------------------------------------------------------------------------------------------------

CANCELLED: TaskError = {"type": "Cancelled", "message": "The task was cancelled."}


def cancel(task_id: str) -> bool:
    """Ask to cancel a run and its children. A waiting one is REVOKED at once; False when it had ended before."""
    now = timezone.now()
    revoked = asked = 0
    for _ in range(3):  # between the two questions a run may have moved from running to waiting
        revoked = TaskRun.objects.filter(pk=task_id, state__in=CLAIMABLE).update(
            state=State.REVOKED, finished_at=now, cancel_requested_at=now, error=CANCELLED, next_retry_at=None
        )
        if revoked:
            break
        asked = TaskRun.objects.filter(pk=task_id, state=State.STARTED, cancel_requested_at=None).update(
            cancel_requested_at=now
        )
        if asked:
            break
    run = TaskRun.objects.filter(pk=task_id).first()
    if run is not None and revoked:
        tell(run)
        _break_off(run)
    elif asked:
        try:
            get_record().request_cancel(task_id)
        except Exception as error:
            logger.info("The cancel of %s waits for the worker's look at the database: %s", task_id, error)
    for child in TaskRun.objects.filter(parent_id=task_id).exclude(state__in=FINAL).values_list("pk", flat=True):
        cancel(child)
    return bool(revoked or asked or (run is not None and run.state == State.STARTED))


def retry(run: TaskRun, visitor: Visitor | None = None) -> TaskRun:
    """A new run with the arguments of an ended one, linked to it."""
    message = kombu_loads(json.dumps(run.message))
    task = current_app.tasks.get(run.name)
    if task is None:
        raise NotAccepted(f"The task {run.name} does not exist any more.")
    options = {key: message["options"][key] for key in ("queue", "priority") if key in message["options"]}
    return accept(task, message["args"], message["kwargs"], options, retry_of=run.pk, visitor=visitor)


def tell(run: TaskRun) -> None:
    """Publish a state that was moved from outside the task. Nothing is lost when it fails: viewers are repaired."""
    from .public_state import changing

    try:
        get_record().tell(run.pk, changing(run), final=run.is_final)
    except Exception as error:
        logger.debug("The state of %s could not be told: %s", run, error)


def error_of(exception: BaseException, limits: tuple[float | None, float | None] = (None, None)) -> TaskError:
    """What a viewer may read of an exception: its class and text, without a traceback.

    `limits`: the task's hard and soft time limit in seconds, which Celery's exceptions do not name.
    """
    text = str(exception) or type(exception).__name__
    if isinstance(exception, TimeLimitExceeded):
        text = f"The task was ended at its time limit of {exception.args[0]:g} s."
    elif isinstance(exception, SoftTimeLimitExceeded) and limits[1]:
        text = f"The task ran into its soft time limit of {limits[1]:g} s."
    return {"type": type(exception).__name__, "message": plain(text)[:MAX_ERROR]}
