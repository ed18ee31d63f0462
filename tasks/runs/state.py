"""A run as those who may watch it see it: `progress.messages.TaskState` made of a row, and of the live record."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import cast

from django.db import transaction

from progress.held import Held, Since
from progress.messages import Changing, LogLine, TaskError, TaskState, Waiting
from progress.messages import State as StateName
from progress.record import get_record
from progress.reporter import Reporter
from progress.state import merge
from progress.types import JSON
from progress.values import plain_json
from tasks.models import FINAL, State, TaskRun

from .engine import get_engine
from .message import MAX_ERROR, plain, sayable

logger = logging.getLogger(__name__)

#: Of a run that does not hear its cancel, where its worker can end no single task.
DEAF = "Its worker's pool cannot end it by force: it ends with its next progress call, or with the worker."
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
    numbers: Changing = _numbers(run.progress) if run.state in FINAL else {}
    state: Changing = {
        "state": cast(StateName, run.state),
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
        "result": readable(run.result, run.engine),
        "error": shown_error(run.error),
    }
    return state


def _numbers(stored: object) -> Changing:
    """Of the last numbers those that are what they should be: a row may have been written by another program."""
    if not isinstance(stored, dict):
        return {}
    kinds: dict[str, type | tuple[type, ...]] = dict.fromkeys(("current", "total", "percent"), (int, float))
    kinds |= {"unit": str, "message": str, "steps": list}
    found = {key: sayable(stored[key]) for key, kind in kinds.items() if isinstance(stored.get(key), kind)}
    return cast(Changing, found)


def readable(stored: JSON, engine: str) -> JSON:
    """A stored argument or result as people read it: a date or an id is its text, not how an engine has stored it."""
    if isinstance(stored, (dict, list)) and '"__type__"' in json.dumps(stored):
        try:
            return plain_json(get_engine(engine).value(stored))
        except Exception:  # another program has written it
            return sayable(stored)
    return sayable(stored)


def shown_error(stored: object) -> TaskError | None:
    """Type and message: what else an engine keeps of an error is its own."""
    if stored is None:
        return None
    if isinstance(stored, dict) and isinstance(stored.get("type"), str) and isinstance(stored.get("message"), str):
        return cast(TaskError, sayable({"type": stored["type"], "message": stored["message"]}))
    return {"type": "Error", "message": plain(str(stored))[:MAX_ERROR]}


def live_states(found: Sequence[TaskRun], waiting: Mapping[str, Waiting]) -> list[TaskState]:
    """The public state of each of `found` as it is right now; while Redis is away, what the database knows."""
    held = _held(found)
    return [merge(public_state(one, waiting.get(one.pk)), held.get(one.pk, Held()).changing) for one in found]


def live_log(found: TaskRun) -> list[LogLine]:
    """The log lines that are still held; none while Redis is away."""
    try:
        return list(get_record().read(found.pk).log)
    except Exception:
        return []


def tell(run: TaskRun) -> None:
    """Publish a state that was moved from outside the task. Nothing is lost when it fails: viewers are repaired."""
    try:
        get_record().tell(run.pk, changing(run), final=run.is_final)
    except Exception as error:
        logger.debug("The state of %s could not be told: %s", run, error)


def tell_last(reporter: Reporter, run: TaskRun) -> None:
    """The last word of the attempt that has ended `run`, when that is committed."""
    whole = public_state(run)
    changes: TaskState = {"state": cast(StateName, run.state), "rate": None, "eta": None, "step": None}
    changes["started_at"], changes["finished_at"] = whole["started_at"], whole["finished_at"]
    if run.state == State.SUCCESS:
        changes["result"], changes["percent"] = whole["result"], 100.0
        changes["error"] = None  # the attempt before may have told one
    else:
        changes["error"] = shown_error(run.error)
    transaction.on_commit(lambda: reporter.end(changes), robust=True)


def tell_pause(reporter: Reporter, run: TaskRun, waiting: Waiting) -> None:
    """What is shown between two attempts: where the last one stood, and when the next one starts."""
    numbers, row = reporter.state(), changing(run, waiting)
    for key in ("state", "attempt", "waiting", "cancel_requested", "error"):
        numbers[key] = row[key]
    reporter.end(numbers)


def tell_deaf(run: TaskRun) -> None:
    """Tell that a cancelled run, which does not listen, cannot be ended by force where it runs."""
    try:
        record = get_record()
        state = {**changing(run), **record.read(run.pk, Since(log=False)).changing, "cancel_requested": True}
        state |= {"state": run.state, "attempt": run.attempt, "waiting": {"reason": "cancel", "hint": DEAF}}
        record.tell(run.pk, cast(Changing, state), final=False)
    except Exception as error:
        logger.debug("It could not be told that %s is deaf: %s", run, error)


def _held(found: Sequence[TaskRun]) -> dict[str, Held]:
    running = [one.pk for one in found if not one.is_final]
    try:
        record = get_record()
        return {pk: record.read(pk, Since(log=False)) for pk in running}
    except Exception:
        return {}


def _args_text(run: TaskRun) -> str:
    """The arguments as Python shows them."""
    try:
        args, kwargs = get_engine(run.engine).arguments(run)
        parts = [repr(value) for value in args] + [f"{key}={value!r}" for key, value in kwargs.items()]
    except Exception:
        return "(cannot be shown)"
    text = plain(", ".join(parts))
    return text if len(text) <= MAX_ARGS_TEXT else text[: MAX_ARGS_TEXT - 1] + "…"


def _iso(moment: datetime | None) -> str | None:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds") if moment else None
