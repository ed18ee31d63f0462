"""What is true of a task: its stored state, merged with what its worker published. Standard library only."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import cast

from .messages import FINAL_STATES, Changing, TaskState
from .resumed import bar_of, is_behind

#: What a worker knows better than the row, even of a task that has ended.
NUMBERS = frozenset({"current", "total", "percent", "unit", "message", "steps", "step_number", "missing"})
#: Seconds after a recorded end in which the worker's last word is waited for.
UNTOLD = 1.0


def merge(stored: TaskState, changing: Changing | None) -> TaskState:
    """What a viewer must see: the stored state, with the live numbers where they are of the same attempt or newer.

    A recorded end always wins: over a live record that did not hear of it, and over one that says another end.
    """
    if not changing:
        return stored
    attempt, live = stored.get("attempt", 0), changing.get("attempt", 0)
    if live < attempt:
        return stored
    if stored.get("state") in FINAL_STATES and (stored.get("state"), attempt) != (changing.get("state"), live):
        kept = {
            key: value for key, value in changing.items() if key in NUMBERS and stored.get(key) in (None, "", [], 0)
        }
        return cast(TaskState, {**stored, **kept})
    if live == attempt and changing.get("state") == "STARTED" and stored.get("state") in ("RETRY", "PENDING"):
        # The attempt is over; the record did not hear it.
        bar = bar_of(changing)
        ahead = stored.get("percent") is not None and not is_behind(bar, bar_of(stored))
        return cast(TaskState, {**stored, **bar}) if ahead else stored
    merged = {**stored, **times_anew(stored, changing), **changing}
    if stored.get("state") in FINAL_STATES:  # of the same end, what was recorded of it
        merged.update({key: stored[key] for key in ("result", "error") if key in stored})
        merged["result_omitted"] = bool(stored.get("result_omitted"))
    merged["cancel_requested"] = bool(stored.get("cancel_requested") or changing.get("cancel_requested"))
    if changing.get("state") in ("PENDING", "RETRY") and (stored.get("state"), attempt) == (changing["state"], live):
        # Why it waits is known now, not then; but a row that was read before this wait began knows of another.
        merged["waiting"] = stored.get("waiting")
    return cast(TaskState, merged)


def times_anew(held: Changing, came: Changing) -> dict[str, None]:
    """What was told of the attempt before is not of this one."""
    if came.get("attempt", 0) <= held.get("attempt", 0):
        return {}
    return {name: None for name in ("started_at", "finished_at", "error") if name in held}


def telling(state: Changing) -> tuple[object, ...]:
    """What of a state must not differ from the database for longer than a few seconds."""
    waiting = state.get("waiting") or {}
    return (
        state.get("state"),
        state.get("attempt", 0),
        waiting.get("reason"),
        waiting.get("position"),
        bool(state.get("cancel_requested")),
    )


def is_untold(stored: TaskState, changing: Changing) -> bool:
    """True if the task has ended just now, by the database, and its record does not say so yet."""
    if stored.get("state") not in FINAL_STATES or changing.get("state") in FINAL_STATES:
        return False
    finished_at = stored.get("finished_at") if stored.get("started_at") else None  # else no worker has anything to tell
    return bool(finished_at and datetime.now(UTC) - datetime.fromisoformat(finished_at) < timedelta(seconds=UNTOLD))


def is_older(one: Changing, other: Changing) -> bool:
    """True if `one` was published before `other`, by the same attempt."""
    return one.get("attempt") == other.get("attempt") and one.get("ts", 0) < other.get("ts", 0)
