"""Finds what was lost: each worker looks after its own, and one of all workers looks after everybody's.

Every step and every row is tried on its own: one that cannot be dealt with is logged, and stops nobody else.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from datetime import timedelta
from functools import partial

import redis
from django.conf import settings
from django.db import close_old_connections, transaction
from django.db.models import F, Model, Q, QuerySet
from django.utils import timezone

from tasks.models import CLAIMABLE, State, TaskGroup, TaskRun

from . import beats, counts, moves, stuck, unreadable
from .bounded import pairs
from .cancelling import request_cancel
from .clock import Countdowns, long_ago
from .database import DatabaseAway, unless_locked
from .engine import engines, get_engine
from .following import follow_alone, follow_up
from .missing import Missing
from .sending import Unsendable, try_to_send, waits_here
from .state import tell_deaf
from .waiting import due
from .worker import Pool, identity

logger = logging.getLogger(__name__)

#: Seconds that a sweep waits after its own (re)connect, so that workers which lost Redis as well can beat first.
AFTER_CONNECT = 5.0
#: The same after its own start, when nothing says that Redis was away.
AFTER_START = 3.0
#: A run that was never sent is sent by the sweep when it is so old; before that, its own sender is at it.
UNSENT_AFTER = timedelta(seconds=2.5)
#: Seconds for which a run is STARTED here while no process of this worker works on it: its process died unheard.
UNHEARD_AFTER = 5.0
#: Seconds for which every look must find a worker silent before it counts as dead: two beats, and a second look.
SURELY_SILENT_AFTER = 1.2
#: Seconds after a cancel was asked for until the pool process is ended by force.
HARD_CANCEL_AFTER = 10.0
#: An end whose followers were not seen to in its own transaction is followed by the sweep after this long.
FOLLOW_AFTER = timedelta(seconds=1)
#: How often an end is followed in vain before what waits for it ends.
FOLLOW_TRIES = 3
#: Seconds of one sweep in which ends that nothing follows are settled by the hundred.
SWIFT_FOR = 0.5
#: Runs moved by one step of a sweep; the next sweep follows a second later.
MAX_MOVES = 500
#: How often a message that cannot be sent is tried before its run ends.
SEND_TRIES = 2
#: Parents that were cancelled within this time are looked at by each sweep, and so often all of them.
LATELY, ALL_CANCELLED_EVERY = timedelta(minutes=10), 60.0


_more: list[Callable[[], None]] = []


def also_sweep(step: Callable[[], None]) -> None:
    """Make `step` part of every worker's sweep, whether it leads or not, and whether Redis answers or not."""
    _more.append(step)


class Sweep:
    """One look a second. Two workers that look at the same time do no harm: each move is conditional."""

    def __init__(self, client: redis.Redis, pool: Pool) -> None:
        self._client = client
        self._pool = pool
        self._quiet_until = time.monotonic() + AFTER_START
        self._killed: set[str] = set()
        self._first_seen: dict[str, float] = {}
        self._asked: dict[str, float] = {}
        self._silent: dict[str, float] = {}
        self._before: dict[str, set[str]] = {}
        self._refused: dict[str, int] = {}
        self._unheard: dict[str, int] = {}
        self._said: set[str] = set()
        self._missing = Missing()
        self._countdowns = Countdowns()
        self._troubled: set[str] = set()
        self._all_cancelled_at = float("-inf")

    def disconnected(self) -> None:
        """Redis did not answer, or did not know this worker: when it does, wait before judging others."""
        self._quiet_until = time.monotonic() + AFTER_CONNECT

    def run(self) -> None:
        """One look, in order: own pool, cancels, then, where this worker leads, everybody's."""
        close_old_connections()
        self._try(self._lost_here)
        self._try(self._cancel_here)
        for step in _more:
            self._try(step)
        if time.monotonic() < self._quiet_until:
            return
        workers = self._workers()
        if workers is None:
            return
        for step in (
            self._countdowns.keep,
            partial(self._lost_workers, workers),
            self._unsent,
            partial(self._out_of_queue, workers),
            self._expired,
            self._unfollowed,
            self._orphans,
            self._cancelled_parents,
            self._open_groups,
        ):
            self._try(step)

    def _try(self, step: Callable[[], None]) -> None:
        """A step that fails is logged once an outage, and the next one is taken."""
        name = getattr(step, "func", step).__name__
        try:
            step()
            self._troubled.discard(name)
        except Exception as error:
            level = logging.DEBUG if name in self._troubled else logging.ERROR
            logger.log(level, "A step of the sweep (%s) failed: %s", name, error, exc_info=name not in self._troubled)
            self._troubled.add(name)

    def _each(self, found: Iterable[str], move: Callable[[str], object]) -> None:
        """One that cannot be moved is logged and ended; the others are moved. A database that is away ends the step."""
        for pk in found:
            try:
                move(pk)
            except DatabaseAway:
                raise
            except Exception as error:
                if pk not in self._said:  # one that has ended, and cannot be read, comes again and again
                    logger.exception("%s cannot be dealt with, so it ends.", pk)
                    self._said = {*self._said, pk} if len(self._said) < MAX_MOVES else {pk}
                text = f"The run cannot be read: {type(error).__name__}: {error}"[:500]
                unreadable.end_unreadable(pk, {"type": "Unreadable", "message": text})

    def _workers(self) -> list[beats.Worker] | None:
        """All workers, if this one leads: the first by name of those that live. None for the others."""
        try:
            workers = beats.look(self._client)
        except (redis.RedisError, OSError) as error:
            logger.debug("Nobody can be judged while Redis is away: %s", error)
            self.disconnected()
            return None
        living = [worker.id for worker in workers if not worker.dead]
        if identity() not in living:
            self.disconnected()  # Redis has lost its data since the last beat: a missing worker may be alive
            return None
        if min(living) == identity():
            return workers
        self._countdowns.forget()
        return None

    # --- this worker's own --------------------------------------------------------------------------------------------

    def _lost_here(self) -> None:
        if self._pool.is_ending():
            return  # the engine ends the pool; what is unfinished is given back, not lost
        active = self._pool.active()
        mine = TaskRun.objects.filter(state=State.STARTED, worker=identity()).exclude(pk__in=active)
        missing = set(mine.values_list("pk", flat=True)[:MAX_MOVES])
        now = time.monotonic()
        self._first_seen = {pk: self._first_seen.get(pk, now) for pk in missing}
        gone = [pk for pk, since in self._first_seen.items() if now - since > UNHEARD_AFTER]

        def lose(pk: str) -> None:
            logger.warning("The process of %s is gone.", pk)
            moves.lost(pk, identity(), send_again=True)

        self._each(gone, lose)

    def _cancel_here(self) -> None:
        asked = TaskRun.objects.filter(state=State.STARTED, worker=identity(), cancel_requested_at__isnull=False)
        found = dict(asked.values_list("pk", "cancel_requested_at"))
        now = time.monotonic()
        self._asked = {pk: self._asked.get(pk, now) for pk in found}
        active = self._pool.active()
        for pk in found:
            request_cancel(pk)  # the first word may have been lost with Redis
            if now - self._asked[pk] <= HARD_CANCEL_AFTER or pk not in active or pk in self._killed:
                continue
            self._killed.add(pk)
            if self._pool.can_kill():
                logger.warning("%s does not react to its cancel; its process is ended.", pk)
                self._pool.kill(pk)
            else:
                logger.warning("%s does not react to its cancel, and this pool cannot end it by force.", pk)
                tell_deaf(TaskRun.objects.get(pk=pk))

    # --- everybody's --------------------------------------------------------------------------------------------------

    def _lost_workers(self, workers: list[beats.Worker]) -> None:
        living = {worker.id for worker in workers if worker.alive}
        known = {worker.id for worker in workers if not worker.dead}
        started = TaskRun.objects.filter(state=State.STARTED).exclude(worker__in=living)
        silent = dict(started.values_list("pk", "worker")[:MAX_MOVES])
        # Not by Redis's clock alone: one that jumps ahead makes everybody silent until their next beat.
        now = time.monotonic()
        self._silent = {worker: self._silent.get(worker, now) for worker in silent.values()}
        by = {
            pk: worker
            for pk, worker in silent.items()
            if worker not in known and now - self._silent[worker] > SURELY_SILENT_AFTER
        }

        def lose(pk: str) -> None:
            state: list[str | None] = []
            if not unless_locked(lambda: state.append(moves.lost(pk, by[pk], send_again=True))):
                logger.warning("%s is held by worker %s, which is silent; it is taken when it lets go.", pk, by[pk])
            elif state[0]:
                logger.warning("Worker %s died in %s; the run is now %s.", by[pk], pk, state[0])

        self._each(by, lose)

    def _unsent(self) -> None:
        """What was never sent: retries whose time has come, and starts whose own sender could not."""
        now = timezone.now()
        countdown = settings.TASKS_LONGEST_COUNTDOWN
        is_due = Q(eta=None) | Q(eta__lte=now + countdown)
        # What was let go has a sender from then on. What was to wait in the database has none but this one.
        let_go = Q(freed_at=None) | long_ago("freed_at", UNSENT_AFTER)
        nobodys = Q(long_ago("accepted_at", UNSENT_AFTER), let_go) | Q(eta__gt=F("accepted_at") + countdown)
        late = Q(next_retry_at=None) | Q(next_retry_at__lte=now)
        wanted = Q(late, state=State.RETRY) | Q(is_due, nobodys, state=State.PENDING)
        # In the words of an index, which has what was not sent alone.
        self._send(TaskRun.objects.filter(wanted, sent_at=None, held=False, finished_at=None))

    def _out_of_queue(self, workers: list[beats.Worker]) -> None:
        """Sent, but the message is gone: fewer messages are in the queue, and with the workers, than runs wait."""
        with_workers = {pk for worker in workers if not worker.dead for pk in (*worker.reserved, *worker.active)}
        with_workers |= self._pool.reserved() | self._pool.active()
        waiting = TaskRun.objects.filter(due(timezone.now()), sent_at__isnull=False)
        self._missing.begun()
        for queue, engine in pairs(waiting, "queue", "engine"):
            here = waiting.filter(queue=queue, engine=engine)
            try:
                messages = get_engine(engine).count(queue)
            except Exception as error:  # the broker cannot say: then nobody is missing
                logger.debug("The broker does not say how long %s is: %s", queue, error)
                self._missing.forget((engine, queue))
                continue
            lost = self._missing.look((engine, queue), here, messages, with_workers, MAX_MOVES)
            self._send(TaskRun.objects.filter(pk__in=lost, state__in=CLAIMABLE))

    def _expired(self) -> None:
        gone = TaskRun.objects.filter(state__in=CLAIMABLE, expires__lt=timezone.now(), finished_at=None)
        self._each(list(gone.order_by("expires").values_list("pk", flat=True)[:MAX_MOVES]), moves.expire)

    def _unfollowed(self) -> None:
        """Ends whose followers have not heard: children of a cancelled parent, followers that could not be stored."""
        # Without the states, which are FINAL: SQLite would read the index of all that ever ended (0.5 s of a million).
        late = TaskRun.objects.filter(long_ago("finished_at", FOLLOW_AFTER), unfollowed=True)
        until = time.monotonic() + SWIFT_FOR
        while time.monotonic() < until and follow_alone(late):
            pass
        found = list(late.order_by("finished_at").values_list("pk", flat=True)[:MAX_MOVES])
        self._unheard = {pk: tries for pk, tries in self._unheard.items() if pk in found}
        self._each(found, self._follow)

    def _follow(self, pk: str) -> None:
        error: Exception | None
        try:
            error = follow_up(pk)
        except Exception as raised:
            error = raised
        if error is None or isinstance(error, DatabaseAway):
            return
        self._unheard[pk] = self._unheard.get(pk, 0) + 1
        if self._unheard[pk] >= FOLLOW_TRIES:
            unreadable.follow_blindly(pk, f"{type(error).__name__}: {error}")

    def _orphans(self) -> None:
        """Held, but what it waits for has ended and was followed, or is gone: nothing can free it any more."""
        error = "What it waited for has ended, or is gone, without starting it."

        def end(pk: str) -> None:
            moves.end(pk, State.FAILURE, error={"type": "Orphaned", "message": error})

        self._each(self._twice("orphans", stuck.orphans()), end)

    def _twice(self, name: str, found: QuerySet[Model]) -> list[str]:
        """Those that were found by the look before as well: between two statements of another process all is unsure."""
        now = set(found.values_list("pk", flat=True)[:MAX_MOVES])
        both = now & self._before.get(name, set())
        self._before[name] = now
        return sorted(both)

    def _cancelled_parents(self) -> None:
        """Children that were started as their parent was cancelled; and runs that were asked to end, and wait."""
        # Once a minute all of them: what starts a child may take as long as it likes to commit.
        now = time.monotonic()
        everybody = now - self._all_cancelled_at >= ALL_CANCELLED_EVERY
        if everybody:
            self._all_cancelled_at = now
        for found in stuck.cancelled(None if everybody else LATELY):
            self._each(list(found.order_by().values_list("pk", flat=True)[:MAX_MOVES]), moves.end_cancelled)

    def _open_groups(self) -> None:
        """Groups whose body waits though none of their parts can still end: a part's row is gone."""
        if all(engine.tracks_everything() for engine in engines()):
            self._each(self._twice("groups", stuck.groups()), self._complete)

    @staticmethod
    def _complete(pk: str) -> None:
        with transaction.atomic():
            if TaskGroup.objects.filter(pk=pk, done=False).update(done=True):
                unreadable.complete_group(pk)

    def _send(self, found: QuerySet[TaskRun]) -> None:
        """Send again, the oldest first. A run whose own message is at fault ends; the others go on."""
        resting = False

        def send(pk: str) -> None:
            nonlocal resting
            run = TaskRun.objects.get(pk=pk)
            if resting or run.state not in CLAIMABLE or waits_here(run):
                return
            try:
                resting = not try_to_send(run)
            except Unsendable as error:
                self._refused[pk] = self._refused.get(pk, 0) + 1
                if self._refused[pk] >= SEND_TRIES:
                    del self._refused[pk]
                    message = f"It cannot be sent: {error}"[:500]
                    unreadable.end_unreadable(pk, {"type": "Unsendable", "message": message})
                return
            if not resting:
                counts.sent_again()
                logger.info("Sent %s again.", run)

        self._each(list(found.order_by("accepted_at").values_list("pk", flat=True)[:MAX_MOVES]), send)
