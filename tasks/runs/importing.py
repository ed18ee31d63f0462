"""Old results of django-celery-results as ended runs, for staff to read and for `AsyncResult`."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterable
from datetime import datetime
from itertools import islice
from typing import Protocol, cast

from progress.messages import TaskError
from progress.types import JSON
from tasks.models import FINAL, State, TaskRun

from .message import MAX_ERROR, MAX_TRACEBACK, plain, sayable

#: Rows that are written by one statement.
BATCH = 500


class OldResult(Protocol):
    """A row of django_celery_results' TaskResult, as far as it is read here."""

    task_id: str
    task_name: str | None
    task_args: str | None
    task_kwargs: str | None
    status: str
    worker: str | None
    result: str | None
    traceback: str | None
    date_created: datetime
    date_done: datetime


def import_results(old: Iterable[OldResult]) -> int:
    """Store those that have ended and are no runs yet; returns how many."""
    rows, count = (run_of(one) for one in old if one.status in FINAL), 0
    while batch := list(islice(rows, BATCH)):
        held = set(TaskRun.objects.filter(pk__in=[run.pk for run in batch]).values_list("pk", flat=True))
        new = [run for run in batch if run.pk not in held]
        TaskRun.objects.bulk_create(new, ignore_conflicts=True)
        count += len(new)
    return count


def run_of(one: OldResult) -> TaskRun:
    """The run that it would have been. It waits for nothing, and nothing waits for it."""
    state = State(one.status)
    result = _json(one.result)
    return TaskRun(
        id=one.task_id[:64],
        name=(one.task_name or "unknown")[:200],
        message=_message(one),
        queue="",
        state=state,
        attempt=1,
        worker=(one.worker or "")[:200],
        accepted_at=one.date_created,
        sent_at=one.date_created,
        finished_at=one.date_done,
        result=sayable(result) if state == State.SUCCESS else None,
        error=None if state == State.SUCCESS else _error(state, result),
        traceback=plain(one.traceback or "")[-MAX_TRACEBACK:],
    )


def _json(text: str | None) -> JSON:
    """The value of the stored JSON; of something else, the text."""
    try:
        return cast(JSON, json.loads(text)) if text else None
    except ValueError:
        return plain(text or "")


def _error(state: State, result: JSON) -> TaskError:
    """As Celery writes an exception: `{"exc_type", "exc_message"}`."""
    told = result if isinstance(result, dict) else {}
    message = told.get("exc_message", "")
    words = [str(one) for one in message] if isinstance(message, list) else [str(message or "")]
    kind = str(told.get("exc_type") or ("Cancelled" if state == State.REVOKED else "Exception"))
    return {"type": plain(kind)[:MAX_ERROR], "message": plain(" ".join(words))[:MAX_ERROR]}


def _message(one: OldResult) -> dict[str, JSON]:
    """Its arguments, where what Python shows of them can be read back; else that text alone: it cannot be run again."""
    shown: dict[str, JSON] = {"args": plain(f"{one.task_args} {one.task_kwargs}"), "kwargs": {}, "options": {}}
    try:
        args, kwargs = _literal(one.task_args, "()"), _literal(one.task_kwargs, "{}")
        if not isinstance(args, (list, tuple)) or not isinstance(kwargs, dict):
            return shown
        return cast(dict[str, JSON], sayable(json.loads(json.dumps({"args": args, "kwargs": kwargs, "options": {}}))))
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return shown


def _literal(text: str | None, nothing: str) -> object:
    """Of `"(1, 2)"`, which is JSON around what Python shows, or of the latter alone."""
    shown = _json(text)
    if shown is not None and not isinstance(shown, str):
        return shown
    return cast(object, ast.literal_eval(shown or nothing))
