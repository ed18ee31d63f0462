"""A run's message goes to the broker; where that cannot take it, the run stays stored and the sweep sends it later."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

from django.conf import settings
from django.utils import timezone

from tasks.models import TaskRun

from .engine import get_engine

logger = logging.getLogger(__name__)

#: After the broker refused, starts do not wait for it again for this many seconds; the sweep sends them.
BROKER_REST = 2.0

#: Runs of one statement.
SLICE = 500

_broker_rests_until = 0.0


class Unsendable(Exception):
    """The run's own message is at fault, whatever broker there is; the text says what."""


def send(run: TaskRun) -> bool:
    """Publish the run's message; False when it cannot go out now. The sweep then sends it later."""
    try:
        return try_to_send(run)
    except Unsendable as error:
        logger.warning("%s cannot be sent: %s", run, error)
        return False


def goes_now(run: TaskRun) -> bool:
    """True if the message of a new run can go out as soon as its row is stored."""
    return not run.held and not waits_here(run) and not broker_rests()


def send_new(run: TaskRun) -> bool:
    """`send` of a run whose row says from its start that it was sent: no second write, unless that was wrong.

    A process that dies in between leaves a row whose message is missing from the queue: `missing.py` finds it.
    """
    try:
        if _publish(run):
            return True
    except Unsendable as error:
        logger.warning("%s cannot be sent: %s", run, error)
    TaskRun.objects.filter(pk=run.pk, attempt=0, sent_at=run.sent_at).update(sent_at=None)
    run.sent_at = None
    return False


def send_many(found: Sequence[TaskRun]) -> None:
    """`send_new` of many, in few round trips. What cannot go out is sent later, as with one."""
    global _broker_rests_until
    due = [run for run in found if run.sent_at is not None]
    unsent = due
    if not broker_rests():
        try:
            unsent = get_engine().publish_many(due)
        except Exception as error:  # some of them may have gone out: a copy cannot claim
            if get_engine().is_away(error):
                _broker_rests_until = time.monotonic() + BROKER_REST
            logger.warning("The broker does not take %s runs; they are stored and will be sent: %s", len(due), error)
    ids = [run.pk for run in unsent]
    for at in range(0, len(ids), SLICE):
        TaskRun.objects.filter(pk__in=ids[at : at + SLICE], attempt=0).update(sent_at=None)


def try_to_send(run: TaskRun) -> bool:
    """`send`, for whoever deals with a run that can never be sent: raises `Unsendable`."""
    if not _publish(run):
        return False
    TaskRun.objects.filter(pk=run.pk).update(sent_at=timezone.now())
    return True


def _publish(run: TaskRun) -> bool:
    global _broker_rests_until
    if waits_here(run) or broker_rests():
        return False
    engine = get_engine()
    try:
        engine.publish(run)
    except Exception as error:
        if not engine.is_away(error):
            raise Unsendable(f"{type(error).__name__}: {error}") from error
        # The run is stored: the caller keeps its task_id.
        _broker_rests_until = time.monotonic() + BROKER_REST
        logger.warning("The broker does not take %s; it is stored and will be sent: %s", run, error)
        return False
    return True


def waits_here(run: TaskRun) -> bool:
    """True if the run's time is so far off that it waits in the database, not in the broker."""
    return run.due_at is not None and run.due_at - timezone.now() > settings.TASKS_LONGEST_COUNTDOWN


def broker_rests() -> bool:
    """True while this process does not ask a broker that has just refused."""
    return time.monotonic() < _broker_rests_until
