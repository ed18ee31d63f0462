"""In development: kill the worker that holds a run, to see the run go on.

It is asked by the hash that its parent process reads as it beats (`where.key_of`): no process is ended by a number that
another one may have as well. Whoever asks has `DEBUG` on; a worker that is in production does not obey.
"""

from __future__ import annotations

import logging
import os
import signal

from django.conf import settings

from progress.record import get_record
from tasks.models import State, TaskRun

logger = logging.getLogger(__name__)

#: What stands in the place of a question.
KILL = "kill"
#: Seconds for which a parent may still hear of it.
ASKED_FOR = 5


class NotKilled(Exception):
    """Its worker cannot be killed; the message says why."""


def may_kill() -> bool:
    """True in development."""
    return bool(settings.DEBUG)


def _obeys() -> bool:
    """`start_dev.sh` gives its worker no `DEBUG`, in which Django remembers every query."""
    return not getattr(settings, "PRODUCTION", not settings.DEBUG)


def kill_worker(run: TaskRun, key: str) -> None:
    """Let the worker that reads `key` end at once, as by kill -9. Raises `NotKilled`."""
    if run.state != State.STARTED:
        raise NotKilled(f"No worker has it: {run.get_state_display()}.")
    try:
        get_record().hear_of(key, run.pk, KILL, ASKED_FOR)
    except Exception as error:
        raise NotKilled("Redis does not answer, so its worker cannot be reached.") from error


def die(run_id: str) -> None:
    """This worker's parent ends, and its pool with it."""
    if _obeys():
        logger.warning("This worker is killed, as the page of %s has asked for.", run_id)
        os.kill(os.getpid(), signal.SIGKILL)
