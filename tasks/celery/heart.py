"""The worker's side: it beats, it looks for runs that were lost, and it gives back what it cannot finish.

All of it lives in the worker's parent process, in two threads: one beats, and goes on beating while the other waits
for a database that is locked. Pool processes are forked from that process, so a thread holds its lock while it works:
a fork in the middle of a database call would hand the child a locked lock.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading

import redis
from celery import bootsteps, signals
from celery.concurrency.base import BasePool
from celery.worker import state as worker_state
from django.conf import settings
from django.db import connection

from progress.flusher import get_flusher
from progress.redis import make_client
from tasks import runs
from tasks.resume import stopping
from tasks.runs import beats, counts
from tasks.runs.sweep import Sweep
from tasks.runs.worker import identity, take_identity

from . import ending
from .types import Worker

logger = logging.getLogger(__name__)

#: Seconds between two sweeps.
SWEEP_EVERY = 1.0

_beat_lock, _sweep_lock = threading.RLock(), threading.RLock()
for _lock in (_beat_lock, _sweep_lock):
    os.register_at_fork(before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release)


@signals.worker_init.connect
def _take_identity(sender: Worker, **_: object) -> None:
    # In the parent, before the pool is forked: every pool process claims under its parent's name.
    take_identity(sender.hostname)
    # A worker may wait longer for its broker than a web process.
    sender.app.conf.broker_transport_options.update(settings.BROKER.worker_options)


@signals.worker_process_shutdown.connect
def _last_words(**_: object) -> None:
    get_flusher().drain(2.0)
    counts.counts.flush()


class CeleryPool:
    """See `runs.worker.Pool`."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    def active(self) -> set[str]:
        return {request.id for request in list(worker_state.active_requests)}

    def reserved(self) -> set[str]:
        return {request.id for request in list(worker_state.reserved_requests)}

    def is_ending(self) -> bool:
        return any(getattr(worker_state, name) is not None for name in ("should_stop", "should_terminate"))

    def can_kill(self) -> bool:
        pool = self._worker.pool  # prefork's has its method from the pool within it
        if pool is None:
            return False
        return "terminate_job" in vars(pool) or type(pool).terminate_job is not BasePool.terminate_job

    def kill(self, task_id: str) -> None:
        for request in list(worker_state.active_requests):
            if request.id == task_id:
                request.terminate(self._worker.pool, signal="KILL")


class Heart(bootsteps.StartStopStep):
    """Celery's hook: started with the worker, stopped with it."""

    requires = ("celery.worker.components:Pool",)

    def __init__(self, parent: Worker, **kwargs: object) -> None:
        super().__init__(parent, **kwargs)
        ending.stop_at_checkpoints(parent)
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self, parent: Worker) -> None:
        """Begin to beat and to sweep."""
        pool = CeleryPool(parent)
        sweep = Sweep(make_client(settings.REDIS_URL), pool)
        beat = threading.Thread(target=self._beat, args=(parent, pool, sweep), name="tasks-beat", daemon=True)
        look = threading.Thread(target=self._sweep, args=(sweep,), name="tasks-sweep", daemon=True)
        self._threads = [beat, look]
        for thread in self._threads:
            thread.start()

    def stop(self, parent: Worker) -> None:
        """The worker ends when its tasks have: until then it beats, and nothing is given back."""
        stopping.stop()
        if parent.pool is not None:
            parent.pool.stop()
        self._end(frozenset())

    def terminate(self, parent: Worker) -> None:
        """The worker ends at once, and its pool before anything is given back."""
        pool = CeleryPool(parent)
        if parent.pool is not None:
            parent.pool.terminate()
        # What a pool of threads is at goes on until the process is gone: `ending` gives that back.
        self._end(frozenset() if ending.kills(parent.pool) else frozenset(pool.active()))

    def _end(self, still_at_work: frozenset[str]) -> None:
        if self._stopping.is_set():
            return
        self._stopping.set()
        for thread in self._threads:
            thread.join(2)
        with contextlib.suppress(redis.RedisError, OSError):
            if not still_at_work:
                beats.stop(make_client(settings.REDIS_URL), identity())
        try:
            count = runs.release(identity(), but=still_at_work)
            if count:
                logger.info("Gave back %s unfinished task(s).", count)
        except Exception:
            logger.exception("Unfinished tasks could not be given back; the next worker's sweep finds them.")
        finally:
            connection.close()

    def _beat(self, parent: Worker, pool: CeleryPool, sweep: Sweep) -> None:
        client = make_client(settings.REDIS_URL)
        trouble = False
        known = False
        while True:  # the first beat comes at once: whoever waits learns that somebody is there
            with _beat_lock:
                try:
                    if not beats.beat(client, _describe(parent, pool)) and known:
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
                except Exception:  # a loop that everybody depends on goes on
                    logger.exception("A beat failed; the next one follows.")
            if self._stopping.wait(beats.BEAT_EVERY):
                return

    def _sweep(self, sweep: Sweep) -> None:
        while not self._stopping.wait(SWEEP_EVERY):
            with _sweep_lock:
                try:
                    sweep.run()
                except Exception:
                    logger.exception("A sweep failed; the next one follows.")
                finally:
                    # A connection of its own for each sweep: none is open while the pool forks.
                    with contextlib.suppress(Exception):
                        connection.close()


def _describe(worker: Worker, pool: CeleryPool) -> beats.Worker:
    return beats.Worker(
        id=identity(),
        hostname=worker.hostname,
        queues=[] if pool.is_ending() else list(worker.app.amqp.queues.consume_from),
        concurrency=worker.concurrency,
        active=sorted(pool.active()),
        reserved=sorted(pool.reserved()),
    )
