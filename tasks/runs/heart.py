"""What a worker does beside its work: it beats, it looks for runs that were lost, it gives back what it cannot finish.

All of it lives in the worker's parent process, in two threads: one beats, and goes on beating while the other waits
for a database that is locked. Pool processes are forked from that process, so a thread holds its lock while it works:
a fork in the middle of a database call would hand the child a locked lock.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections.abc import Callable

import redis
from django.conf import settings
from django.db import connection

from progress.redis import make_client

from . import beats, moves, where
from .stalled import Stalled, Work
from .sweep import Sweep
from .worker import Pool, identity

logger = logging.getLogger(__name__)

#: Seconds between two sweeps.
SWEEP_EVERY = 1.0

_beat_lock, _sweep_lock = threading.RLock(), threading.RLock()
for _lock in (_beat_lock, _sweep_lock):
    os.register_at_fork(before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release)


class Heart:
    """The two threads. `describe` says what a beat tells of the worker; `work`, what an engine knows of single runs."""

    def __init__(self, pool: Pool, describe: Callable[[], beats.Worker], work: Work | None = None) -> None:
        self._pool = pool
        self._work = work
        self._describe = describe
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Begin to beat and to sweep."""
        sweep = Sweep(make_client(settings.REDIS_URL), self._pool)
        beat = threading.Thread(target=self._beat, args=(sweep,), name="tasks-beat", daemon=True)
        look = threading.Thread(target=self._sweep, args=(sweep,), name="tasks-sweep", daemon=True)
        self._threads = [beat, look]
        for thread in self._threads:
            thread.start()

    def stop(self, still_at_work: frozenset[str] = frozenset()) -> None:
        """The worker ends: what it has not finished is given back, but for what it is still at."""
        if self._stopping.is_set():
            return
        self._stopping.set()
        for thread in self._threads:
            thread.join(2)
        with contextlib.suppress(redis.RedisError, OSError):
            if not still_at_work:
                beats.stop(make_client(settings.REDIS_URL), identity())
        try:
            count = moves.release(identity(), but=still_at_work)
            if count:
                logger.info("Gave back %s unfinished task(s).", count)
        except Exception:
            logger.exception("Unfinished tasks could not be given back; the next worker's sweep finds them.")
        finally:
            connection.close()

    def _beat(self, sweep: Sweep) -> None:
        client = make_client(settings.REDIS_URL)
        trouble = False
        known = False
        asked = where.Parent(identity(), self._work.stack if self._work is not None else lambda _: "")
        while True:  # the first beat comes at once: whoever waits learns that somebody is there
            with _beat_lock:
                try:
                    if not beats.beat(client, self._describe()) and known:
                        sweep.disconnected()
                    known = True
                    asked.look()
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
        stalled = Stalled(self._work) if self._work is not None else None
        while not self._stopping.wait(SWEEP_EVERY):
            with _sweep_lock:
                try:
                    sweep.run()
                    if stalled is not None:
                        stalled.look()
                except Exception:
                    logger.exception("A sweep failed; the next one follows.")
                finally:
                    # A connection of its own for each sweep: none is open while the pool forks.
                    with contextlib.suppress(Exception):
                        connection.close()
