"""A start becomes a row, with the rows of what follows it; its message goes out on the caller's commit."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from progress.messages import ID_PATTERN
from progress.types import JSON
from tasks.models import CELERY, FINAL, State, TaskRun, new_id

from . import barrier, counts, keys, periodic
from .database import DatabaseAway, reconnect
from .engine import KeyReused, NotAccepted
from .message import plain
from .moves import begin_again, end_cancelled
from .owner import Owner, current_owner
from .sending import goes_now, send, send_new

logger = logging.getLogger(__name__)

#: Hours in which the same Idempotency-Key of the same owner means the same run.
IDEMPOTENCY_WINDOW = timedelta(hours=24)
#: Of either sign: what every database keeps in a small number. Brokers know ten steps, or 256.
MAX_PRIORITY = 32_767


@dataclass(slots=True, kw_only=True)
class Start:
    """What an engine wants to have stored of one run, and of the runs `behind` it, which wait until it has ended.

    `message` is `{"args", "kwargs", "options"}` as JSON. `one_while_active`: while a run of the same owner and task
    with the same value is active, a start gives that one. `after`: the run or group that a held run waits for. `anew`:
    where a run of this id has ended, it begins again; without, that run is given. `goes_on`: begin at its checkpoint.
    """

    name: str
    message: dict[str, JSON]
    queue: str
    engine: str = CELERY
    id: str | None = None
    max_attempts: int = 3
    tries: int = 1
    max_tries: int | None = None
    priority: int | None = None
    eta: datetime | None = None
    expires: datetime | None = None
    parent_id: str | None = None
    group_id: str | None = None
    one_while_active: object = None
    after: str | None = None
    anew: bool = False
    behind: Sequence[Start] = field(default_factory=tuple)
    goes_on: TaskRun | None = None

    def row(self, now: datetime) -> TaskRun:
        """The row, without an owner. Raises `NotAccepted` for what has no room in it."""
        check_id(self.id)
        for name in ("name", "queue", "parent_id", "group_id"):
            most: int = TaskRun._meta.get_field(name).max_length  # type: ignore[union-attr, assignment]
            if (given := len(getattr(self, name) or "")) > most:
                raise NotAccepted(f"{name} may have {most} characters, but has {given}.")
        if self.priority is not None and abs(self.priority) > MAX_PRIORITY:
            raise NotAccepted(f"priority may be {MAX_PRIORITY:,} at most, but got {self.priority}.")
        return TaskRun(
            id=self.id or new_id(),
            name=self.name,
            message=self.message,
            queue=self.queue,
            engine=self.engine,
            max_attempts=self.max_attempts,
            tries=self.tries,
            max_tries=self.max_tries,
            priority=self.priority,
            eta=self.eta,
            expires=self.expires,
            parent_id=self.parent_id,
            group_id=self.group_id,
            after=self.after,
            held=self.after is not None,
            accepted_at=now,
            checkpoint=self.goes_on and self.goes_on.checkpoint,
            checkpoint_at=self.goes_on and self.goes_on.checkpoint_at,
        )


@dataclass(slots=True)
class Waiting:
    """A start within `at_once`: its row, which is not stored yet."""

    start: Start
    run: TaskRun
    owner: Owner | None
    #: The run that has started it was cancelled.
    of_cancelled: bool


@dataclass(slots=True)
class Batch:
    """What is started within `at_once`, and the runs that start it, each looked up once."""

    waiting: list[Waiting] = field(default_factory=list)
    parents: dict[str, TaskRun | None] = field(default_factory=dict)


#: The batch of here and now; None outside of `at_once`.
together: ContextVar[Batch | None] = ContextVar("tasks_together", default=None)


def accept(
    start: Start, *, idempotency_key: str | None = None, retry_of: str | None = None, owner: Owner | None = None
) -> TaskRun:
    """Write the row of a new run and publish its message when the caller's transaction commits.

    The same id, or the same owner's `idempotency_key` for the same task within 24 h, gives the run that is there.
    Raises `NotAccepted` for what cannot be stored, and `KeyReused` where that run has other arguments.
    """
    again = start if start.id is not None else replace(start, id=new_id())
    now = timezone.now()
    try:
        return _accept(start, now, idempotency_key, retry_of, owner, new=again.id)
    except DatabaseAway:
        # A process that is neither a request nor a worker keeps a connection that its server closed long ago. Under the
        # same id: the row may have been stored, and only the answer was lost.
        if not reconnect():
            raise
        return _accept(again, now, idempotency_key, retry_of, owner)


def check_id(task_id: str | None) -> None:
    """Raises `NotAccepted` for an id that cannot be part of an address. None: one is made."""
    if task_id is not None and not ID_PATTERN.fullmatch(task_id):
        text = f"task_id must be 1 to 64 letters, digits, '.', '_' or '-', but got {task_id!r}."
        raise NotAccepted(text[:300])


def _accept(
    start: Start,
    now: datetime,
    idempotency_key: str | None,
    retry_of: str | None,
    owner: Owner | None,
    *,
    new: str | None = None,
) -> TaskRun:
    """`new`: the id, where the start names none; nobody else can have it."""
    run = start.row(now)
    run.id = new or run.id
    run.retry_of = retry_of
    run.periodic, run.tick = periodic.current()
    batch = together.get()
    above = _give_owner(run, owner or current_owner(), None if batch is None else batch.parents)
    of_cancelled = above is not None and above.cancel_requested_at is not None and above.finished_at is None
    if idempotency_key:
        if plain(idempotency_key) != idempotency_key:
            raise NotAccepted(f"idempotency_key must be a text that can be stored, but got {idempotency_key!r}."[:300])
        run.idempotency_key = keys.idempotency_key(run, idempotency_key)
    if start.one_while_active is not None:
        run.active_key = keys.active_key(run, start.one_while_active)
    if goes_now(run):
        run.sent_at = now
    if batch is not None and not (start.behind or run.idempotency_key or run.active_key):
        batch.waiting.append(Waiting(start, run, owner, of_cancelled))
        return run
    if not (start.behind or run.idempotency_key or run.active_key or start.id or above):
        run.save(force_insert=True)
        _accepted(run)
        return run
    with transaction.atomic():
        wanted, (run, created) = run, _insert(run, known_id=start.id is not None)
        if created:
            hold(start.behind, run)
        elif run.held:
            created = _let_go(run, wanted)
            if created:
                hold(start.behind, run)
        elif run.is_final and start.anew and begin_again(wanted):
            run, created = wanted, True
            run.sent_at = None
            hold(start.behind, run)
    if created:
        _accepted(run)
        if of_cancelled:
            end_cancelled(run.pk)  # a child of a cancelled parent is not begun
    return run


def _accepted(run: TaskRun) -> None:
    logger.info("Accepted %s.", run, extra={"task_id": run.pk})
    counts.accepted(run)
    if not run.held:
        transaction.on_commit(lambda: send(run) if run.sent_at is None else send_new(run), robust=True)


def adopt(start: Start) -> None:
    """Write the row of a message that was sent past us, by another program, so that the same rules hold for it.

    Raises `NotAccepted` for what has no room in a row.
    """
    if TaskRun.objects.filter(pk=start.id).exists():
        return
    run = start.row(timezone.now())
    run.sent_at = run.accepted_at
    _give_owner(run, current_owner())
    with transaction.atomic():
        run, created = _insert(run, known_id=True)
        if created:
            hold(start.behind, run)


def hold(starts: Sequence[Start], run: TaskRun | None) -> None:
    """Write the rows of what follows, so that its ids are known; it is sent when its turn comes.

    `run` is the one whose owner they get; without one, the owner of here and now.
    """
    if not starts:
        return
    now = timezone.now()
    rows, again = [], []
    for start in _flat(starts):
        row = start.row(now)
        if start.anew:
            again.append(row)
        row.held = True
        if run is not None:
            row.owner_id, row.session_key = run.owner_id, run.session_key
            row.parent_id = row.parent_id or run.parent_id
        else:
            _give_owner(row, current_owner())
        rows.append(row)
    TaskRun.objects.bulk_create(rows, ignore_conflicts=True)
    ended = {run.pk for some in _known(again) for run in some.filter(state__in=FINAL).only("pk")}
    for row in again:
        if row.pk in ended:
            begin_again(row)
    # A row that was there before (a replaced task, the rest of its chain) waits for what it waits for from now on. One
    # that was replaced is still the part of a group that it was.
    begun = (run for some in _known(rows) for run in some.filter(attempt__gt=0).only("progress"))
    replaced = {run.pk for run in begun if _is_replaced(run)}
    for row in rows:
        waiting = TaskRun.objects.filter(pk=row.pk, held=True, state=State.PENDING)
        waiting.update(after=row.after, **({} if row.pk in replaced else {"group_id": row.group_id}))


def _known(rows: Sequence[TaskRun]) -> Iterator[QuerySet[TaskRun]]:
    """Those of `rows` that are stored, some at a time."""
    for at in range(0, len(rows), barrier.SLICE):
        yield TaskRun.objects.filter(pk__in=[row.pk for row in rows[at : at + barrier.SLICE]])


def _flat(starts: Sequence[Start]) -> Iterator[Start]:
    for start in starts:
        yield start
        yield from _flat(start.behind)


def _is_replaced(run: TaskRun) -> bool:
    """True of a run that goes on as another task: see `moves.set_aside`."""
    return bool(run.progress.get("replaced"))


def _let_go(run: TaskRun, wanted: TaskRun) -> bool:
    """The turn of a held run has come; what is `wanted` of it is known now. False if it came before, or it ended."""
    names = ("name", "message", "queue", "group_id", "eta", "expires", "priority", "max_attempts", "tries", "max_tries")
    known = {name: getattr(wanted, name) for name in names}
    if _is_replaced(run):
        known["group_id"] = run.group_id
    known["freed_at"] = None if wanted.held else wanted.accepted_at
    for name, value in known.items():
        setattr(run, name, value)
    known["after"] = wanted.after or (None if run.after == run.pk else run.after)  # what it waited for stays known
    run.held, run.after = wanted.held, known["after"]
    # As a start is: a thousand parts of a header are not all sent before the sweep looks, which would send them too.
    run.sent_at = wanted.accepted_at if goes_now(run) else None
    free = TaskRun.objects.filter(pk=run.pk, held=True, state=State.PENDING)
    return bool(free.update(held=wanted.held, sent_at=run.sent_at, **known))


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
    there = TaskRun.objects.filter(same).order_by("accepted_at").first()
    if there is None:  # pragma: no cover - the row cannot be neither there nor insertable
        raise NotAccepted("The run could not be stored.")
    created = there.pk == mine and there.accepted_at == run.accepted_at
    reused = not created and run.idempotency_key is not None and run.idempotency_key == there.idempotency_key
    if reused and keys.arguments(there) != keys.arguments(run):
        raise KeyReused(f"This Idempotency-Key has started {there.pk} with other arguments: use another key.")
    return (run if created else there), created


def _give_owner(run: TaskRun, owner: Owner | None, known: dict[str, TaskRun | None] | None = None) -> TaskRun | None:
    """Whose run it is: that of the person who asks, else that of the task which starts it. Returns the latter's row.

    `known`: rows that were looked up before.
    """
    above = None
    if run.parent_id is not None:
        known = {} if known is None else known
        if run.parent_id not in known:
            fields = ("owner_id", "session_key", "cancel_requested_at", "finished_at")
            known[run.parent_id] = TaskRun.objects.filter(pk=run.parent_id).only(*fields).first()
        above = known[run.parent_id]
    if owner is not None:
        run.owner_id, run.session_key = owner.key()
    elif above is not None:
        run.owner_id, run.session_key = above.owner_id, above.session_key
    return above
