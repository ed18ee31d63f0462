"""What a viewer holds of a task, and the rule by which it applies frames. The twin of `static/progress/view-state.js`.

Standard library only.
"""

from __future__ import annotations

from typing import Final, TypedDict, cast

from .messages import FINAL_STATES, Changing, Log, LogLine, ServerFrame, Snapshot, TaskState, Update
from .state import times_anew

#: A viewer keeps this many log lines; older ones are forgotten.
MAX_VIEW_LINES: Final = 10_000


class View(TypedDict):
    """What a viewer holds of one task. `resync` says: frames are missing, ask for a snapshot.

    `complete`: all log lines of frames up to this one are held. It is what to name when coming back: a newer update may
    have come past lines that were lost.
    """

    epoch: str
    seq: int
    complete: int
    task: TaskState
    log: list[LogLine]
    resync: bool


def apply(view: View | None, frame: ServerFrame) -> View | None:
    """The view after `frame`: what every client of this protocol does with a frame, in any order, loss or repetition.

    There is no view before the first frame. A snapshot replaces it unless it is older; an update or log is applied only
    when it is of the same epoch and newer, and a log only where it goes on from the lines that are held; otherwise
    `resync` says: ask for a snapshot. A final state ends the task whatever its `seq`, and nothing of the same or an
    older attempt follows it.
    Frames of an unknown type, and frames that change nothing, give the same view back.

    `static/progress/view-state.js` is the same function; both are tested with the same cases.
    """
    held, kind = view or _NOTHING, frame.get("type")
    if kind == "snapshot":
        return _snapshot(held, cast(Snapshot, frame))
    if kind == "update":
        return _update(held, cast(Update, frame))
    if kind == "log":
        return _log(held, cast(Log, frame))
    return view


_NOTHING: Final[View] = {"epoch": "", "seq": 0, "complete": 0, "task": {}, "log": [], "resync": False}
_ENVELOPE: Final = frozenset({"v", "type", "task_id", "epoch", "seq"})


def changing_of(frame: Update) -> Changing:
    """The part of the task's state that an update carries."""
    return cast(Changing, {key: value for key, value in frame.items() if key not in _ENVELOPE})


def _snapshot(held: View, frame: Snapshot) -> View:
    task, seq = frame["task"], frame["seq"]
    other = not _is_held(held) or frame["epoch"] != held["epoch"]
    if not other and seq < held["seq"] and not _ends(held["task"], task):
        return held
    log, complete = held["log"], 0 if other else held["complete"]
    if frame.get("log") is not None:  # a snapshot over HTTP has none: the lines held stay
        log = _append(held["log"] if frame.get("recovered") else [], frame["log"])
        if frame["log"] or not frame.get("recovered"):  # one that recovers nothing may have been made without the log
            complete = seq
    return {
        "epoch": frame["epoch"],
        "seq": seq if other else max(seq, held["seq"]),
        "complete": complete,
        "task": held["task"] if _is_old(held["task"], task) else task,
        "log": log,
        "resync": False,
    }


def _update(held: View, frame: Update) -> View:
    if _is_out_of_step(held, frame):
        return _out_of_step(held)
    changes = changing_of(frame)
    if frame["seq"] <= held["seq"] and not _ends(held["task"], changes):
        return held
    moved = {**held["task"], **times_anew(held["task"], changes), **changes}
    task = held["task"] if _is_old(held["task"], changes) else cast(TaskState, moved)
    next_one = frame["seq"] == held["seq"] + 1 and held["complete"] == held["seq"]
    complete = frame["seq"] if next_one else held["complete"]  # what was skipped may have been log lines
    return {
        **held,
        "epoch": frame["epoch"],
        "seq": max(frame["seq"], held["seq"]),
        "complete": complete,
        "task": task,
    }


def _log(held: View, frame: Log) -> View:
    if _is_out_of_step(held, frame):
        return _out_of_step(held)
    if frame["seq"] <= held["seq"]:
        return held
    if held["log"] and frame["lines"] and frame["lines"][0]["n"] > held["log"][-1]["n"] + 1:
        return _out_of_step(held)  # lines between are missing
    log, seq = _append(held["log"], frame["lines"]), frame["seq"]
    return {**held, "epoch": frame["epoch"], "seq": seq, "complete": seq, "log": log}


def _is_held(view: View) -> bool:
    return "state" in view["task"]


def _is_out_of_step(held: View, frame: Update | Log) -> bool:
    """True if `frame` does not follow what is held. The first frame of a record follows the snapshot without one."""
    begins = held["epoch"] == "" and frame["seq"] == 1
    return not _is_held(held) or (frame["epoch"] != held["epoch"] and not begins)


def _out_of_step(held: View) -> View:
    return held if held["resync"] else {**held, "resync": True}


def _ends(held: Changing, came: Changing) -> bool:
    """True if `came` is the end of a task that goes on in `held`: Redis may come back with an older seq."""
    final, ended = came.get("state") in FINAL_STATES, held.get("state") in FINAL_STATES
    return final and not ended and bool(came.get("attempt", 0) >= held.get("attempt", 0))


def _is_old(held: Changing, came: Changing) -> bool:
    """True if `came` speaks of an earlier attempt than `held`, or of the same one after its end."""
    before, now = held.get("attempt", 0), came.get("attempt", 0)
    if now != before:
        return bool(now < before)
    return held.get("state") in FINAL_STATES and came.get("state") not in FINAL_STATES


def _append(log: list[LogLine], lines: list[LogLine]) -> list[LogLine]:
    last = log[-1]["n"] if log else 0
    merged = log + [line for line in lines if line["n"] > last]
    return merged[-MAX_VIEW_LINES:]
