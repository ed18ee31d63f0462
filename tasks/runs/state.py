"""A run as those who may watch it see it: `progress.messages.TaskState` made of a row, and of the live record."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import cast

from django.db import transaction
from django.db.models import Case, F, JSONField, QuerySet, TextField, When
from django.db.models.functions import Cast, Length

from progress.held import Held, Since
from progress.messages import Changing, LogLine, TaskError, TaskState, Waiting
from progress.messages import State as StateName
from progress.record import get_record
from progress.reporter import Reporter
from progress.resumed import bar_of, keep
from progress.size import MAX_RESULT
from progress.state import merge
from progress.types import JSON
from progress.values import plain_json
from tasks.models import FINAL, State, TaskRun

from . import checkpoints
from .characters import can_be_shown
from .engine import get_engine
from .family import parts_of
from .message import MAX_ERROR, plain, sayable

logger = logging.getLogger(__name__)

#: Of a run that does not hear its cancel, where its worker can end no single task.
DEAF = "Its worker's pool cannot end it by force: it ends with its next progress call, or with the worker."
#: Characters of the arguments that are shown.
MAX_ARGS_TEXT = 300


def listed(found: QuerySet[TaskRun]) -> QuerySet[TaskRun]:
    """`found` without what no list shows, and what may be a megabyte a row."""
    return found.defer("result", "traceback")


def watched(found: QuerySet[TaskRun]) -> QuerySet[TaskRun]:
    """`listed`, with the results that fit into a frame."""
    size = Length(Cast("result", TextField()))
    small = Case(When(result_size__lte=MAX_RESULT, then=F("result")), default=None, output_field=JSONField())
    return listed(found).annotate(result_size=size).annotate(small_result=small)


def result_of(task_id: str) -> JSON:
    """The whole result of a run; None where it has none."""
    result, engine = TaskRun.objects.filter(pk=task_id).values_list("result", "engine").first() or (None, "")
    return readable(result, engine)


def public_state(run: TaskRun, waiting: Waiting | None = None) -> TaskState:
    """The whole public state of `run`, but for its parts; `waiting` says why, where it waits."""
    state: TaskState = {
        "id": run.pk,
        "name": run.name,
        "max_attempts": run.max_attempts,
        "max_tries": run.max_tries,
        "queue": run.queue,
        "args_text": args_text(run),
        "parent_id": run.parent_id,
        "retry_of": run.retry_of,
        "accepted_at": iso(run.accepted_at),
        "sent_at": iso(run.sent_at),
        "started_at": iso(run.started_at),
        "finished_at": iso(run.finished_at),
        "next_retry_at": iso(run.next_retry_at),
        **changing(run, waiting),  # type: ignore[typeddict-item]  # `parts` are left out
    }
    return state


def changing(run: TaskRun, waiting: Waiting | None = None) -> Changing:
    """The changing part, from the row alone: the last numbers of an ended run, none of a waiting one."""
    numbers: Changing = _numbers(run.progress) if run.state in FINAL else {}
    result, omitted = _result(run)
    far = checkpoints.reached(run.checkpoint_at)
    if far is not None and numbers.get("percent") is None:
        numbers.update(far)  # type: ignore[typeddict-item]  # a part of it
    state: Changing = {
        "state": cast(StateName, run.state),
        "attempt": run.attempt,
        "tries": run.tries,
        "lost": run.lost,
        "current": numbers.get("current"),
        "total": numbers.get("total"),
        "percent": 100.0 if run.state == State.SUCCESS else numbers.get("percent"),
        "unit": numbers.get("unit", ""),
        "message": numbers.get("message", ""),
        "step": None,
        "step_number": numbers.get("step_number", 0),
        "steps": numbers.get("steps", []),
        "missing": numbers.get("missing", 0),
        "rate": None,
        "eta": None,
        "waiting": waiting,
        "cancel_requested": run.cancel_requested_at is not None,
        "ts": (run.finished_at or run.started_at or run.accepted_at).timestamp(),
        "result": result,
        "result_omitted": omitted,
        "error": shown_error(run.error),
        "resumed_from": numbers.get("resumed_from"),
        "go_on_from": far if run.state in (State.FAILURE, State.REVOKED) else None,
        "advanced_at": None,
        "quiet_after": None,
    }
    return state


def _result(run: TaskRun) -> tuple[JSON, bool]:
    """What was loaded of the result, and whether there is one that was not."""
    if "result" not in run.get_deferred_fields():
        return readable(run.result, run.engine), False
    watched = vars(run)  # the annotations of `watched`
    if "result_size" not in watched:
        return None, run.state == State.SUCCESS
    return readable(watched["small_result"], run.engine), (watched["result_size"] or 0) > MAX_RESULT


def _numbers(stored: object) -> Changing:
    """Of the last numbers those that are what they should be: a row may have been written by another program."""
    if not isinstance(stored, dict):
        return {}
    kinds: dict[str, type | tuple[type, ...]] = dict.fromkeys(("current", "total", "percent"), (int, float))
    kinds |= {"unit": str, "message": str, "steps": list, "step_number": int, "missing": int, "resumed_from": dict}
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
    states = {one.pk: public_state(one, waiting.get(one.pk)) for one in found}
    return [merge(state, held.get(pk, Held()).changing) for pk, state in with_parts(found, states).items()]


def with_parts(found: Sequence[TaskRun], states: dict[str, TaskState]) -> dict[str, TaskState]:
    """`states` of `found`, each with how its parts stand. A socket's frames do without: two queries for each start."""
    parts = parts_of(found)
    for pk, state in states.items():
        state["parts"] = parts.get(pk)
    return states


def live_log(found: TaskRun) -> list[LogLine]:
    """The log lines that are still held; none while Redis is away."""
    try:
        return list(get_record().read(found.pk).log)
    except Exception:
        return []


def tell(run: TaskRun) -> None:
    """Publish a state that was moved from outside the task. Nothing is lost when it fails: viewers are repaired."""
    try:
        record, state = get_record(), changing(run)
        if run.checkpoint_at is not None and not run.is_final:  # its bar goes on: it does not run backwards either
            told = record.read(run.pk, Since(log=False)).changing or {}
            keep(state, bar_of(told), in_steps=bool(told.get("step")))
        record.tell(run.pk, state, final=run.is_final)
    except Exception as error:
        logger.debug("The state of %s could not be told: %s", run, error)


def tell_last(reporter: Reporter, run: TaskRun) -> None:
    """The last word of the attempt that has ended `run`, when that is committed."""
    changes: TaskState = {"state": cast(StateName, run.state), "rate": None, "eta": None, "step": None}
    changes["started_at"], changes["finished_at"] = iso(run.started_at), iso(run.finished_at)
    if run.state == State.SUCCESS:
        changes["result"], changes["percent"] = readable(run.result, run.engine), 100.0
        changes["error"] = None  # the attempt before may have told one
    else:
        changes["error"] = shown_error(run.error)
    transaction.on_commit(lambda: reporter.end(changes), robust=True)


def tell_pause(reporter: Reporter, run: TaskRun, waiting: Waiting) -> None:
    """What is shown between two attempts: where the last one stood, and when the next one starts."""
    numbers, row = reporter.state(), changing(run, waiting)
    for key in ("state", "attempt", "tries", "lost", "waiting", "cancel_requested", "error"):
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
        return dict(zip(running, get_record().read_many(running, Since(log=False)), strict=True)) if running else {}
    except Exception:
        return {}


def args_text(run: TaskRun) -> str:
    """The arguments as Python shows them."""
    try:
        args, kwargs = get_engine(run.engine).arguments(run)
        parts = [_shown(value) for value in args] + [f"{key}={_shown(value)}" for key, value in kwargs.items()]
    except Exception:
        return "(cannot be shown)"
    text = plain(", ".join(parts))
    return text if len(text) <= MAX_ARGS_TEXT else text[: MAX_ARGS_TEXT - 1] + "…"


#: What `repr` writes for a character that it takes for invisible, behind an even number of backslashes.
_SPELT_OUT = re.compile(r"(?<!\\)((?:\\\\)*)\\(?:x([0-9a-f]{2})|u([0-9a-f]{4})|U([0-9a-f]{8}))")


def _shown(value: object) -> str:
    """`repr`, with joiners and new emoji as they are: a family is one picture, not four and three codes."""

    def character(found: re.Match[str]) -> str:
        one = chr(int(found[2] or found[3] or found[4], 16))
        return found[1] + one if can_be_shown(one) else found[0]

    return _SPELT_OUT.sub(character, repr(value))


def iso(moment: datetime | None) -> str | None:
    """A time as frames and answers carry it."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds") if moment else None
