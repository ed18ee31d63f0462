"""One attempt at a run in a consumer: claimed, worked on by Huey itself, and its end recorded."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from contextvars import ContextVar
from datetime import datetime
from functools import partial
from typing import cast

from django.db import close_old_connections
from django.utils import timezone
from huey import signals
from huey.exceptions import CancelExecution

from progress.active import activate
from progress.errors import Cancelled
from progress.messages import TaskError
from progress.record import get_record
from progress.reporter import Reporter
from progress.types import JSON
from tasks import resume, runs
from tasks.models import State, TaskRun
from tasks.runs import DatabaseAway, counts, trace, with_retries
from tasks.runs.left_open import LeftOpen, close_left_open
from tasks.runs.message import stored_message
from tasks.runs.state import tell_last, tell_pause
from tasks.runs.waiting import retry_waiting
from tasks.runs.worker import identity

from . import board, values
from .engine import engine
from .messages import aware, start_of, task_of
from .types import HueyTask, Queue

logger = logging.getLogger(__name__)

_running: ContextVar[Attempt | None] = ContextVar("tasks_huey_attempt", default=None)


def running() -> Attempt | None:
    """The attempt that is made in this thread."""
    return _running.get()


class Attempt:
    """A claimed run, and Huey's task of it. `ended`: its end, or its next attempt, is recorded."""

    def __init__(self, huey: Queue, run: TaskRun) -> None:
        self.huey = huey
        self.run = run
        self.ended = self.began = False
        self.reporter = Reporter(run.pk, run.attempt, get_record(), tries=run.tries, lost=run.lost)
        self.task: HueyTask = task_of(huey, run)
        # What follows is accepted in the transaction that records the end.
        self.task.on_complete = self.task.on_error = None
        self._result: JSON = None
        self._error: TaskError | None = None
        own = self.task.execute
        self.task.execute = lambda: self._work(own)

    def _work(self, own: Callable[[], object]) -> object:
        self.began = True
        ended = False
        try:
            result = own()
            ended = True
        finally:
            left = close_left_open()
            if left or not ended:
                resume.settle(self.reporter)
            if left and not ended:
                logger.warning("%s left its transaction on %s open; it was rolled back.", self.run, left)
        if left:
            raise LeftOpen(f"The task left its transaction on {left} open: what it wrote there was rolled back.")
        try:
            message = stored_message(self.run.name, values.dumps({"result": result}))
        except (values.NotEncodable, runs.NotAccepted, RecursionError) as error:
            raise values.NotEncodable(f"The result must be JSON, but got {type(result).__name__}: {error}") from error
        self._result = message["result"]
        return result

    def finish(self, exception: Exception | None) -> None:
        """Huey is done with it: the end, unless it will be tried again."""
        if exception is None:
            self.end("SUCCESS", result=self._result)
            return
        self._error = values.describe(exception)
        text = "".join(traceback.format_exception(exception))
        if self.task.retries:
            self._tell_handler(exception)
        elif isinstance(exception, CancelExecution):
            self.end("REVOKED", error=self._error)
        else:
            self.end("FAILURE", error=self._error, traceback=text)

    def _tell_handler(self, exception: Exception) -> None:
        """As in Huey: its error handler hears of each failure, also of those that are tried again."""
        from huey.exceptions import RETRYING_EXCEPTIONS

        handler = (self.run.message.get("options") or {}).get("error")
        if not isinstance(handler, dict) or not self.huey.store_intermediate_errors:
            return
        if not isinstance(exception, (*RETRYING_EXCEPTIONS, CancelExecution)):
            try:
                engine.start_handler(self.run, handler, exception)
            except Exception:
                logger.exception("The error handler of %s cannot be started.", self.run)

    def end(self, state: str, *, result: JSON = None, error: TaskError | None = None, traceback: str = "") -> None:
        """Record the end, and tell it."""
        self.ended = True
        numbers = self.reporter.state()
        whose = partial(runs.end, self.run.pk, state, attempt=self.run.attempt, numbers=numbers, quietly=True)
        run = with_retries(lambda: whose(result=result, error=error, traceback=traceback))
        if run is not None:
            tell_last(self.reporter, run)

    def postpone(self, at: datetime) -> None:
        """The next attempt is at `at`, with one retry less."""
        self.ended = True
        message = {**self.run.message}
        options = {**(message.get("options") or {}), "retries": self.task.retries}
        options["retry_delay"] = values.encode(self.task.retry_delay)
        message["options"] = options
        due = aware(self.huey, at) or timezone.now()
        columns: dict[str, object] = {"message": message, "error": self._error, "tries": self.run.tries + 1}
        if with_retries(lambda: runs.postpone(self.run.pk, self.run.attempt, due, columns)):
            self.run.refresh_from_db()
            tell_pause(self.reporter, self.run, retry_waiting(self.run))

    def give_back(self) -> None:
        """It was interrupted, because its consumer ends: another one goes on."""
        self.ended = True
        with_retries(lambda: runs.give_back(self.run.pk, self.run.attempt, send_again=True))

    def lost(self, error: BaseException) -> None:
        """sys.exit() and its like: the attempt is over as if its process had died."""
        self.ended = True
        why = f"It raised {type(error).__name__}: {error}".rstrip(": ") + "."
        with_retries(lambda: runs.lost(self.run.pk, identity(), send_again=True, why=runs.plain(why)))


def work(huey: Queue, task: HueyTask, now: datetime) -> object:
    """Claim the run of `task` and do it."""
    if board.is_ending():  # it waited for a message when its consumer was told to end, and another one may have it
        huey.storage.enqueue(huey.serialize_task(task), task.priority)
        return None
    close_old_connections()
    board.begin(task.id)
    try:
        run = _claimed(huey, task)
        return None if run is None else _attempt(huey, run, now)
    finally:
        board.end()
        close_old_connections()


def _claimed(huey: Queue, task: HueyTask) -> TaskRun | None:
    at = timezone.now()
    due = aware(huey, task.eta)

    def claim() -> TaskRun | None:
        run = runs.claim(task.id, identity(), at, due)
        if run is None:
            runs.adopt(start_of(huey, task))  # maybe another program has sent it, past us
            run = runs.claim(task.id, identity(), at, due)
        return run

    try:
        run = with_retries(claim)
    except DatabaseAway as error:
        # Not a failure of the task: its run still waits, and is sent again when the database is back.
        logger.warning("%s could not be claimed: %s", task.id, error)
        return None
    except runs.NotAccepted as error:
        logger.error("%s, which another program has sent, cannot be stored: %s", task.id, error)
        return None
    if run is None:
        known = TaskRun.objects.filter(pk=task.id).first()
        if runs.expire(task.id):
            huey._emit(signals.SIGNAL_EXPIRED, task)
        elif known is not None and known.state == State.REVOKED:
            huey._emit(signals.SIGNAL_REVOKED, task)
    return run


def _attempt(huey: Queue, run: TaskRun, now: datetime) -> object:
    counts.claimed(run)
    options = run.message.get("options") or {}
    trace.follow(str(options.get("request_id") or ""))
    logger.info("Attempt %s of %s begins.", run.attempt, run, extra={"task_id": run.pk, "attempt": run.attempt})
    held = Attempt(huey, run)
    token = _running.set(held)
    resume.begin(run, held.reporter, getattr(type(held.task), "checkpoint_version", 1))
    activate(held.reporter.open())
    try:
        if _is_revoked(huey, held.task, now):
            huey._emit(signals.SIGNAL_REVOKED, held.task)
            held.end("REVOKED", error=runs.CANCELLED)
            return None
        huey._emit(signals.SIGNAL_EXECUTING, held.task)
        return cast(object, huey._execute(held.task, now))
    except Cancelled:
        huey._emit(signals.SIGNAL_CANCELED, held.task)
        held.end("REVOKED", error=runs.CANCELLED)
    except resume.Stopped:
        held.give_back()
    except Exception:
        held.ended = True  # as far as can be: the end could not be recorded, and the sweep finds the run
        raise
    except BaseException as error:
        held.lost(error)
        if isinstance(error, KeyboardInterrupt):
            raise
    finally:
        if not held.ended and not held.began:
            held.end("REVOKED", error={"type": "CancelExecution", "message": "A pre_execute hook cancelled it."})
        elif not held.ended:
            held.give_back()
        resume.end(held.reporter)
        held.reporter.close()
        activate(None)
        _running.reset(token)
        trace.follow("")
    return None


def _is_revoked(huey: Queue, task: HueyTask, now: datetime) -> bool:
    try:
        return bool(huey.is_revoked(task, now, False))
    except Exception as error:
        logger.warning("It cannot be seen whether %s was revoked: %s", task.id, error)
        return False


def end_unreadable(huey: Queue, data: bytes, error: Exception) -> None:
    """A message of a task that this code does not have, or of no task at all."""
    logger.error("A message cannot be read: %s", error)
    try:
        message = huey.serializer.deserialize(data)
        what: TaskError = {"type": "NotRegistered", "message": runs.plain(str(error))[: runs.MAX_ERROR]}
        close_old_connections()
        runs.end(str(message.id), "FAILURE", error=what)
    except Exception:
        logger.exception("Nor can be seen whose it is.")
