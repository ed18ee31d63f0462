"""A run as those who may watch it see it: `progress.messages.TaskState` made of a row."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, cast

from progress.messages import Changing, TaskState, Waiting

from .models import FINAL, State, TaskRun

#: Characters of the arguments that are shown.
MAX_ARGS_TEXT = 300


def public_state(run: TaskRun, waiting: Waiting | None = None) -> TaskState:
    """The whole public state of `run`; `waiting` says why, where it waits."""
    state: TaskState = {
        "id": run.pk,
        "name": run.name,
        "max_attempts": run.max_attempts,
        "queue": run.queue,
        "args_text": _args_text(run),
        "parent_id": run.parent_id,
        "retry_of": run.retry_of,
        "accepted_at": _iso(run.accepted_at),
        "sent_at": _iso(run.sent_at),
        "started_at": _iso(run.started_at),
        "finished_at": _iso(run.finished_at),
        "next_retry_at": _iso(run.next_retry_at),
        **changing(run, waiting),
    }
    return state


def changing(run: TaskRun, waiting: Waiting | None = None) -> Changing:
    """The changing part, from the row alone: the last numbers of an ended run, none of a waiting one."""
    numbers: dict[str, Any] = run.progress if run.state in FINAL else {}
    state: Changing = {
        "state": cast(Any, run.state),
        "attempt": run.attempt,
        "current": numbers.get("current"),
        "total": numbers.get("total"),
        "percent": 100.0 if run.state == State.SUCCESS else numbers.get("percent"),
        "unit": numbers.get("unit", ""),
        "message": numbers.get("message", ""),
        "step": None,
        "steps": numbers.get("steps", []),
        "rate": None,
        "eta": None,
        "waiting": waiting,
        "cancel_requested": run.cancel_requested_at is not None,
        "ts": (run.finished_at or run.started_at or run.accepted_at).timestamp(),
        "result": run.result,
        "error": run.error,
    }
    return state


def _args_text(run: TaskRun) -> str:
    parts = [repr(value) for value in run.args] + [f"{key}={value!r}" for key, value in run.kwargs.items()]
    text = ", ".join(parts)
    return text if len(text) <= MAX_ARGS_TEXT else text[: MAX_ARGS_TEXT - 1] + "…"


def _iso(moment: datetime | None) -> str | None:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds") if moment else None
