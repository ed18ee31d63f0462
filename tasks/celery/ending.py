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

from tasks import runs
from tasks.runs.worker import identity

logger = logging.getLogger(__name__)

#: Seconds that a worker takes at most to end, once its tasks have had their time (`worker_soft_shutdown_timeout`).
COLD_END_WITHIN = 2.0


@signals.worker_shutting_down.connect
def _end_in_time(how: str, **_: object) -> None:
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
