"""Huey's consumer, which beats, sweeps, and gives back what it cannot finish."""

from __future__ import annotations

import logging
import os
import platform
import signal

from django.db import connections
from huey.consumer import Consumer, Worker

from progress.flusher import get_flusher
from tasks import runs
from tasks.resume import stopping
from tasks.runs import beats, counts, heart
from tasks.runs.contradictions import refuse_contradictions
from tasks.runs.worker import identity, take_identity

from . import board
from .names import NAME, queue_name
from .types import Process, Queue

logger = logging.getLogger(__name__)

#: Seconds between two looks at whether a worker's process has died.
HEALTH_EVERY = 0.5
#: Seconds between two tries to reach a Redis that is away.
MAX_PAUSE = 1.0


class TrackedWorker(Worker):
    """Huey's, with a place on the board."""

    place: tuple[board.Board, int] | None = None

    def __init__(self, *args: object, **kwargs: Process) -> None:
        super().__init__(*args, **kwargs)
        self.max_delay: float = min(kwargs["max_delay"], MAX_PAUSE)

    def initialize(self) -> None:
        if self.place is not None:
            board.take(*self.place, lambda: bool(self.stop_flag.is_set()))
        super().initialize()

    def shutdown(self) -> None:
        super().shutdown()
        get_flusher().drain(2.0)
        counts.counts.flush()


class HueyPool:
    """See `runs.worker.Pool`."""

    def __init__(self, consumer: TrackedConsumer) -> None:
        self._consumer = consumer

    def active(self) -> set[str]:
        return set(self._consumer.at_work())

    def reserved(self) -> set[str]:
        return self.active()  # a message is taken when a worker is free for it

    def is_ending(self) -> bool:
        return bool(self._consumer.stop_flag.is_set())

    def can_kill(self) -> bool:
        return bool(self._consumer.environment.forks)

    def kill(self, task_id: str) -> None:
        process = self._consumer.at_work().get(task_id)
        if process is not None and process.pid is not None:
            os.kill(process.pid, signal.SIGKILL)


class TrackedConsumer(Consumer):
    """One a process of `run_huey`: its workers claim under its name."""

    worker_class = TrackedWorker

    def __init__(self, huey: Queue, workers: int = 1, **options: object) -> None:
        refuse_contradictions()
        self._board = board.Board(workers)
        self._hostname = f"huey@{platform.node() or 'localhost'}"
        options["health_check_interval"] = HEALTH_EVERY
        super().__init__(huey, workers, **options)
        pool = HueyPool(self)
        self._heart = heart.Heart(pool, lambda: self._describe(pool))

    def at_work(self) -> dict[str, Process]:
        """What each living worker is at, and the process or thread that is."""
        found = {}
        for place, (_, process) in enumerate(self.worker_threads):
            if (task_id := self._board.read(place)) and self.environment.is_alive(process):
                found[task_id] = process
        return found

    def start(self) -> None:
        """Huey's; a child must inherit no connection."""
        stopping.go_on()
        take_identity(self._hostname)
        connections.close_all()
        super().start()
        self._heart.start()

    def run(self) -> None:
        """Huey's, until it is told to end. What is not finished then is given back."""
        try:
            super().run()
        finally:
            self._give_back()

    def stop(self, graceful: bool = False) -> None:
        stopping.stop()
        super().stop(graceful)
        self._give_back()  # also before a restart, which is an exec

    def _give_back(self) -> None:
        get_flusher().drain(1.0)
        self._heart.stop()

    def check_worker_health(self) -> bool:
        """Huey's: it replaces those that have died. Their runs go on elsewhere."""
        for place, (_, process) in enumerate(self.worker_threads):
            if not self.environment.is_alive(process) and (task_id := self._board.read(place)):
                self._board.write(place, "")
                self._lost(task_id)
        connections.close_all()
        return bool(super().check_worker_health())

    def _lost(self, task_id: str) -> None:
        logger.warning("The process of %s is gone.", task_id)
        try:
            runs.lost(task_id, identity(), send_again=True)
        except Exception:
            # The sweep finds it: the run is STARTED here, and no process of ours works on it.
            logger.exception("The loss of %s could not be recorded now.", task_id)

    def _create_process(self, process: Process, name: str) -> Process:
        if isinstance(process, TrackedWorker):
            process.place = (self._board, int(name.rpartition("-")[2]) - 1)
        return super()._create_process(process, name)

    def _describe(self, pool: HueyPool) -> beats.Worker:
        active = sorted(pool.active())
        return beats.Worker(
            id=identity(),
            hostname=self._hostname,
            engine=NAME,
            queues=[] if pool.is_ending() else [queue_name(self.huey)],
            concurrency=self.workers,
            active=active,
            reserved=active,
        )
