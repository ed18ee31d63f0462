"""The worker's side: it beats, it looks for runs that were lost, and it gives back what it cannot finish.

All of it lives in the worker's parent process, in two threads: one beats, and goes on beating while the other waits
for a database that is locked. Pool processes are forked from that process, so a thread holds its lock while it works:
a fork in the middle of a database call would hand the child a locked lock.
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import signal
import socket
import threading
import time
from datetime import timedelta
from typing import Any

import redis
from billiard import active_children
from celery import bootsteps, signals
from celery.worker import state as worker_state
from django.conf import settings
from django.db import close_old_connections, connection
from django.db.models import F, Max, Q
from django.utils import timezone

from progress.flusher import get_flusher
from progress.redis import make_client

from . import beats, broker, canvas, metrics, runs
from .models import CLAIMABLE, State, TaskRun
from .prune import KEEP_RUNS, parse_age, prune

logger = logging.getLogger(__name__)

#: Seconds between two sweeps.
SWEEP_EVERY = 1.0
#: Seconds that a sweep waits after its own (re)connect, so that workers which lost Redis as well can beat first.
SWEEP_AFTER_CONNECT = 5.0
#: The same after its own start, when nothing says that Redis was away.
SWEEP_AFTER_START = 3.0
#: A run that was never sent is sent by the sweep when it is so old; before that, its own sender is at it.
UNSENT_AFTER = timedelta(seconds=2.5)
#: PENDING and sent, but runs of its queue accepted so much later were claimed before it: its message is lost.
OVERTAKEN_BY = timedelta(seconds=10)
#: RETRY and its time passed so long ago: the message is lost.
RETRY_LATE = timedelta(seconds=10)
#: A run sent so recently is in the queue, whatever a look at the queue's length says.
JUST_SENT = timedelta(seconds=3)
#: STARTED here for so long, but no process of this worker works on it: its process died unheard.
UNHEARD_AFTER = timedelta(seconds=5)
#: Seconds after a cancel was asked for until the pool process is terminated.
HARD_CANCEL_AFTER = timedelta(seconds=10)
#: Seconds that a worker takes at most to end, once its tasks have had their time (`worker_soft_shutdown_timeout`).
COLD_END_WITHIN = 2.0
#: Runs moved in one sweep; the next one follows a second later.
MAX_MOVES = 500

_beat_lock, _sweep_lock = threading.RLock(), threading.RLock()
for _lock in (_beat_lock, _sweep_lock):
    os.register_at_fork(before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release)

_identity = ""


def identity() -> str:
    """The name under which this worker claims: new with each start, so that a restarted worker is another one."""
    global _identity
    if not _identity:
        _identity = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(3)}"
    return _identity


@signals.worker_init.connect
def _take_identity(sender: Any, **_: Any) -> None:
    # In the parent, before the pool is forked: every pool process claims under its parent's name.
    global _identity
    _identity = f"{sender.hostname}:{os.getpid()}:{secrets.token_hex(3)}"
    # A worker may wait longer for its broker than a web process.
    sender.app.conf.broker_transport_options.update(settings.BROKER.worker_options)


@signals.worker_process_shutdown.connect
def _last_words(**_: Any) -> None:
    get_flusher().drain(2.0)
    metrics.counts.flush()


@signals.worker_shutting_down.connect
def _end_in_time(how: str, **_: Any) -> None:
    # Celery's last words (its own heartbeat, messages to give back) wait without end for a broker that is away.
    if how == "Cold":
        threading.Thread(target=_end_by_force, name="tasks-last-resort", daemon=True).start()


def _end_by_force() -> None:
    time.sleep(COLD_END_WITHIN)
    logger.warning("The worker did not end within %s s, so it is ended; its broker may be away.", COLD_END_WITHIN)
    try:
        runs.release(identity(), quietly=True)
    except Exception:
        logger.exception("Unfinished tasks could not be given back; the next worker's sweep finds them.")
    finally:
        for child in active_children():
            if child.pid is not None:
                with contextlib.suppress(OSError):
                    os.kill(child.pid, signal.SIGKILL)
        os._exit(1)


class Heart(bootsteps.StartStopStep):
    """Celery's hook: started with the worker, stopped with it."""

    requires = ("celery.worker.components:Pool",)

    def __init__(self, parent: Any, **kwargs: Any) -> None:
        super().__init__(parent, **kwargs)
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self, parent: Any) -> None:
        """Begin to beat and to sweep."""
        sweep = Sweep(make_client(settings.REDIS_URL), parent)
        for name, run in (("beat", self._beat), ("sweep", self._sweep)):
            thread = threading.Thread(target=run, args=(parent, sweep), name=f"tasks-{name}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self, parent: Any) -> None:
        """The worker ends: say so, and give back what it has not finished."""
        self._end()

    def terminate(self, parent: Any) -> None:
        """The worker ends at once."""
        self._end()

    def _end(self) -> None:
        if self._stopping.is_set():
            return
        self._stopping.set()
        for thread in self._threads:
            thread.join(2)
        with contextlib.suppress(redis.RedisError, OSError):
            beats.stop(make_client(settings.REDIS_URL), identity())
        try:
            count = runs.release(identity())
            if count:
                logger.info("Gave back %s unfinished task(s).", count)
        except Exception:
            logger.exception("Unfinished tasks could not be given back; the next worker's sweep finds them.")
        finally:
            connection.close()

    def _beat(self, parent: Any, sweep: Sweep) -> None:
        client = make_client(settings.REDIS_URL)
        trouble = False
        known = False
        while True:  # the first beat comes at once: whoever waits learns that somebody is there
            with _beat_lock:
                try:
                    if not beats.beat(client, _describe(parent)) and known:
                        sweep.disconnected()
                    known = True
                    if trouble:
                        logger.info("Redis answers again.")
                        trouble = False
                except (redis.RedisError, OSError) as error:
                    if not trouble:
                        logger.warning("The worker cannot beat, will try again: %s", error)
                        trouble = True
                    sweep.disconnected()
            if self._stopping.wait(beats.BEAT_EVERY):
                return

    def _sweep(self, _: Any, sweep: Sweep) -> None:
        trouble = False
        while not self._stopping.wait(SWEEP_EVERY):
            with _sweep_lock:
                try:
                    sweep.run()
                    trouble = False
                except Exception as error:
                    # Once an outage: a database or a Redis that is away is away for every sweep.
                    logger.log(
                        logging.DEBUG if trouble else logging.ERROR,
                        "A sweep failed; the next one follows: %s",
                        error,
                        exc_info=not trouble,
                    )
                    trouble = True
                finally:
                    # A connection of its own for each sweep: none is open while the pool forks.
                    connection.close()


def _ending() -> bool:
    """True from the moment at which the worker was told to end."""
    return any(getattr(worker_state, name) is not None for name in ("should_stop", "should_terminate"))


def _describe(worker: Any) -> beats.Worker:
    return beats.Worker(
        id=identity(),
        hostname=worker.hostname,
        queues=list(worker.app.amqp.queues.consume_from),
        concurrency=worker.concurrency,
        active=[request.id for request in list(worker_state.active_requests)],
    )


class Sweep:
    """Finds what was lost. One worker sweeps at a time; two at once would do no harm, each move is conditional."""

    def __init__(self, client: redis.Redis, worker: Any) -> None:
        self._client = client
        self._worker = worker
        self._quiet_until = time.monotonic() + SWEEP_AFTER_START
        self._killed: set[str] = set()

    def disconnected(self) -> None:
        """Redis did not answer, or did not know this worker: when it does, wait before judging others."""
        self._quiet_until = time.monotonic() + SWEEP_AFTER_CONNECT

    def run(self) -> None:
        """One look, in order: own pool, hard cancels, then, holding the lock, everybody's."""
        close_old_connections()
        self._lost_here()
        self._cancel_here()
        if time.monotonic() < self._quiet_until:
            return
        lock = f"{settings.REDIS_PREFIX}:sweep"
        held = self._client.set(lock, identity(), nx=True, px=int(SWEEP_EVERY * 3000))
        if not held and self._client.get(lock) != identity().encode():
            return
        self._client.pexpire(lock, int(SWEEP_EVERY * 3000))
        self._lost_workers()
        self._late_retries()
        self._unsent()
        self._out_of_queue()
        self._expired()
        canvas.complete_open_chords()
        self._prune()

    def _lost_here(self) -> None:
        if _ending():
            return  # Celery ends the pool; what is unfinished is given back, not lost
        active = {request.id for request in list(worker_state.active_requests)}
        mine = TaskRun.objects.filter(
            state=State.STARTED, worker=identity(), started_at__lt=timezone.now() - UNHEARD_AFTER
        )
        for pk in mine.exclude(pk__in=active).values_list("pk", flat=True)[:MAX_MOVES]:
            logger.warning("The process of %s is gone.", pk)
            runs.lost(pk, identity(), send_again=True)

    def _cancel_here(self) -> None:
        late = TaskRun.objects.filter(
            state=State.STARTED, worker=identity(), cancel_requested_at__lt=timezone.now() - HARD_CANCEL_AFTER
        ).values_list("pk", flat=True)
        for request in list(worker_state.active_requests):
            if request.id in late and request.id not in self._killed:
                logger.warning("%s does not react to its cancel; its process is ended.", request.id)
                self._killed.add(request.id)
                request.terminate(self._worker.pool, signal="KILL")

    def _lost_workers(self) -> None:
        known = {worker.id for worker in beats.look(self._client) if not worker.dead}
        if identity() not in known:
            self.disconnected()  # Redis has lost its data since the last beat: who is missing may live
            return
        started = TaskRun.objects.filter(state=State.STARTED).exclude(worker__in=known)
        for pk, worker in started.values_list("pk", "worker")[:MAX_MOVES]:
            state = runs.lost(pk, worker, send_again=True)
            if state:
                logger.warning("Worker %s died in %s; the run is now %s.", worker, pk, state)

    def _late_retries(self) -> None:
        now = timezone.now()
        retries = TaskRun.objects.filter(state=State.RETRY)
        never_sent = Q(sent_at=None, next_retry_at__lte=now)
        late = Q(next_retry_at__lt=now - RETRY_LATE) & (Q(sent_at=None) | Q(sent_at__lt=now - RETRY_LATE))
        self._send(retries.filter(never_sent | late))

    def _unsent(self) -> None:
        now = timezone.now()
        countdown = settings.TASKS_LONGEST_COUNTDOWN
        due = Q(eta=None) | Q(eta__lte=now + countdown)
        # What was to wait in the database has no sender but this one.
        nobodys = Q(accepted_at__lt=now - UNSENT_AFTER) | Q(eta__gt=F("accepted_at") + countdown)
        self._send(TaskRun.objects.filter(due, nobodys, state=State.PENDING, held=False, sent_at=None))

    def _out_of_queue(self) -> None:
        """PENDING and sent, but its message is gone: the queue is empty, or much younger runs have overtaken it."""
        now = timezone.now()
        due = Q(eta=None) | Q(eta__lt=now - RETRY_LATE)
        waiting = TaskRun.objects.filter(due, state=State.PENDING, sent_at__lt=now - JUST_SENT)
        for queue in waiting.order_by().values_list("queue", flat=True).distinct():
            here = waiting.filter(queue=queue)
            if self._is_empty(queue):
                self._send(here)
                continue
            claimed = TaskRun.objects.filter(queue=queue, attempt__gt=0, eta=None)
            newest = claimed.aggregate(newest=Max("accepted_at"))["newest"]
            if newest is not None:
                self._send(here.filter(accepted_at__lt=newest - OVERTAKEN_BY, sent_at__lt=newest - OVERTAKEN_BY))

    def _is_empty(self, queue: str) -> bool:
        """True if no message of `queue` waits in the broker or lies unacknowledged in a worker."""
        try:
            if broker.count(queue):
                return False
        except Exception as error:  # whatever its client raises: what else there is to sweep does not need it
            logger.debug("The broker does not say how long its queue is: %s", error)
            return False
        reserved = {request.id for request in list(worker_state.reserved_requests)}
        return not TaskRun.objects.filter(pk__in=reserved, state__in=CLAIMABLE).exists()

    def _expired(self) -> None:
        gone = TaskRun.objects.filter(state__in=CLAIMABLE, expires__lt=timezone.now())
        for pk in gone.values_list("pk", flat=True)[:MAX_MOVES]:
            runs.expire(pk)

    def _prune(self) -> None:
        """Once a day, by whoever of all workers comes first."""
        if self._client.set(f"{settings.REDIS_PREFIX}:pruned", identity(), nx=True, ex=24 * 3600):
            count = prune(parse_age(getattr(settings, "TASKS_KEEP_RUNS", KEEP_RUNS)))
            logger.info("Deleted %s runs that ended long ago.", count)

    def _send(self, found: Any) -> None:
        for run in found.order_by("accepted_at")[:MAX_MOVES]:
            if not runs.send(run):
                return
            metrics.sent_again()
            logger.info("Sent %s again.", run)
