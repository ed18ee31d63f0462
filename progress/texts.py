"""What pages say of a task, as `static/progress/part-texts.js` says it in a browser. Standard library only."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import cast

from .format import count, span
from .messages import FINAL_STATES, Changing, LogLine, Parts, Reached, TaskState


def said_state(task: Changing) -> str:
    """The state; of a success in which something is missing how much."""
    missing = task.get("missing") or 0
    return f"done, {missing} missing" if task.get("state") == "SUCCESS" and missing else task.get("state", "PENDING")


def said_tries(task: TaskState) -> str:
    """Such as "try 4 of 6 · worker lost 0 of 3": what a task asked for, and what happened to it, are two things."""
    said = []
    if task.get("attempt"):
        tries = _of(task.get("tries") or 1, task.get("max_tries"))
        said.append(f"try {tries} · worker lost {_of(task.get('lost') or 0, task.get('max_attempts'))}")
    if (far := task.get("resumed_from")) and (at := said_reached(far)):
        said.append(f"resumed at {at}")
    return ", ".join(said)


def said_reached(far: Reached) -> str:
    """How far a checkpoint is: its percentage, else its count; "" where neither was told."""
    if far["percent"] is not None:
        return f"{int(far['percent'] + 1e-9)}\u00a0%"
    return f"{far['current']:,g} {far['unit']}".strip() if far["current"] is not None else ""


def _of(count: int, most: int | None) -> str:
    return f"{count} of {most}" if most and count <= most else str(count)


def said_percent(task: Changing) -> str:
    """The percentage, of the whole; where nobody can know it the number of the step; "" where nothing was told."""
    percent = 100.0 if task.get("state") == "SUCCESS" else task.get("percent")
    if percent is not None:
        return f"{int(percent + 1e-9)}\u00a0%"
    number = task.get("step_number") or 0
    return f"step {number}" if task.get("state") == "STARTED" and number else ""


def silent_for(task: Changing, now: datetime) -> float | None:
    """The seconds for which a running task has told nothing, where that is longer than its `quiet_after`."""
    at, after = task.get("advanced_at"), task.get("quiet_after")
    if task.get("state") != "STARTED" or not at or not after:
        return None
    seconds = (now - datetime.fromisoformat(at)).total_seconds()
    return seconds if seconds >= after else None


def said_silence(task: Changing, now: datetime | None = None) -> str:
    """Such as "no news for 4 min; last: row 612"; "" of a task that is not silent."""
    seconds = silent_for(task, now or datetime.now(UTC))
    if seconds is None:
        return ""
    last = task.get("message") or count(task.get("current"), task.get("total"), task.get("unit") or "")
    return f"no news for {span(seconds)}" + (f"; last: {last}" if last else "")


def said_parts(parts: Parts | None) -> str:
    """Such as "8 parts: 7 done, 1 failed"."""
    if not parts:
        return ""
    counts = cast("dict[str, int]", parts)
    names = ("done", "failed", "cancelled", "running", "waiting")
    told = [f"{counts[name]:,} {name}" for name in names if counts[name]]
    return f"{parts['total']:,} part{'' if parts['total'] == 1 else 's'}: {', '.join(told)}"


def not_kept(log: Sequence[LogLine]) -> str:
    """How many lines before the first one of `log` are held no longer; "" where it is whole."""
    count = log[0]["n"] - 1 if log else 0
    return f"{count:,} earlier {'line is' if count == 1 else 'lines are'} not kept." if count > 0 else ""


def path(task: TaskState) -> dict[str, datetime | None]:
    """When the task was accepted, queued, started and finished: of the attempt that runs, or that comes next."""
    accepted, sent, started, finished = (
        datetime.fromisoformat(told) if (told := task.get(name)) and isinstance(told, str) else None
        for name in ("accepted_at", "sent_at", "started_at", "finished_at")
    )
    if task.get("state") in ("PENDING", "RETRY"):  # what was of the attempt before is not of this one
        sent, started = (None if sent and started and sent < started else sent), None
    elif started and (sent is None or sent > started):  # it arrived, so it was queued; the attempt after was not begun
        sent = started
    finished = finished if task.get("state") in FINAL_STATES else None
    return {"accepted": accepted, "queued": sent, "started": started, "finished": finished}
