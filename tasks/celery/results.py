"""Celery's result backend over TaskRun: `AsyncResult(id).status` is the row's state.

No Redis result backend is needed; with one, a start while Redis is down hung the web process for 19 s.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from functools import partial
from typing import Any

from celery import current_app, states
from celery.backends.base import BaseBackend
from celery.exceptions import Ignore, Retry
from celery.result import GroupResult
from kombu.exceptions import EncodeError
from kombu.utils.json import dumps as kombu_dumps
from kombu.utils.json import loads as kombu_loads

from progress.active import current
from progress.celery import show_meta
from progress.messages import Changing
from tasks import runs
from tasks.models import State, TaskRun
from tasks.runs import DatabaseAway, with_retries
from tasks.runs.database import Patience
from tasks.runs.state import changing
from tasks.runs.waiting import retry_waiting
from tasks.runs.worker import identity

from . import canvas, errors
from .ends import end, end_untracked
from .start import is_tracked

logger = logging.getLogger(__name__)


class RunBackend(BaseBackend):
    """What Celery stores goes to `runs`; what it asks for comes from the row."""

    persistent = True
    app: Any

    def store_result(
        self, task_id: str, result: Any, state: str, traceback: str | None = None, request: Any = None, **_: Any
    ) -> Any:
        """Record the end of an attempt. STARTED is the claim's, and a state that Celery does not know is progress."""
        if state == states.STARTED:
            return result
        if state == states.RETRY:
            self._show_retry(task_id, result)
            return result
        if state not in states.READY_STATES:
            show_meta(result)
            return result
        if state == states.SUCCESS:
            values: dict[str, Any] = {"result": _as_json(result)}
        else:
            values = {"error": errors.describe(result, _time_limits(request)), "traceback": traceback or ""}
            if state == states.REVOKED:
                values["error"] = runs.CANCELLED
        attempt = getattr(request, "attempt", None)
        who: dict[str, Any] = {"attempt": attempt} if attempt else {"worker": identity()}
        if not self._is_run(task_id, request):
            with_retries(lambda: end_untracked(task_id, _name_of(request), state, request, values))
            return result
        with_retries(lambda: end(task_id, state, **who, **values))
        return result

    @staticmethod
    def _is_run(task_id: str, request: Any) -> bool:
        """True if the task has a row that it did not write itself at its end."""
        if getattr(request, "attempt", None):
            return True
        task = current_app.tasks.get(_name_of(request))
        if task is not None and not is_tracked(task):
            return False
        return TaskRun.objects.filter(pk=task_id).exists()

    def _show_retry(self, task_id: str, exception: Any) -> None:
        """`runs.postpone` has moved the row; tell the viewers."""
        run = TaskRun.objects.filter(pk=task_id, state=State.RETRY).first()
        if run is None:
            return
        if isinstance(exception, Retry):
            exception = exception.exc
        if exception is not None:
            run.error = errors.describe(exception)
            TaskRun.objects.filter(pk=task_id, state=State.RETRY, attempt=run.attempt).update(error=run.error)
        reporter = current()
        if reporter is not None:
            reporter.end(_waiting_state(reporter.state(), run))

    # What waits for a run (its chain, its chord, its callbacks) is freed or failed in the transaction that records its
    # end, whoever records it: these three only record. `ignore_result` is about the value; an end is recorded all the
    # same, or it would look STARTED for ever.

    def mark_as_done(
        self, task_id: str, result: Any, request: Any = None, store_result: bool = True, state: str = states.SUCCESS
    ) -> None:
        """SUCCESS."""
        if _is_here_and_now(request):
            return super().mark_as_done(task_id, result, request, store_result, state)
        ignored = not store_result or bool(getattr(request, "ignore_result", False))
        self.store_result(task_id, None if ignored else result, state, request=request)

    def mark_as_failure(
        self,
        task_id: str,
        exc: Any,
        traceback: str | None = None,
        request: Any = None,
        store_result: bool = True,
        call_errbacks: bool = True,
        state: str = states.FAILURE,
    ) -> None:
        """FAILURE."""
        if _is_here_and_now(request):
            return super().mark_as_failure(
                task_id, exc, traceback, request, store_result=store_result, call_errbacks=call_errbacks, state=state
            )
        self.store_result(task_id, getattr(request, "raised", None) or exc, state, traceback, request)

    def mark_as_revoked(
        self,
        task_id: str,
        reason: str = "",
        request: Any = None,
        store_result: bool = True,
        state: str = states.REVOKED,
    ) -> None:
        """REVOKED."""
        if _is_here_and_now(request):
            return super().mark_as_revoked(task_id, reason, request, store_result, state)
        if reason == "expired" and runs.expire(task_id):
            return
        self.store_result(task_id, Ignore(reason), state, request=request)

    def is_called_at_once(self, errback: Any) -> bool:
        """True for an error callback that Celery calls where the failure is recorded, instead of starting it."""
        signature = self.app.signature(errback)
        if not signature._app:
            signature._app = self.app
        try:
            header = getattr(signature.type, "__header__", None)
        except LookupError:
            return False
        takes_more = self._errback_arity_greater  # type: ignore[attr-defined]  # private
        return header is not None and not isinstance(header, partial) and bool(takes_more(signature, 1))

    # --- groups and chords: see `canvas` ------------------------------------------------------------------------------

    def apply_chord(self, header_result_args: Any, body: Any, **_: Any) -> None:
        """Remember the chord before its header is sent."""
        canvas.remember_chord(GroupResult(*header_result_args), body)

    def add_to_chord(self, chord_id: str, result: Any) -> None:
        """One more part of a header that runs."""
        canvas.add_to_group(chord_id, result)

    def on_chord_part_return(self, request: Any, state: str, result: Any, **_: Any) -> None:
        """Nothing: the end of a part is counted where it is recorded."""

    def _save_group(self, group_id: str, result: Any) -> Any:
        canvas.remember_group(result)
        return result

    def _restore_group(self, group_id: str) -> dict[str, Any] | None:
        result = canvas.restore_group(group_id)
        return None if result is None else {"task_id": group_id, "result": result}

    def _delete_group(self, group_id: str) -> None:
        canvas.forget_group(group_id)

    def wait_for(
        self,
        task_id: str,
        timeout: float | None = None,
        interval: float = 0.5,
        no_ack: bool = True,
        on_interval: Callable[[], object] | None = None,
    ) -> Any:
        """`AsyncResult.get()`: the task is waited for, and so is a database that is away for a while."""
        patience = Patience(timeout)

        def answered() -> None:
            patience.answered()
            if on_interval is not None:
                on_interval()

        while True:
            try:
                return super().wait_for(task_id, patience.left(), interval, no_ack, answered)
            except DatabaseAway:
                if not patience.pause():
                    raise

    def _get_task_meta_for(self, task_id: str) -> dict[str, Any]:
        run = TaskRun.objects.filter(pk=task_id).first()
        if run is None:
            raise UnknownTask(f"There is no run {task_id}: it was never accepted here, or it was pruned.")
        meta: dict[str, Any] = {
            "task_id": run.pk,
            "status": str(run.state),
            "result": kombu_loads(json.dumps(run.result)),
            "traceback": run.traceback or None,
            "date_done": run.finished_at,
            "children": [],
            "name": run.name,
            "args": run.args,
            "kwargs": run.kwargs,
            "queue": run.queue,
            "worker": run.worker,
            "retries": max(run.attempt - 1, 0),
        }
        if run.state in states.EXCEPTION_STATES:
            meta["result"] = errors.rebuilt(run)
        return meta

    def _forget(self, task_id: str) -> None:
        """A run is a record; `manage.py prune_runs` forgets."""


class UnknownTask(LookupError):
    """There is no run with this id: it was never accepted here, or it was pruned."""


def _is_here_and_now(request: Any) -> bool:
    """True for `task.apply()` and `task_always_eager`: that is Celery's alone, which stores nothing unless it is told
    to."""
    return bool(getattr(request, "is_eager", False))


def _name_of(request: Any) -> str:
    return str(getattr(request, "task", None) or getattr(request, "name", None) or "")


def _as_json(result: Any) -> Any:
    try:
        text = kombu_dumps(result)
        stored = runs.storable(text)
    except (TypeError, ValueError) as error:
        raise EncodeError(f"The result must be JSON, but got {type(result).__name__}: {error}") from error
    if len(text) > runs.MAX_RESULT:
        raise EncodeError(f"A result may have {runs.MAX_RESULT:,} bytes of JSON, this one has {len(text):,}.")
    return stored


def _time_limits(request: Any) -> tuple[float | None, float | None]:
    """(hard, soft) in seconds, of the message or else of the task."""
    task = current_app.tasks.get(_name_of(request))
    hard, soft = getattr(request, "timelimit", None) or (None, None)
    return hard or getattr(task, "time_limit", None), soft or getattr(task, "soft_time_limit", None)


def _waiting_state(numbers: Changing, run: TaskRun) -> Changing:
    """What is shown between two attempts: where the last one stood, and when the next one starts."""
    row = changing(run, retry_waiting(run))
    for key in ("state", "attempt", "waiting", "cancel_requested", "error"):
        numbers[key] = row[key]
    return numbers
