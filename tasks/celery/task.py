"""The base class of every Celery task of the project: `.delay()` accepts a run, the worker claims it.

`tasks.install(app)` names it, so a plain `@shared_task` has it without a word. A task
may say `max_attempts = 1` to never run twice, or `tracked = False` to be left to Celery alone.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime
from functools import wraps
from typing import Any, TypeAlias

from asgiref.sync import sync_to_async
from celery import Celery, Task, signals
from celery.exceptions import Ignore, Reject, Retry
from django.core.exceptions import SynchronousOnlyOperation
from django.db import transaction
from django.utils import timezone
from kombu import Producer

from progress.active import activate, current
from progress.errors import Cancelled
from progress.messages import TaskError
from progress.record import get_record
from progress.reporter import Reporter
from progress.silence import QUIET_AFTER
from progress.types import JSON
from tasks import resume, runs
from tasks.models import TaskRun
from tasks.resume import stopping
from tasks.runs import DatabaseAway, barrier, counts, trace, with_retries
from tasks.runs.left_open import LeftOpen, close_left_open
from tasks.runs.worker import identity

from .beat import is_of_a_beat
from .ends import end, give_back
from .errors import text_of
from .left import by_retry
from .start import adopted, following, max_tries_of, moment, start_of, time_of
from .types import Args, Kwargs, Option, Options, Result, Signature, TaskRequest

logger = logging.getLogger(__name__)

#: A task's own `before_start`, of its class.
BeforeStart: TypeAlias = "Callable[[TrackedTask, str, Args, Kwargs], object]"


class Dropped(Ignore):
    """Nothing is left to do for this message: it is a copy, or the run's next state is recorded already."""


class TrackedTask(Task):  # type: ignore[type-arg]  # Celery's Task takes no parameters at run time
    """A Celery task with a stored run, live progress, one recorded result and a cancel."""

    abstract = True
    Request = "tasks.celery.request:TrackedRequest"

    #: How many workers may die in a run before it is FAILURE with `WorkerLost`. 1: it must not run twice.
    max_attempts = 3
    #: Another one: a checkpoint that an attempt before has left does not fit any more. Any JSON value.
    checkpoint_version: JSON = 1
    #: Seconds without anything new, after something was told, from which on people are told so. None: never.
    quiet_after: float | None = QUIET_AFTER
    #: Seconds without anything new after which an attempt is taken for hung, and ended like a death. None: never.
    stalled_after: float | None = None
    #: Names of arguments. While a run of the same owner with the same values of these is active, a start gives that
    #: one. Empty: every start is a run.
    one_while_active: tuple[str, ...] = ()
    #: False: Celery's own behaviour, without a run. Celery's internal tasks are never tracked.
    tracked = True

    @classmethod
    def on_bound(cls, app: Celery) -> None:
        """Celery's own housekeeping is no run; what it makes of `map`, `chunks`, `group(…)` in a chord is."""
        if (cls.name or "") in ("celery.backend_cleanup", "celery.chord_unlock"):
            cls.tracked = False
        for name in ("quiet_after", "stalled_after"):
            if not _is_time(bound := getattr(cls, name)):
                raise ValueError(f"{cls.name}: {name} must be seconds, more than 0, or None, but got {bound!r}.")
        own = cls.before_start
        if own is not TrackedTask.before_start and not hasattr(own, "within_a_claim"):
            cls.before_start = _within_a_claim(own)  # type: ignore[method-assign, assignment]

    # --- the caller's side --------------------------------------------------------------------------------------------

    def apply_async(
        self,
        args: Args | None = None,
        kwargs: Kwargs | None = None,
        task_id: str | None = None,
        producer: Producer | None = None,
        link: Signature = None,
        link_error: Signature = None,
        shadow: str | None = None,
        idempotency_key: str | None = None,
        **options: Option,
    ) -> Result:
        """Accept a run; see `celery.Task.apply_async` for the arguments.

        `idempotency_key`: the same key from the same owner within 24 h gives the same run. Raises
        `runs.NotAccepted` for arguments that are no JSON or too many, TypeError for those that do not fit the task.
        """
        if self.app.conf.task_always_eager:
            return super().apply_async(args, kwargs, task_id, producer, link, link_error, shadow, **options)
        if not self.tracked:
            if options.get("chord") and options.get("group_id"):
                barrier.mark_untracked(str(options["group_id"]))
            return super().apply_async(args, kwargs, task_id, producer, link, link_error, shadow, **options)
        if self.soft_time_limit and self.time_limit and self.soft_time_limit > self.time_limit:
            raise ValueError("soft_time_limit must be less than or equal to time_limit")
        if self.typing:
            self.__header__(*(args or ()), **(kwargs or {}))  # type: ignore[attr-defined]
        shadow = shadow or self.shadow_name(args, kwargs, options)  # type: ignore[arg-type, func-returns-value]
        options = {**self._get_exec_options(), **options}  # type: ignore[attr-defined]
        options.setdefault("ignore_result", self.ignore_result)
        given = (("link", link), ("link_error", link_error), ("shadow", shadow))
        options.update({key: value for key, value in given if value is not None})
        request = self.request
        if task_id is not None and task_id == request.id and options.get("retries"):
            self._ask_again(request, args, kwargs, options)
            return self.AsyncResult(task_id)
        add_to_parent, result_cls = options.pop("add_to_parent", True), options.pop("result_cls", None)
        try:
            start = start_of(self, args, kwargs, options, task_id=task_id)
            run = runs.accept(start, idempotency_key=idempotency_key)
        except SynchronousOnlyOperation:
            raise SynchronousOnlyOperation(
                f"{self.name} is started inside an event loop: use `await {self.__name__}.adelay(…)` there."
            ) from None
        result: Result = (result_cls or self.AsyncResult)(run.pk)
        result.ignored = bool(options["ignore_result"])
        parent = self.app.current_worker_task if add_to_parent else None
        if parent is not None:
            parent.add_trail(result)
        return result

    async def aapply_async(self, *args: Option, **options: Option) -> Result:
        """`apply_async` for callers inside an event loop."""
        return await sync_to_async(self.apply_async)(*args, **options)

    async def adelay(self, *args: object, **kwargs: object) -> Result:
        """`delay` for callers inside an event loop."""
        return await self.aapply_async(args, kwargs)

    def publish(self, args: Args, kwargs: Kwargs, task_id: str, **options: Option) -> None:
        """Send the message as Celery does. Only `runs` calls this, for a run that is stored."""
        super().apply_async(args, kwargs, task_id=task_id, add_to_parent=False, **options)

    def _ask_again(self, request: TaskRequest, args: Args | None, kwargs: Kwargs | None, options: Options) -> None:
        """`self.retry()`: remembered until the task's function is left, whose own transaction may be rolled back."""
        eta, countdown = time_of(options, "eta"), time_of(options, "countdown")
        at = eta or countdown or moment(0)
        start = start_of(self, args, kwargs, options, task_id=request.id)
        values: dict[str, object] = {"message": start.message, "queue": start.queue, "priority": start.priority}
        values |= {"tries": start.tries, "max_tries": max_tries_of(self, overridden=True)}
        if start.expires is not None:
            values["expires"] = start.expires
        request.next_attempt = (at, values)

    def on_replace(self, sig: Signature) -> Any:
        """`self.replace()`: remembered until the task's function is left, like a retry."""
        if self.request.is_eager or not getattr(self.request, "attempt", None):
            return super().on_replace(sig)
        request: TaskRequest = self.request
        request.replacement = sig
        raise Dropped("Replaced by new task")

    # --- the worker's side --------------------------------------------------------------------------------------------

    def before_start(self, task_id: str, args: Args, kwargs: Kwargs) -> None:
        """Claim the run before working on it, or drop the message: it is a copy."""
        self._begin(self.request)

    def _begin(self, request: TaskRequest) -> None:
        if not self.tracked or request.is_eager or request.called_directly or getattr(request, "attempt", None):
            return
        try:
            now = timezone.now()
            run = with_retries(lambda: self._claim(request, now))
        except DatabaseAway as error:
            # Not a failure of the task: its run still waits, and is sent again when the database is back.
            logger.warning("%s could not be claimed: %s", request.id, error)
            raise Dropped() from error
        if run is None:
            raise Dropped()
        request.attempt, request.claimed = run.attempt, run
        counts.claimed(run)
        trace.follow(str(request.get("request_id") or ""))
        logger.info("Attempt %s of %s begins.", run.attempt, run, extra={"task_id": run.pk, "attempt": run.attempt})
        reporter = Reporter(run.pk, run.attempt, get_record(), tries=run.tries, lost=run.lost)
        reporter.quiet_after, reporter.where.base = self.quiet_after, __file__
        resume.begin(run, reporter, self.checkpoint_version)
        activate(reporter.open())

    def _claim(self, request: TaskRequest, now: datetime) -> TaskRun | None:
        waited_until = moment(request.eta)
        run = runs.claim(request.id, identity(), now, waited_until)
        if run is None:
            if is_of_a_beat(request):
                logger.warning("%s came from a celery beat, but the workers fire that entry.", request.id)
                raise Dropped()
            runs.adopt(adopted(self, request))
            run = runs.claim(request.id, identity(), now, waited_until)
        return run

    def __call__(self, *args: object, **kwargs: object) -> object:
        """Run the task's function; in a worker, record how it ended where Celery would not."""
        request: TaskRequest = self.request
        self._begin(request)  # where a task is called without its before_start
        if not getattr(request, "attempt", 0):
            return super().__call__(*args, **kwargs)
        result = self._attempt(request, lambda: self._run(request, args, kwargs))
        if getattr(request, "next_attempt", None):  # retry(throw=False)
            self._postpone(request)
            raise Dropped()
        # What follows is accepted in the transaction that records the end.
        request.callbacks = request.chain = None
        return result

    def _attempt(self, request: TaskRequest, work: Callable[[], object]) -> object:
        """Code of the task's own, within a claim: what Celery would not record of how it is left is recorded."""
        try:
            return work()
        except Cancelled:
            self._end(request, "REVOKED", runs.CANCELLED)
            raise Dropped() from None
        except resume.Stopped:
            with_retries(lambda: give_back(request.id, int(request.attempt)))
            raise Dropped() from None
        except Dropped:
            self._replace(request)
            raise
        except Retry as error:
            if not getattr(request, "next_attempt", None):
                # Nobody has asked for another attempt: in Celery it would wait for ever.
                raise RuntimeError("The task raised Retry itself: self.retry() asks for another attempt.") from error
            self._postpone(request, error.exc)
            raise
        except Reject as error:
            self._rejected(request, error)
            raise
        except Ignore:
            message = "The task raised Ignore: it has ended without a result."
            self._end(request, "REVOKED", {"type": "Ignored", "message": message})
            raise
        except Exception as error:
            request.raised = error  # Celery hands on a wrapper of one that cannot be pickled
            raise
        except BaseException as error:
            if isinstance(error, SystemExit) and stopping.is_asked():
                # The pool ends its processes by it. Nobody died: the worker's parent gives back what is not finished.
                raise Dropped() from None
            # sys.exit() and its like: the attempt is over as if its process had died, whatever the pool.
            text = runs.plain(text_of(error))
            why = f"it raised {type(error).__name__}{f': {text}' if text else ''}."
            logger.warning("%s: %s", request.id, why)
            with_retries(lambda: runs.lost(request.id, identity(), send_again=True, why=why[0].upper() + why[1:]))
            raise Dropped() from None

    def _run(self, request: TaskRequest, args: Args, kwargs: Kwargs) -> object:
        ended = False
        try:
            result = self.run(*args, **kwargs)
            ended = True
        finally:
            left = close_left_open()
            if left or not ended or getattr(request, "next_attempt", None):
                resume.settle(current())
            if left and not ended:
                logger.warning("%s left its transaction on %s open; it was rolled back.", request.id, left)
        if left:
            raise LeftOpen(f"The task left its transaction on {left} open: what it wrote there was rolled back.")
        return result

    @staticmethod
    def _end(request: TaskRequest, state: str, error: TaskError) -> None:
        with_retries(lambda: end(request.id, state, attempt=request.attempt, error=error))

    @staticmethod
    def _postpone(request: TaskRequest, error: object = None) -> None:
        at, values = request.next_attempt
        if not with_retries(lambda: runs.postpone(request.id, request.attempt, at, values, by_retry(error))):
            raise Dropped() from None

    @staticmethod
    def _replace(request: TaskRequest) -> None:
        """The run goes on as another task: it is held, and let go by the start of what replaces it."""
        signature = getattr(request, "replacement", None)
        if signature is None:
            return

        def replace() -> None:
            with transaction.atomic(), following():
                if runs.set_aside(request.id, request.attempt):
                    signature.delay()

        try:
            with_retries(replace)
        except Exception as error:
            request.raised = error
            raise

    @staticmethod
    def _rejected(request: TaskRequest, error: Any) -> None:
        """With `requeue` Celery gives the message back: the next attempt may claim it. Without, the run has ended."""
        if error.requeue:
            with_retries(lambda: runs.give_back(request.id, request.attempt, send_again=False))
            return
        reason = str(error.reason) if error.reason else "The task rejected its message."
        TrackedTask._end(request, "FAILURE", {"type": "Reject", "message": runs.plain(reason)[: runs.MAX_ERROR]})


def _is_time(value: object) -> bool:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return value is None or (number and 0 < value < float("inf"))  # type: ignore[operator]  # it is a number


def _within_a_claim(own: BeforeStart) -> BeforeStart:
    """A `before_start` of a task's own: the run is claimed before it, and however it is left, the run has that end."""

    @wraps(own)
    def before_start(task: TrackedTask, task_id: str, args: Args, kwargs: Kwargs) -> None:
        request: TaskRequest = task.request
        TrackedTask.before_start(task, task_id, args, kwargs)
        if getattr(request, "attempt", 0):
            task._attempt(request, lambda: own(task, task_id, args, kwargs))
        else:
            own(task, task_id, args, kwargs)

    before_start.within_a_claim = True  # type: ignore[attr-defined]
    return before_start


@signals.task_postrun.connect
def _put_down_the_pen(**_: object) -> None:
    trace.follow("")
    reporter = current()
    if reporter is not None:
        resume.end(reporter)
        reporter.close()
        activate(None)
