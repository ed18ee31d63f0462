"""How large a frame may be, and what is done with what is larger. Standard library only.

Libraries and proxies close a socket over a frame that is too large for them (most at 1 MiB), and again whenever the
viewer comes back. So a log is split over several frames, and a large result is left to the snapshot over HTTP.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final, TypeVar, cast

from .messages import Changing, LogLine, TaskState, dumps, snapshot
from .types import JSON
from .values import MAX_MESSAGE, MAX_UNIT, plain_text

S = TypeVar("S", Changing, TaskState)

#: Bytes of a frame.
MAX_FRAME: Final = 256_000
#: Bytes of JSON that a result may have in a frame.
MAX_RESULT: Final = 128_000
#: Bytes of a state without its result: what a task reports stays far below, a project's own source may not.
MAX_STATE: Final = 96_000
#: Bytes of the log lines in one frame.
MAX_LINES: Final = 64_000


def fits(text: str) -> bool:
    """True if a frame may be as large as `text`."""
    return _within(text, MAX_FRAME)


def fitting(state: S) -> S:
    """`state` with no more of its result, and of all else, than fits into a frame."""
    state = _without_large_result(state)
    rest = {key: value for key, value in state.items() if key != "result"}
    if _within(dumps(rest), MAX_STATE):
        return state
    return cast(S, {**state, **{key: _shortened(cast(JSON, value)) for key, value in rest.items()}})


def listed(state: S) -> S:
    """`state` as a list shows it: without its result."""
    if state.get("result") is None:
        return state
    return cast(S, {**state, "result": None, "result_omitted": True})


def listed_text(text: str) -> str:
    """`listed` of an `update` frame; one that is no JSON stays as it is."""
    try:
        frame: Changing = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return text if frame.get("result") is None else dumps(listed(frame))


def snapshots(
    task_id: str, epoch: str, seq: int, state: TaskState, log: Sequence[LogLine], *, recovered: bool
) -> list[str]:
    """The texts of the frames that show `state` with `log`: all but the last say that there is `more`."""
    state = _without_large_result(state)
    whole = dumps(snapshot(task_id, epoch, seq, state, list(log), recovered=recovered))
    if fits(whole):
        return [whole]
    state = fitting(state)
    room = MAX_FRAME - len(dumps(snapshot(task_id, epoch, seq, state, more=True)).encode())
    pieces: list[list[LogLine]] = [[]]
    used = 0
    for line in log:
        size = len(dumps(line).encode()) + 1
        if used + size > room and pieces[-1]:
            pieces.append([])
            used = 0
        pieces[-1].append(line)
        used += size
    return [
        dumps(
            snapshot(
                task_id, epoch, seq, state, piece, recovered=recovered or number > 0, more=number < len(pieces) - 1
            )
        )
        for number, piece in enumerate(pieces)
    ]


def _without_large_result(state: S) -> S:
    result = state.get("result")
    if isinstance(result, str | list | dict) and not _within(dumps(result), MAX_RESULT):
        return cast(S, {**state, "result": None, "result_omitted": True})
    return state


def _within(text: str, most: int) -> bool:
    # No character has more than four bytes: of nearly every text that is all there is to know.
    return 4 * len(text) <= most or len(text.encode()) <= most


def _shortened(value: JSON) -> JSON:
    """A text is cut, and what is in a list or an object is left out where it is not short either."""
    if isinstance(value, str):
        return plain_text(value, MAX_MESSAGE)
    if isinstance(value, list):
        return [] if not _within(dumps(value), MAX_MESSAGE) else value
    if isinstance(value, dict):
        return {plain_text(key, MAX_UNIT): _shortened(one) for key, one in list(value.items())[:10]}
    return value
