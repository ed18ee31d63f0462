"""A run's message goes to the broker; where that cannot take it, the run stays stored and the sweep sends it later."""

from __future__ import annotations

import logging
import time

from django.conf import settings
from django.utils import timezone

from tasks.models import TaskRun

from .engine import NoEngine, get_engine

logger = logging.getLogger(__name__)

#: After the broker refused, starts do not wait for it again for so many seconds; the sweep sends them.
BROKER_REST = 2.0

#: By engine: each may have a broker of its own.
_rests_until: dict[str, float] = {}


class Unsendable(Exception):
    """The run's own message is at fault, whatever broker there is; the text says what."""


def send(run: TaskRun) -> bool:
    """Publish the run's message; False when it cannot go out now. The sweep then sends it later."""
    try:
        return try_to_send(run)
    except Unsendable as error:
        logger.warning("%s cannot be sent: %s", run, error)
        return False


def try_to_send(run: TaskRun) -> bool:
    """`send`, for whoever deals with a run that can never be sent: raises `Unsendable`."""
    if waits_here(run):
        return False
    if broker_rests(run.engine):
        return False
    try:
        engine = get_engine(run.engine)
    except NoEngine as error:
        raise Unsendable(str(error)) from error
    try:
        engine.publish(run)
    except Exception as error:
        if not engine.is_away(error):
            raise Unsendable(f"{type(error).__name__}: {error}") from error
        # The run is stored: the caller keeps its task_id.
        _rests_until[run.engine] = time.monotonic() + BROKER_REST
        logger.warning("The broker does not take %s; it is stored and will be sent: %s", run, error)
        return False
    TaskRun.objects.filter(pk=run.pk).update(sent_at=timezone.now())
    return True


def waits_here(run: TaskRun) -> bool:
    """True if the run's time is so far off that it waits in the database, not in the broker."""
    return run.due_at is not None and run.due_at - timezone.now() > settings.TASKS_LONGEST_COUNTDOWN


def broker_rests(engine: str) -> bool:
    """True while this process does not ask that engine's broker, which has just refused."""
    return time.monotonic() < _rests_until.get(engine, 0.0)
