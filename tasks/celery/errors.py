"""A task's exception as JSON in its row, and back; and the error callbacks that are given it."""

from __future__ import annotations

import logging
from typing import Any

from billiard import einfo
from celery import current_app
from celery.app.task import Context
from celery.exceptions import SoftTimeLimitExceeded, TaskRevokedError, TimeLimitExceeded
from celery.utils.serialization import UnpickleableExceptionWrapper
from django.db import transaction

from progress.messages import TaskError
from tasks.models import State, TaskRun
from tasks.runs.message import MAX_ERROR, plain

logger = logging.getLogger(__name__)

_Parcel: Any = einfo.ExceptionWithTraceback  # type: ignore[attr-defined]  # not in its types


def describe(exception: Any, limits: tuple[float | None, float | None] = (None, None)) -> TaskError:
    """What a viewer may read of an exception: its class and text, without a traceback.

    `limits`: the task's hard and soft time limit in seconds, which Celery's exceptions do not name. Celery's own
    description of one (`{"exc_type", "exc_message"}`) is taken as well.
    """
    exception = unwrapped(exception)
    if isinstance(exception, dict) and "exc_type" in exception:
        message = exception.get("exc_message", "")
        if isinstance(message, (list, tuple)):
            message = ", ".join(map(_text, message))
        return {"type": plain(_text(exception["exc_type"])), "message": plain(_text(message))[:MAX_ERROR]}
    if isinstance(exception, UnpickleableExceptionWrapper):
        name = str(exception.exc_cls_name)
        text = ", ".join(map(_text, exception.exc_args or ())) or name
        return {"type": plain(name), "message": plain(text)[:MAX_ERROR]}
    if isinstance(exception, TimeLimitExceeded):
        text = f"The task was ended at its time limit of {exception.args[0]:g} s."
    elif isinstance(exception, SoftTimeLimitExceeded) and limits[1]:
        text = f"The task ran into its soft time limit of {limits[1]:g} s."
    else:
        text = _text(exception) or type(exception).__name__
    return {"type": type(exception).__name__, "message": plain(text)[:MAX_ERROR]}


def unwrapped(exception: Any) -> Any:
    """The exception within billiard's parcel of one and its traceback."""
    return exception.exc if isinstance(exception, _Parcel) else exception


def _text(value: Any) -> str:
    """`str(value)`, whatever its `__str__` does."""
    try:
        return str(value)
    except Exception:
        return f"({type(value).__name__}, whose text cannot be made)"


def rebuilt(run: TaskRun) -> Exception:
    """The exception of a run that ended badly, as Celery makes one of its name and text."""
    error = run.error or {"type": "Error", "message": ""}
    if run.state == State.REVOKED:
        return TaskRevokedError(error["message"])
    found = current_app.backend.exception_to_python(
        {"exc_type": error["type"], "exc_message": [error["message"]], "exc_module": "tasks.errors"}
    )
    return found


def call_back(run: TaskRun, errbacks: list[Any], options: dict[str, Any]) -> None:
    """Call the run's error callbacks, each once, as Celery does: with a task's id, or with request, error, traceback.

    Those of the second kind run here, after the commit; those of the first are runs of their own.
    """
    request = Context(
        id=run.pk,
        task=run.name,
        args=run.args,
        kwargs=run.kwargs,
        errbacks=errbacks,
        group=run.group_id,
        root_id=options.get("root_id") or run.pk,
        parent_id=run.parent_id,
        delivery_info={"routing_key": run.queue, "priority": options.get("priority")},
        is_eager=False,
    )
    exception, traceback = rebuilt(run), run.traceback or None
    backend: Any = current_app.backend
    at_once: list[Any] = []
    later: list[Any] = []
    for one in errbacks:
        (at_once if backend.is_called_at_once(one) else later).append(one)
    for one in later:
        try:
            with transaction.atomic():
                request.errbacks = [one]
                backend._call_task_errbacks(request, exception, traceback)
        except Exception:
            logger.exception("An error callback of %s could not be started.", run)
    if at_once:
        now = Context(request.__dict__, errbacks=at_once)
        transaction.on_commit(lambda: backend._call_task_errbacks(now, exception, traceback), robust=True)
