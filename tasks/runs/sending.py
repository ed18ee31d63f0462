"""A run's message goes to the broker; where that cannot take it, the run stays stored and the sweep sends it later."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

from django.conf import settings
from django.utils import timezone

from tasks.models import TaskRun

from .engine import NoEngine, get_engine

logger = logging.getLogger(__name__)

#: After the broker refused, starts do not wait for it again for this many seconds; the sweep sends them.
BROKER_REST = 2.0

#: Runs of one statement.
SLICE = 500

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


def goes_now(run: TaskRun) -> bool:
    """True if the message of a new run can go out as soon as its row is stored."""
    return not run.held and not waits_here(run) and not broker_rests(run.engine)


def send_new(run: TaskRun) -> bool:
    """`send` of a run whose row says beforehand that it was sent: no second write, unless that was wrong.

    A process that dies in between leaves a row whose message is missing from the queue: `missing.py` finds it.
    """
    try:
        if _publish(run):
            return True
    except Unsendable as error:
        logger.warning("%s cannot be sent: %s", run, error)
    TaskRun.objects.filter(pk=run.pk, attempt=run.attempt, sent_at=run.sent_at).update(sent_at=None)
    run.sent_at = None
    return False


def send_many(found: Sequence[TaskRun]) -> None:
    """`send_new` of many, in few round trips. What cannot go out is sent later, as with one."""
    due: dict[str, list[TaskRun]] = {}
    for run in found:
        if run.sent_at is not None:
            due.setdefault(run.engine, []).append(run)
    ids = [run.pk for name, runs in due.items() for run in _publish_many(name, runs)]
    for at in range(0, len(ids), SLICE):
        TaskRun.objects.filter(pk__in=ids[at : at + SLICE], attempt=0).update(sent_at=None)


def _publish_many(name: str, due: list[TaskRun]) -> list[TaskRun]:
    """Returns those that did not go out, or maybe not: a copy cannot claim."""
    if broker_rests(name):
        return due
    try:
        engine = get_engine(name)
    except NoEngine as error:
        logger.warning("%s runs cannot be sent: %s", len(due), error)
        return due
    try:
        return engine.publish_many(due)
    except Exception as error:
        if engine.is_away(error):
            _rests_until[name] = time.monotonic() + BROKER_REST
        logger.warning("The broker does not take %s runs; they are stored and will be sent: %s", len(due), error)
        return due


def try_to_send(run: TaskRun) -> bool:
    """`send`, for whoever deals with a run that can never be sent: raises `Unsendable`."""
    if not _publish(run):
        return False
    TaskRun.objects.filter(pk=run.pk).update(sent_at=timezone.now())
    return True


def _publish(run: TaskRun) -> bool:
    if waits_here(run) or broker_rests(run.engine):
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
    return True


def waits_here(run: TaskRun) -> bool:
    """True if the run's time is so far off that it waits in the database, not in the broker."""
    return run.due_at is not None and run.due_at - timezone.now() > settings.TASKS_LONGEST_COUNTDOWN


def broker_rests(engine: str) -> bool:
    """True while this process does not ask that engine's broker, which has just refused."""
    return time.monotonic() < _rests_until.get(engine, 0.0)
