"""A run as Django's `TaskResult`."""

from __future__ import annotations

import logging
from datetime import datetime

from django.utils.module_loading import import_string

from progress.types import JSON
from tasks.celery.message import decoded
from tasks.models import State, TaskRun

from . import api, errors

logger = logging.getLogger(__name__)

STATUS = {
    State.PENDING: api.TaskResultStatus.READY,
    State.RETRY: api.TaskResultStatus.READY,
    State.STARTED: api.TaskResultStatus.RUNNING,
    State.SUCCESS: api.TaskResultStatus.SUCCESSFUL,
    State.FAILURE: api.TaskResultStatus.FAILED,
    State.REVOKED: api.TaskResultStatus.FAILED,
}
#: Of errors that are no exception of the task: their class here.
OURS = {"Cancelled": errors.TaskCancelled, "Expired": errors.TaskExpired, "WorkerLost": errors.WorkerLost}


def find(result_id: str) -> api.DjangoResult:
    """The result of a run that was enqueued by Django. Raises `TaskResultDoesNotExist`."""
    run = TaskRun.objects.filter(pk=result_id).first()
    if run is None:
        raise api.TaskResultDoesNotExist(result_id)
    try:
        return result_of(run)
    except ImportError as error:
        raise api.TaskResultDoesNotExist(result_id) from error


def carried_by(run: TaskRun) -> dict[str, JSON] | None:
    """What `start.enqueue` wrote into the message; None for a run that it has not made."""
    options = run.message.get("options") if isinstance(run.message, dict) else None
    found = options.get("carried") if isinstance(options, dict) else None
    return found if isinstance(found, dict) else None


def task_of(run: TaskRun) -> api.DjangoTask:
    """The task as it was enqueued. Raises ImportError where there is none of its name."""
    task = import_string(run.name)
    if not isinstance(task, api.Task):
        raise ImportError(f"{run.name} is no task.")
    carried = carried_by(run) or {}
    after = carried.get("run_after")
    try:
        return task.using(
            priority=carried.get("priority"),
            queue_name=carried.get("queue_name"),
            backend=carried.get("backend"),
            run_after=datetime.fromisoformat(str(after)) if after else None,
        )
    except Exception as error:  # settings have changed since
        logger.debug("%s is not what it was when it was enqueued: %s", run, error)
        return task


def result_of(run: TaskRun) -> api.DjangoResult:
    """The run as it is now. Raises ImportError where there is no task of its name any more."""
    task, message = task_of(run), decoded(run)
    times = [datetime.fromisoformat(one["at"]) for one in run.attempts]
    result = api.TaskResult(
        task=task,
        id=run.pk,
        status=STATUS[State(run.state)],
        enqueued_at=run.accepted_at,
        started_at=times[0] if times else None,
        last_attempted_at=times[-1] if times else None,
        finished_at=run.finished_at,
        args=message["args"],
        kwargs=message["kwargs"],
        backend=(carried_by(run) or {}).get("backend", task.backend),
        errors=_errors(run),
        worker_ids=[one["worker"] for one in run.attempts],
    )
    if run.state == State.SUCCESS:
        object.__setattr__(result, "_return_value", run.result)
    return result


def _errors(run: TaskRun) -> list[object]:
    """Of each attempt that raised something, and of the end."""
    found = [api.TaskError(**one["error"]) for one in run.attempts if one.get("error")]
    if run.state in (State.FAILURE, State.REVOKED):
        text = str((run.error or {}).get("message", ""))
        found.append(api.TaskError(exception_class_path=class_path(run.error), traceback=run.traceback or text))
    return found


def class_path(error: JSON) -> str:
    """Where the class of a row's error can be imported from."""
    described = error if isinstance(error, dict) else {}
    raised = described.get("raised")
    raised = raised if isinstance(raised, dict) else {}
    if cls := OURS.get(str(described.get("type"))) if not raised else None:
        return f"tasks.django_tasks.{cls.__name__}"
    path = f"{raised.get('module') or 'builtins'}.{raised.get('name') or ''}"
    try:
        found = import_string(path)
    except (ImportError, AttributeError, ValueError):
        found = None
    known = isinstance(found, type) and issubclass(found, BaseException)
    return path if known else f"tasks.django_tasks.{errors.TaskFailed.__name__}"
