"""Celery's result backend over TaskRun: `AsyncResult(id).status` is the row's state.

No Redis result backend is needed; with one, a start while Redis is down hung the web process for 19 s.
"""

from __future__ import annotations

import json
import logging
from functools import partial

from celery import Celery, current_app, states
from celery.exceptions import Ignore, Retry
from celery.result import GroupResult
from celery.utils.functional import regen
from kombu.exceptions import EncodeError
from kombu.utils.json import dumps as kombu_dumps
from kombu.utils.json import loads as kombu_loads

from progress.active import current
from progress.celery import show_meta
from progress.types import JSON
from tasks import runs
from tasks.models import FINAL, State, TaskRun
from tasks.runs import with_retries
from tasks.runs.state import tell_pause
from tasks.runs.waiting import retry_waiting
from tasks.runs.worker import identity

from . import canvas, children, errors, told
from .ends import Holder, Outcome, end, end_untracked
from .message import decoded
from .start import is_tracked
from .types import Meta, Result, Signature, TaskRequest
from .waiting import WaitingBackend, is_forgotten

regen_type = type(regen(iter(())))

logger = logging.getLogger(__name__)

#: Seconds between two looks of a caller that waits, where nothing is heard.
LOOK_EVERY = 0.5
#: Runs in one look.
IDS_AT_ONCE = 500
#: Started tasks that are noted with the end of the one that started them.
MAX_CHILDREN = 1_000


class RunBackend(WaitingBackend):
    """What Celery stores goes to `runs`; what it asks for comes from the row."""

    persistent = True
    supports_autoexpire = True  # `prune-ended-runs` of CELERY_BEAT_SCHEDULE
    app: Celery

    def store_result(
        self,
        task_id: str,
        result: object,
        state: str,
        traceback: str | None = None,
        request: TaskRequest = None,
        ignored: bool = False,
        **_: object,
    ) -> object:
        """Record the end of an attempt. STARTED is the claim's, and a state that Celery does not know is progress."""
        if state == states.STARTED:
            return result
        if state == states.RETRY:
            self._show_retry(task_id, result)
            return result
        if state not in states.READY_STATES:
            show_meta(result)
            told.keep(task_id, state, self.encode_result(result, state), _attempt_of(request, task_id))
            return result
        if state == states.SUCCESS:
            values: Outcome = {"result": _as_json(self.prepare_value(result))}
        else:
            values = {"error": errors.describe(result, _time_limits(request)), "traceback": traceback or ""}
            if state == states.REVOKED:
                values["error"] = errors.revoked(str(result))
        attempt = _attempt_of(request, task_id)
        who: Holder = {"attempt": attempt} if attempt else {"worker": identity()}
        if not with_retries(lambda: self._is_run(task_id, request)):
            with_retries(lambda: end_untracked(task_id, _name_of(request), state, request, values))
            return result
        started = children.as_tuples(getattr(request, "children", None) or ()) if attempt else []
        claimed = getattr(request, "claimed", None) if attempt else None
        with_retries(lambda: end(task_id, state, children=started, ignored=ignored, claimed=claimed, **who, **values))
        return result

    @staticmethod
    def _is_run(task_id: str, request: TaskRequest) -> bool:
        """True if the task has a row that it did not write itself at its end."""
        if getattr(request, "attempt", None):
            return True
        task = current_app.tasks.get(_name_of(request))
        if task is not None and not is_tracked(task):
            return False
        return TaskRun.objects.filter(pk=task_id).exists()

    def _show_retry(self, task_id: str, exception: object) -> None:
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
            tell_pause(reporter, run, retry_waiting(run))

    # What waits for a run (its chain, its chord, its callbacks) is freed or failed in the transaction that records its
    # end, whoever records it: these three only record. `ignore_result` is about the value; an end is recorded all the
    # same, or it would look STARTED for ever.

    def mark_as_done(
        self,
        task_id: str,
        result: object,
        request: TaskRequest = None,
        store_result: bool = True,
        state: str = states.SUCCESS,
    ) -> None:
        """SUCCESS."""
        if _is_here_and_now(request):
            return super().mark_as_done(task_id, result, request, store_result, state)
        ignored = not store_result or bool(getattr(request, "ignore_result", False))
        self.store_result(task_id, result, state, request=request, ignored=ignored)

    def mark_as_failure(
        self,
        task_id: str,
        exc: Exception,
        traceback: str | None = None,
        request: TaskRequest = None,
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
        request: TaskRequest = None,
        store_result: bool = True,
        state: str = states.REVOKED,
    ) -> None:
        """REVOKED."""
        if _is_here_and_now(request):
            return super().mark_as_revoked(task_id, reason, request, store_result, state)
        if reason == "expired" and runs.expire(task_id):
            return
        self.store_result(task_id, Ignore(reason), state, request=request)

    def is_called_at_once(self, errback: Signature) -> bool:
        """True for an error callback that Celery calls where the failure is recorded, instead of starting it."""
        signature: Signature = self.app.signature(errback)
        if not signature._app:
            signature._app = self.app
        try:
            header = getattr(signature.type, "__header__", None)
        except LookupError:
            return False
        takes_more = self._errback_arity_greater  # type: ignore[attr-defined]  # private
        return header is not None and not isinstance(header, partial) and bool(takes_more(signature, 1))

    def call_errbacks(self, request: TaskRequest, error: BaseException, traceback: str | None) -> None:
        """Call those that are `is_called_at_once`, as Celery does."""
        self._call_task_errbacks(request, error, traceback)  # type: ignore[attr-defined]  # private

    # --- groups and chords: see `canvas` ------------------------------------------------------------------------------

    def apply_chord(self, header_result_args: tuple[str, list[Result]], body: Signature, **_: object) -> None:
        """Remember the chord before its header is sent. A generator is not consumed for it."""
        group_id, parts = header_result_args
        if isinstance(parts, regen_type):
            canvas.remember_growing_chord(group_id, body)
        else:
            canvas.remember_chord(GroupResult(group_id, parts), body)

    def set_chord_size(self, group_id: str, chord_size: int) -> None:
        """All but the last part are sent."""
        canvas.count_chord(group_id, chord_size)

    def add_to_chord(self, chord_id: str, result: Result) -> None:
        """One more part of a header that runs."""
        canvas.add_to_group(chord_id, result)

    def on_chord_part_return(self, request: TaskRequest, state: str, result: object, **_: object) -> None:
        """Nothing: the end of a part is counted where it is recorded."""

    def _save_group(self, group_id: str, result: GroupResult) -> GroupResult:
        canvas.remember_group(result)
        return result

    def _restore_group(self, group_id: str) -> Meta | None:
        result = canvas.restore_group(group_id)
        return None if result is None else {"task_id": group_id, "result": result}

    def _delete_group(self, group_id: str) -> None:
        canvas.forget_group(group_id)

    def _get_task_meta_for(self, task_id: str) -> Meta:
        run = TaskRun.objects.filter(pk=task_id).first()
        return self._meta(task_id, run)

    def _meta(self, task_id: str, run: TaskRun | None) -> Meta:
        """What Celery wants to know of a task. One that nobody knows is PENDING, as in Celery."""
        if run is None:  # nobody knows it, or it is a task of Celery's own class, which may tell of itself too
            return {"task_id": task_id, "status": states.PENDING, "result": None, **told.read(task_id)}
        if is_forgotten(run):
            return {"task_id": task_id, "status": states.PENDING, "result": None}
        message = decoded(run)
        meta: Meta = {
            "task_id": run.pk,
            "status": str(run.state),
            "result": kombu_loads(json.dumps(run.result)),
            "traceback": run.traceback or None,
            "date_done": run.finished_at.isoformat() if run.finished_at else None,
            "children": run.progress.get("children") or [],
            "parent_id": message["options"].get("parent_id") or run.parent_id,
            "group_id": run.group_id,
            "name": run.name,
            "args": message["args"],
            "kwargs": message["kwargs"],
            "queue": run.queue,
            "worker": run.worker,
            "retries": int(message["options"].get("retries") or 0),
        }
        if run.state in states.EXCEPTION_STATES:
            meta["result"] = errors.rebuilt(run)
        elif run.state == State.STARTED:
            meta.update(told.read(run.pk, run.attempt))
        return meta

    def _forget(self, task_id: str) -> None:
        """The value is forgotten; the run is a record, which `manage.py prune_runs` deletes."""
        forget(task_id)


def _attempt_of(request: TaskRequest, task_id: str) -> int | None:
    """The attempt that `request` holds of this task; None of another one's."""
    if getattr(request, "id", None) not in (None, task_id):
        return None
    return getattr(request, "attempt", None)


def forget(task_id: str) -> None:
    """Forget the value of a run that has ended; one that has not keeps its."""
    for run in TaskRun.objects.filter(pk=task_id, state__in=FINAL):
        TaskRun.objects.filter(pk=task_id).update(progress={**run.progress, "forgotten": True})


def _is_here_and_now(request: TaskRequest) -> bool:
    """True for `task.apply()` and `task_always_eager`: that is Celery's alone, which stores nothing unless it is told
    to."""
    return bool(getattr(request, "is_eager", False))


def _name_of(request: TaskRequest) -> str:
    return str(getattr(request, "task", None) or getattr(request, "name", None) or "")


def _as_json(result: object) -> JSON:
    try:
        text = kombu_dumps(result)
        stored = runs.storable(text)
        if '"__type__"' in text:
            kombu_loads(text)  # a value that says of itself what it is not would reach nobody
    except Exception as error:  # also one that is nested too deep, and what an object's own idea of JSON raises
        what = f"{type(error).__name__}: {errors.text_of(error)}"
        raise EncodeError(f"The result must be JSON, but got {type(result).__name__}: {what}") from error
    if len(text) > runs.MAX_RESULT:
        raise EncodeError(f"A result may have {runs.MAX_RESULT:,} bytes of JSON, this one has {len(text):,}.")
    return stored


def _time_limits(request: TaskRequest) -> tuple[float | None, float | None]:
    """(hard, soft) in seconds, of the message or else of the task."""
    task = current_app.tasks.get(_name_of(request))
    hard, soft = getattr(request, "timelimit", None) or (None, None)
    return hard or getattr(task, "time_limit", None), soft or getattr(task, "soft_time_limit", None)
