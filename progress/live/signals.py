"""Hears Celery's signals: a task that starts, tells and ends in a project with a result backend of its own.

Telling never hurts doing: whatever fails here is logged, and the task goes on.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import wraps
from typing import ParamSpec, Protocol, cast

from celery import signals
from django.core.checks import ERROR, run_checks

from ..active import activate, current
from ..celery import show_meta
from ..flusher import get_flusher
from ..messages import FINAL_STATES, Changing, State, TaskError
from ..record import get_record
from ..reporter import Reporter
from ..values import MAX_LINE, plain_json, plain_text
from . import starts
from .owner import current_owner, works_for

logger = logging.getLogger(__name__)
P = ParamSpec("P")


class Request(Protocol):
    """What a message says of its task."""

    id: str
    retries: int
    is_eager: bool


class Task(Protocol):
    """One of Celery's."""

    name: str
    update_state: Callable[..., object]

    @property
    def request(self) -> Request:
        """What is asked of it now."""


class LiveReporter(Reporter):
    """Nobody asks it to stop: without a stored run there is no cancel, and a copy of a message is Celery's own."""

    __slots__ = ()

    def cancel(self) -> None:
        """Nothing."""


def _harmless(hear: Callable[P, None]) -> Callable[P, None]:
    @wraps(hear)
    def safely(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            hear(*args, **kwargs)
        except Exception as error:
            logger.warning("The progress of a task is not told: %s: %s", type(error).__name__, error)

    return safely


@_harmless
def _accepted(headers: dict[str, object] | None = None, **_: object) -> None:
    if headers and headers.get("id") and not headers.get("retries"):
        starts.accepted(str(headers["id"]), str(headers.get("task", "")), current_owner())


@_harmless
def _begun(task_id: str, task: Task, **_: object) -> None:
    if task.request.is_eager:
        return
    attempt, owner = starts.begun(task_id, task.name)
    works_for(owner)
    _listen_to_update_state(task)
    activate(LiveReporter(task_id, attempt, get_record(), tries=task.request.retries + 1).open())


def _listen_to_update_state(task: Task) -> None:
    """`self.update_state(meta=…)`, and with it celery-progress's own recorder, move the bar. There is no signal."""
    own = task.update_state
    if hasattr(own, "moves_the_bar"):
        return

    @wraps(own)
    def update_state(
        task_id: str | None = None, state: str | None = None, meta: object = None, **kwargs: object
    ) -> object:
        if task_id in (None, task.request.id):
            show_meta(meta)
        return own(task_id=task_id, state=state, meta=meta, **kwargs)

    update_state.moves_the_bar = True  # type: ignore[attr-defined]
    task.update_state = update_state


@_harmless
def _succeeded(sender: Task, result: object, **_: object) -> None:
    _end(sender.request.id, "SUCCESS", {"result": plain_json(result), "error": None})


@_harmless
def _failed(task_id: str, exception: BaseException, **_: object) -> None:
    _end(task_id, "FAILURE", {"error": _error(exception)})


@_harmless
def _tries_again(request: Request, reason: object, **_: object) -> None:
    when = getattr(reason, "when", None)
    if not isinstance(when, datetime):
        when = datetime.now(UTC) + timedelta(seconds=when if isinstance(when, int | float) else 0)
    at = when.astimezone(UTC).isoformat()
    hint = f"Try {request.retries + 1} did not succeed; the next one starts at {at[11:19]} UTC."
    _end(request.id, "RETRY", {"waiting": {"reason": "retry", "next_retry_at": at, "hint": hint}})


@_harmless
def _revoked(request: Request, **_: object) -> None:
    _end(request.id, "REVOKED", {"error": {"type": "TaskRevokedError", "message": "It was revoked."}})


@_harmless
def _put_down_the_pen(**_: object) -> None:
    works_for("")
    reporter = current()
    if isinstance(reporter, LiveReporter):
        reporter.close()
        activate(None)


def _last_words(**_: object) -> None:
    get_flusher().drain(2.0)


def _last_words_of_threads(**_: object) -> None:
    get_flusher().drain(2.0)


def _refuse_contradictions(**_: object) -> None:
    """Celery runs the checks and does not look at the answer."""
    if os.environ.get("CELERY_SKIP_CHECKS"):
        return
    found = [one for one in run_checks(tags=["progress"]) if one.is_serious(ERROR) and not one.is_silenced()]
    if found:
        raise SystemExit("\n".join(str(one) for one in found))


def _end(task_id: str, state: State, more: Changing) -> None:
    """By the task's own reporter; from the worker's parent, for a process that died, by the record."""
    attempt = starts.ended(task_id, state, more.get("waiting"))
    changes: Changing = {"state": state, "rate": None, "eta": None, "step": None, **more}
    if state == "SUCCESS":
        changes["percent"] = 100.0
    reporter = current()
    if reporter is not None and reporter.task_id == task_id:
        reporter.end(changes)
        return
    held = cast(Changing, {**get_record().read(task_id).changing, **changes, "attempt": attempt})
    get_record().tell(task_id, held, final=state in FINAL_STATES)


def _error(exception: BaseException) -> TaskError:
    return {"type": type(exception).__name__, "message": plain_text(str(exception), MAX_LINE)}


#: What is heard, and by whom.
HEARD = (
    (signals.before_task_publish, _accepted),
    (signals.task_prerun, _begun),
    (signals.task_success, _succeeded),
    (signals.task_failure, _failed),
    (signals.task_retry, _tries_again),
    (signals.task_revoked, _revoked),
    (signals.task_postrun, _put_down_the_pen),
    (signals.worker_process_shutdown, _last_words),
    (signals.worker_shutdown, _last_words_of_threads),
    (signals.worker_init, _refuse_contradictions),
)


def connect() -> None:
    """Hear Celery from now on, in this process."""
    for signal, hear in HEARD:
        signal.connect(hear, weak=False)


def disconnect() -> None:
    """Hear nothing any more."""
    for signal, hear in HEARD:
        signal.disconnect(hear)
