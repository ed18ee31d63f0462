"""Celery's result backend over TaskRun: `AsyncResult(id).status` is the row's state.

No Redis result backend is needed; with one, a start while Redis is down hung the web process for 19 s.
"""

from __future__ import annotations

import json
import logging
from typing import Any

from celery import current_app, states
from celery.backends.base import BaseBackend
from celery.exceptions import Retry
from celery.result import GroupResult
from kombu.exceptions import EncodeError
from kombu.utils.json import dumps as kombu_dumps
from kombu.utils.json import loads as kombu_loads

from progress import current
from progress.celery import show_meta
from progress.messages import Changing

from . import canvas, runs, workers
from .celery_task import end
from .models import TaskRun
from .patience import patiently
from .public_state import changing
from .queue_status import retry_waiting

logger = logging.getLogger(__name__)


class UnknownTask(LookupError):
    """There is no run with this id: it was never accepted here, or it was pruned."""


class RunBackend(BaseBackend):
    """What Celery stores goes to `runs`; what it asks for comes from the row."""

    persistent = True

    def store_result(
        self, task_id: str, result: Any, state: str, traceback: str | None = None, request: Any = None, **_: Any
    ) -> Any:
        """Record the end of an attempt. STARTED is the claim's, and a state that Celery does not know is progress."""
        if request is not None and (getattr(request, "task", None) or "").startswith("celery."):
            return result
        if state == states.STARTED:
            return result
        if state == states.RETRY:
            self._show_retry(task_id, result)
            return result
        if state not in states.READY_STATES:
            show_meta(result)
            return result
        attempt = getattr(request, "attempt", None)
        who: dict[str, Any] = {"attempt": attempt} if attempt else {"worker": workers.identity()}
        if state == states.SUCCESS:
            values: dict[str, Any] = {"result": _as_json(result)}
        else:
            values = {"error": runs.error_of(result, _time_limits(request)), "traceback": traceback or ""}
            if state == states.REVOKED:
                values["error"] = runs.CANCELLED
        patiently(lambda: end(task_id, state, **who, **values))
        return result

    def _show_retry(self, task_id: str, exception: Any) -> None:
        """`runs.postpone` has moved the row; tell the viewers."""
        run = TaskRun.objects.filter(pk=task_id, state=states.RETRY).first()
        if run is None:
            return
        if isinstance(exception, Retry):
            exception = exception.exc
        if exception is not None:
            run.error = runs.error_of(exception)
            TaskRun.objects.filter(pk=task_id, state=states.RETRY, attempt=run.attempt).update(error=run.error)
        reporter = current()
        if reporter is not None:
            reporter.end(_waiting_state(reporter.state(), run))

    # `ignore_result` is about the value; a run's end is recorded all the same, or it would look STARTED for ever.

    def mark_as_done(
        self, task_id: str, result: Any, request: Any = None, store_result: bool = True, state: str = states.SUCCESS
    ) -> None:
        """SUCCESS, and the chord that waits for it."""
        ignored = not store_result or bool(getattr(request, "ignore_result", False))
        self.store_result(task_id, None if ignored else result, state, request=request)
        if request is not None and request.chord:
            self.on_chord_part_return(request, state, result)

    def mark_as_failure(
        self,
        task_id: str,
        exc: Exception,
        traceback: str | None = None,
        request: Any = None,
        store_result: bool = True,
        call_errbacks: bool = True,
        state: str = states.FAILURE,
    ) -> None:
        """FAILURE, the rest of the chain with it, and the errbacks: of the attempt that holds the run alone."""
        attempt = getattr(request, "attempt", None)
        if attempt and not patiently(lambda: runs.holds(task_id, attempt)):
            logger.warning("Refused a late failure: attempt %s of %s holds the run no longer.", attempt, task_id)
            return
        store_result = store_result or TaskRun.objects.filter(pk=task_id, state=states.STARTED).exists()
        super().mark_as_failure(task_id, exc, traceback, request, store_result, call_errbacks, state)

    def mark_as_revoked(self, task_id: str, *args: Any, **kwargs: Any) -> None:
        """REVOKED."""
        super().mark_as_revoked(task_id, *args, **{**kwargs, "store_result": True})

    # --- groups and chords: see `canvas` ------------------------------------------------------------------------------

    def apply_chord(self, header_result_args: Any, body: Any, **_: Any) -> None:
        """Remember the chord before its header is sent."""
        canvas.remember_chord(GroupResult(*header_result_args), body)

    def on_chord_part_return(self, request: Any, state: str, result: Any, **_: Any) -> None:
        """A part of a header has ended; the last one starts the body."""
        if request.group:
            canvas.complete_chord(request.group)

    def _save_group(self, group_id: str, result: Any) -> Any:
        canvas.remember_group(result)
        return result

    def _restore_group(self, group_id: str) -> dict[str, Any] | None:
        result = canvas.restore_group(group_id)
        return None if result is None else {"task_id": group_id, "result": result}

    def _delete_group(self, group_id: str) -> None:
        canvas.forget_group(group_id)

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
            error = run.error or {"type": "Error", "message": ""}
            meta["result"] = self.exception_to_python(
                {"exc_type": error["type"], "exc_message": [error["message"]], "exc_module": "tasks.errors"}
            )
        return meta

    def _forget(self, task_id: str) -> None:
        """A run is a record; `manage.py prune_runs` forgets."""


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
    task = current_app.tasks.get(getattr(request, "task", None) or "")
    hard, soft = getattr(request, "timelimit", None) or (None, None)
    return hard or getattr(task, "time_limit", None), soft or getattr(task, "soft_time_limit", None)


def _waiting_state(numbers: Changing, run: TaskRun) -> Changing:
    """What is shown between two attempts: where the last one stood, and when the next one starts."""
    row = changing(run, retry_waiting(run))
    for key in ("state", "attempt", "waiting", "cancel_requested", "error"):
        numbers[key] = row[key]
    return numbers
