"""The frames that a browser sends: their shapes, and reading one. Standard library only."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Final, Literal, TypeAlias, TypedDict, cast

from .errors import FrameError
from .messages import ID_PATTERN, MAX_CLIENT_FRAME


class Pong(TypedDict):
    """The answer to a `Ping`: the newest `seq` that the viewer has applied."""

    type: Literal["pong"]
    seq: int


class Resync(TypedDict, total=False):
    """Asks for a `Snapshot`; with what the viewer holds, so that only missed log lines come."""

    type: Literal["resync"]
    task_id: str
    epoch: str
    seq: int


class Cancel(TypedDict, total=False):
    """Asks to cancel the task. `task_id` on a list socket."""

    type: Literal["cancel"]
    task_id: str


class Subscribe(TypedDict, total=False):
    """List socket only: watch these tasks, follow these feeds."""

    type: Literal["subscribe"]
    task_ids: list[str]
    feeds: list[str]


class Unsubscribe(TypedDict, total=False):
    """List socket only: watch these tasks and follow these feeds no longer."""

    type: Literal["unsubscribe"]
    task_ids: list[str]
    feeds: list[str]


ClientFrame: TypeAlias = Pong | Resync | Cancel | Subscribe | Unsubscribe

#: What a browser may send: each type with its fields and what they must be.
CLIENT_FRAMES: Final[dict[str, dict[str, type]]] = {
    "pong": {"seq": int},
    "resync": {"task_id": str, "epoch": str, "seq": int},
    "cancel": {"task_id": str},
    "subscribe": {"task_ids": list, "feeds": list},
    "unsubscribe": {"task_ids": list, "feeds": list},
}


def parse_client_frame(text: str | None) -> ClientFrame:
    """The browser's frame, with a known `type` and fields of the right kind. Raises `FrameError`."""
    if text is None:
        raise FrameError("bad_json", "Binary frames are not understood; send JSON text.")
    if len(text) > MAX_CLIENT_FRAME:
        raise FrameError("too_big", f"A frame may have {MAX_CLIENT_FRAME} characters, this one has {len(text)}.")
    try:
        frame = json.loads(text)
    except (ValueError, RecursionError):
        raise FrameError("bad_json", "The frame is not JSON.") from None
    if not isinstance(frame, dict) or not isinstance(frame.get("type"), str) or frame["type"] not in CLIENT_FRAMES:
        raise FrameError("bad_frame", f"type must be one of {', '.join(CLIENT_FRAMES)}.")
    for field, kind in CLIENT_FRAMES[frame["type"]].items():
        if field not in frame:
            continue
        if not _IS[kind](frame[field]):
            name = {int: "a whole number", str: "an id", list: "a list of ids"}[kind]
            raise FrameError("bad_frame", f"{field} must be {name}.")
    return cast(ClientFrame, frame)


def _is_id(value: object) -> bool:
    """True for a task's id, and for an epoch, which may be empty."""
    return isinstance(value, str) and (value == "" or ID_PATTERN.fullmatch(value) is not None)


_IS: Final[dict[type, Callable[[object], bool]]] = {
    int: lambda value: isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**53,
    str: _is_id,
    list: lambda value: isinstance(value, list) and all(_is_id(item) for item in value),
}
