"""The base class of every Celery task of the project: `.delay()` accepts a run, the worker claims it.

`Celery(task_cls=…)` in `django_starter/celery.py` names it, so a plain `@shared_task` has it without a word. A task
may say `max_attempts = 1` to never run twice, or `tracked = False` to be left to Celery alone.
"""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

from celery import Task, signals
from celery.exceptions import Ignore, WorkerLostError
from celery.result import AsyncResult
from celery.worker import state as worker_state
from celery.worker.request import Request
from django.db import connection
from django.utils import timezone

from progress.errors import Cancelled
from progress.record import get_record
from progress.reporter import Reporter, activate, current

from . import canvas, metrics, runs, trace, workers
from .models import TaskRun
from .patience import DatabaseAway, patiently
from .public_state import public_state

logger = logging.getLogger(__name__)


class TrackedRequest(Request):
    """A message in the worker's parent process: it hears first when the process of a task has died."""

    def on_failure(self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False) -> None:
        """Record the loss before Celery gives the message back, so that the next attempt may claim it."""
        exception = getattr(exc_info.exception, "exc", exc_info.exception)
        ending = worker_state.should_terminate is not None  # then the run is given back, not lost
        # SystemExit: the task called sys.exit(), and its process is gone as well.
        gone = isinstance(exception, (WorkerLostError, SystemExit, KeyboardInterrupt))
        if gone and getattr(self.task, "tracked", False) and not ending:
            try:
                runs.lost(self.id, workers.identity(), send_again=False)
            except Exception:
                # The sweep finds it: the run is STARTED here, and no process of ours works on it.
                logger.exception("The loss of %s could not be recorded now.", self.id)
            finally:
                connection.close()  # this is the parent: the next pool process must not inherit it
        super().on_failure(exc_info, send_failed_event, return_ok)


class TrackedTask(Task):  # type: ignore[type-arg]  # Celery's Task takes no parameters at run time
    """A Celery task with a stored run, live progress, one recorded result and a cancel."""

    abstract = True
    Request = "tasks.celery_task:TrackedRequest"

    #: How many workers may die in a run before it is FAILURE with `WorkerLost`. 1: it must not run twice.
    max_attempts = 3
    #: Names of arguments. While a run of the same visitor with the same values of these is active, a start gives that
    #: one. Empty: every start is a run.
    one_while_active: tuple[str, ...] = ()
    #: False: Celery's own behaviour, without a run. Celery's internal tasks are never tracked.
    tracked = True

    @classmethod
    def on_bound(cls, app: Any) -> None:
        """Celery's own `celery.…` tasks are not runs."""
        if (cls.name or "").startswith("celery."):
            cls.tracked = False

    # --- the caller's side --------------------------------------------------------------------------------------------

    def apply_async(
        self,
        args: Any = None,
        kwargs: Any = None,
        task_id: str | None = None,
        producer: Any = None,
        link: Any = None,
        link_error: Any = None,
        shadow: str | None = None,
        idempotency_key: str | None = None,
        **options: Any,
    ) -> AsyncResult[Any]:
        """Accept a run; see `celery.Task.apply_async` for the arguments.

        `idempotency_key`: the same key from the same visitor within 24 h gives the same run. Raises
        `runs.NotAccepted` for arguments that are no JSON or too many, TypeError for those that do not fit the task.
        """
        if not self.tracked or self.app.conf.task_always_eager:
            return super().apply_async(args, kwargs, task_id, producer, link, link_error, shadow, **options)
        if self.typing:
            self.__header__(*(args or ()), **(kwargs or {}))  # type: ignore[attr-defined]
        options = {**self._get_exec_options(), **options}  # type: ignore[attr-defined]
        options.update(
            {
                key: value
                for key, value in (("link", link), ("link_error", link_error), ("shadow", shadow))
                if value is not None
            }
        )
        request = self.request
        if task_id is not None and task_id == request.id and options.get("retries"):
            self._postpone(request, args, kwargs, options)
        else:
            run = runs.accept(self, args, kwargs, options, task_id=task_id, idempotency_key=idempotency_key)
            task_id = run.pk
        return self.AsyncResult(task_id)

    def publish(self, args: Any, kwargs: Any, task_id: str, **options: Any) -> None:
        """Send the message as Celery does. Only `runs` calls this, for a run that is stored."""
        super().apply_async(args, kwargs, task_id=task_id, **options)

    def _postpone(self, request: Any, args: Any, kwargs: Any, options: dict[str, Any]) -> None:
        """`self.retry()`: the run waits for its next attempt. A copy that woke up late may not ask for one."""
        eta, countdown = options.pop("eta", None), options.pop("countdown", None)
        at = eta or timezone.now() + timedelta(seconds=countdown or 0)
        if not runs.postpone(request.id, _attempt(request), at, args, kwargs, options):
            raise Ignore()

    # --- the worker's side --------------------------------------------------------------------------------------------

    def before_start(self, task_id: str, args: Any, kwargs: Any) -> None:
        """Claim the run before working on it, or drop the message: it is a copy. Call super() when you override."""
        if not self.tracked:
            return
        try:
            run = patiently(lambda: self._claim(task_id))
        except DatabaseAway as error:
            # Not a failure of the task: its run still waits, and is sent again when the database is back.
            logger.warning("%s could not be claimed: %s", task_id, error)
            raise Ignore() from error
        if run is None:
            raise Ignore()
        self.request.attempt = run.attempt  # type: ignore[attr-defined]
        metrics.claimed(run)
        trace.follow(str(self.request.get("request_id") or ""))
        logger.info("Attempt %s of %s begins.", run.attempt, run, extra={"task_id": task_id, "attempt": run.attempt})
        activate(Reporter(task_id, run.attempt, get_record()).open())

    def _claim(self, task_id: str) -> TaskRun | None:
        run = runs.claim(task_id, workers.identity())
        if run is None:
            runs.adopt(self, self.request)
            run = runs.claim(task_id, workers.identity())
        return run

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the task's function; in a worker, end it as REVOKED when it was cancelled."""
        request: Any = self.request
        if request.called_directly or not getattr(request, "attempt", None):
            return super().__call__(*args, **kwargs)
        try:
            result = self.run(*args, **kwargs)
        except Cancelled:
            patiently(lambda: end(request.id, "REVOKED", attempt=_attempt(request), error=runs.CANCELLED))
            raise Ignore() from None
        if (request.chain or request.callbacks) and not runs.holds(request.id, _attempt(request)):
            raise Ignore()  # a stale attempt must not start the next link with its result
        return result


def end(task_id: str, state: str, *, attempt: int | None = None, worker: str | None = None, **values: Any) -> bool:
    """Record an end and tell it; False when the attempt holds the run no longer."""
    reporter = current()
    if reporter is not None and reporter.task_id != task_id:
        reporter = None
    numbers = reporter.state() if reporter is not None else None
    if not runs.finish(task_id, state, attempt=attempt, worker=worker, numbers=numbers, **values):
        return False
    run = TaskRun.objects.get(pk=task_id)
    metrics.ended(run)
    canvas.part_ended(run)
    if reporter is None:
        runs.tell(run)
        return True
    whole = public_state(run)
    changes: Any = {"state": state, "rate": None, "eta": None, "step": None}
    changes.update(started_at=whole["started_at"], finished_at=whole["finished_at"])
    changes["result" if state == "SUCCESS" else "error"] = run.result if state == "SUCCESS" else run.error
    if state == "SUCCESS":
        changes.update(percent=100.0, error=None)  # None: the attempt before may have told one
    reporter.end(changes)
    return True


def _attempt(request: Any) -> int:
    return int(getattr(request, "attempt", 0) or 0)


@signals.task_postrun.connect
def _put_down_the_pen(**_: Any) -> None:
    trace.follow("")
    reporter = current()
    if reporter is not None:
        reporter.close()
        activate(None)
