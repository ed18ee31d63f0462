"""A worker that was told to end does so in time, even where its broker is away or its tasks cannot be stopped."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import threading
import time

from billiard import active_children
from celery import signals
from celery.worker import state as worker_state
from django.db import connection

from tasks import runs
from tasks.resume import stopping
from tasks.runs.worker import identity

from .start import is_tracked
from .types import Worker

logger = logging.getLogger(__name__)

#: Seconds that a worker takes at most to end, once its tasks have had their time (`worker_soft_shutdown_timeout`).
COLD_END_WITHIN = 2.0


#: Seconds between two looks whether the tasks of a worker that ends have ended.
LOOK_EVERY = 0.2
#: Seconds that a process has, once its run is given back, for what it has still to tell.
LAST_WORDS = 0.3


def stop_at_checkpoints(worker: Worker) -> None:
    """Let tasks with checkpoints stop at their next one as soon as `worker` is told to end.

    Celery tells it after the time that running tasks are given; this comes before, and cuts that time short where all
    of them have ended.
    """
    stopping.go_on()
    wait_as_before = worker.wait_for_soft_shutdown

    def wait_for_soft_shutdown() -> None:
        stopping.stop()
        runs_tasks_itself = type(worker.pool).__module__.endswith("solo")
        seconds = worker.app.conf.worker_soft_shutdown_timeout or 0
        active = list(worker_state.active_requests)
        if runs_tasks_itself or not seconds or not active:  # in a signal handler: a task of this thread stands still
            return
        if not all(is_tracked(request.task) for request in active):
            wait_as_before()
            return
        logger.warning("The worker ends within %s s; its tasks have so long.", seconds)
        ended = threading.Event()
        # A thread, because this is a signal handler: it may have interrupted a question to the database.
        threading.Thread(target=_look, args=(ended, seconds), name="tasks-ending", daemon=True).start()
        until = time.monotonic() + seconds
        while not ended.is_set() and time.monotonic() < until:
            time.sleep(LOOK_EVERY / 4)
        if ended.is_set():
            time.sleep(LAST_WORDS)

    worker.wait_for_soft_shutdown = wait_for_soft_shutdown


def _look(ended: threading.Event, seconds: float) -> None:
    """Say when no run is worked on here."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            if not runs.works(identity()):
                ended.set()
                return
        except Exception as error:
            logger.debug("Nobody knows whether the tasks have ended: %s", error)
        finally:
            connection.close()
        time.sleep(LOOK_EVERY)


@signals.worker_shutting_down.connect
def _end_in_time(how: str, **_: object) -> None:
    stopping.stop()
    # Celery's last words (its own heartbeat, messages to give back) wait without end for a broker that is away.
    if how == "Cold":
        threading.Thread(target=_end_by_force, name="tasks-last-resort", daemon=True).start()


def _end_by_force() -> None:
    time.sleep(COLD_END_WITHIN)
    logger.warning("The worker did not end within %s s, so it is ended; its broker may be away.", COLD_END_WITHIN)
    for child in active_children():  # first those who work, then what they worked on is given back
        if child.pid is not None:
            with contextlib.suppress(OSError):
                os.kill(child.pid, signal.SIGKILL)
    try:
        runs.release(identity(), quietly=True)
    except Exception:
        logger.exception("Unfinished tasks could not be given back; the next worker's sweep finds them.")
    finally:
        os._exit(1)


def kills(pool: object) -> bool:
    """True if nothing of the pool's work goes on after its `terminate`: its processes are gone."""
    return pool is not None and type(pool).__module__.endswith("prefork")
