"""A message in the worker's parent process: it hears first when the process of a task has died."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from typing import Any

from billiard.einfo import ExceptionInfo
from celery.concurrency.base import BasePool
from celery.exceptions import InvalidTaskError, WorkerLostError
from celery.worker import state as worker_state
from celery.worker.request import Request
from django.db import connection
from kombu import Message

from progress.messages import TaskError
from tasks import runs
from tasks.runs import DatabaseAway
from tasks.runs.worker import identity

from .errors import unwrapped
from .left import by_death
from .options import check_headers
from .start import is_tracked

logger = logging.getLogger(__name__)


class OutOfMemory(Exception):
    """A task's MemoryError, which ended that task alone."""


class TrackedRequest(Request):
    """Celery's, and the loss of a process is recorded before the message goes back."""

    def __init__(self, message: Message, *args: Any, **kwargs: Any) -> None:
        # Celery meets what is wrong there when the task has begun, and then the worker ends, and each one after it.
        try:
            headers = kwargs.get("headers") or message.headers
            check_headers(headers)
            if is_tracked(kwargs.get("task")):
                runs.check_id(headers.get("id"))
        except (TypeError, runs.NotAccepted) as error:
            raise InvalidTaskError(str(error)) from error
        super().__init__(message, *args, **kwargs)

    def on_failure(self, exc_info: ExceptionInfo, send_failed_event: bool = True, return_ok: bool = False) -> None:
        """Record the loss before Celery gives the message back, so that the next attempt may claim it."""
        exception = unwrapped(exc_info.exception)
        ending = worker_state.should_terminate is not None  # then the run is given back, not lost
        # SystemExit: of the process itself. One that the task raised has been recorded there.
        gone = isinstance(exception, (WorkerLostError, SystemExit, KeyboardInterrupt))
        if gone and is_tracked(self.task) and not ending:
            try:
                runs.lost(self.id, identity(), send_again=False, left=by_death(exception))
            except Exception:
                # The sweep finds it: the run is STARTED here, and no process of ours works on it.
                logger.exception("The loss of %s could not be recorded now.", self.id)
            finally:
                connection.close()  # this is the parent: the next pool process must not inherit it
        if isinstance(exception, MemoryError):
            # Celery ends the whole worker for it, and all other tasks with it. The failure is recorded already.
            exc_info.exception = OutOfMemory(str(exception))
        try:
            super().on_failure(exc_info, send_failed_event, return_ok)
        except (TypeError, ValueError, AttributeError, LookupError) as error:
            logger.exception("The failure of %s cannot be read as Celery does.", self.id)
            try:
                what: TaskError = {"type": "InvalidMessage", "message": runs.plain(str(error))[: runs.MAX_ERROR]}
                runs.end(self.id, "FAILURE", worker=identity(), error=what)
            finally:
                connection.close()
                self.acknowledge()

    def terminate(self, pool: BasePool, signal: Any = None) -> None:
        """Celery's; in a pool that cannot kill, the run is asked to end: Celery's own error would end the worker."""
        try:
            super().terminate(pool, signal)
        except NotImplementedError:
            logger.warning("%s cannot be ended by force in this pool, so it is asked to end.", self.id)
            try:
                runs.cancel(self.id)
            except Exception:
                logger.exception("The cancel of %s could not be recorded.", self.id)
            finally:
                connection.close()

    def cancel(self, pool: BasePool, signal: int | None = None, emit_retry: bool = True) -> None:
        """Celery's, when the worker ends at once: in a pool that cannot kill, what it is at ends with the process."""
        with contextlib.suppress(NotImplementedError):
            super().cancel(pool, signal, emit_retry)

    def on_timeout(self, soft: bool, timeout: float) -> None:
        """Celery's."""
        with in_parent(self.id):
            super().on_timeout(soft, timeout)

    def _announce_revoked(self, reason: str, terminated: bool, signum: object, expired: bool) -> None:
        with in_parent(self.id):
            super()._announce_revoked(reason, terminated, signum, expired)  # type: ignore[misc]  # private


@contextlib.contextmanager
def in_parent(task_id: str) -> Iterator[None]:
    """Around what the parent of the pool records: no process may inherit its connection, and a database that is away
    does not end the worker. The sweep finds a run that is STARTED here without a process; a message that was not
    acknowledged comes again."""
    try:
        yield
    except DatabaseAway:
        logger.exception("The end of %s could not be recorded now.", task_id)
    finally:
        connection.close()
