"""Celery's worker around `runs.heart`: its name, what its pool is at, and when it starts and ends."""

from __future__ import annotations

import contextlib
import os
import signal

from celery import bootsteps, signals
from celery.concurrency.base import BasePool
from celery.worker import state as worker_state
from django.conf import settings

from progress.flusher import get_flusher
from tasks.resume import stopping
from tasks.runs import beats, counts, heart
from tasks.runs.worker import identity, take_identity

from . import ending, stack, task
from .types import Worker


@signals.worker_init.connect
def _take_identity(sender: Worker, **_: object) -> None:
    # In the parent, before the pool is forked: every pool process claims under its parent's name.
    take_identity(sender.hostname)
    stack.listen()
    # A worker may wait longer for its broker than a web process.
    sender.app.conf.broker_transport_options.update(settings.BROKER.worker_options)


@signals.worker_process_shutdown.connect
def _last_words(**_: object) -> None:
    get_flusher().drain(2.0)
    counts.counts.flush()


class CeleryPool:
    """See `runs.worker.Pool`, and `runs.stalled.Work`."""

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

    def end_work(self, task_id: str) -> bool:
        """See `runs.stalled.Work`: a process is killed, and Celery gives its message back; a greenlet is ended."""
        pool, pid = self._worker.pool, self._pid(task_id)
        if pid is not None and ending.kills(pool):
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
            return True
        if pid is not None and pool is not None:
            pool.terminate_job(pid, signal.SIGKILL)
        return False

    def stack(self, task_id: str) -> str:
        """Of the process that the run is in, from outside; "" where it is in this one."""
        pid = self._pid(task_id)
        return "" if pid is None or not ending.kills(self._worker.pool) else stack.stack_of(pid, task.__file__)

    def stalled_after(self) -> dict[str, float]:
        """Of the runs that are worked on, those of tasks with a bound: how many seconds without a word."""
        active = list(worker_state.active_requests)
        found = {request.id: getattr(request.task, "stalled_after", None) for request in active}
        return {task_id: bound for task_id, bound in found.items() if bound}

    @staticmethod
    def _pid(task_id: str) -> int | None:
        """Of the process that the run is in; of a greenlet its number in the pool. None: nothing works on it yet."""
        active = list(worker_state.active_requests)
        return next((int(one.worker_pid) for one in active if one.id == task_id and one.worker_pid is not None), None)


class Heart(bootsteps.StartStopStep):
    """Celery's hook: started with the worker, stopped with it."""

    requires = ("celery.worker.components:Pool",)

    def __init__(self, parent: Worker, **kwargs: object) -> None:
        super().__init__(parent, **kwargs)
        ending.stop_at_checkpoints(parent)
        self._pool = CeleryPool(parent)
        self._heart = heart.Heart(self._pool, lambda: _describe(parent, self._pool), self._pool)

    def start(self, parent: Worker) -> None:
        """Begin to beat and to sweep."""
        self._heart.start()

    def stop(self, parent: Worker) -> None:
        """The worker ends when its tasks have: until then it beats, and nothing is given back."""
        stopping.stop()
        if parent.pool is not None:
            parent.pool.stop()
        self._heart.stop()

    def terminate(self, parent: Worker) -> None:
        """The worker ends at once, and its pool before anything is given back."""
        if parent.pool is not None:
            parent.pool.terminate()
        # What a pool of threads is at goes on until the process is gone: `ending` gives that back.
        self._heart.stop(frozenset() if ending.kills(parent.pool) else frozenset(self._pool.active()))


def _describe(worker: Worker, pool: CeleryPool) -> beats.Worker:
    return beats.Worker(
        id=identity(),
        hostname=worker.hostname,
        queues=[] if pool.is_ending() else list(worker.app.amqp.queues.consume_from),
        concurrency=worker.concurrency,
        active=sorted(pool.active()),
        reserved=sorted(pool.reserved()),
    )
