"""Every frame on the wire of `/ws/progress/…`. `view_state.py` says how a viewer applies them.

Standard library only. `docs/PROTOCOL.md` describes these shapes for people who write a client in another
language; a test compares the two.

A frame is one JSON object in one text frame. Server to browser: `Snapshot`, `Update`, `Log`, `Feed`, `Ping`, `Error`.
Browser to server: `Pong`, `Resync`, `Cancel`, `Subscribe`, `Unsubscribe`.
"""

from __future__ import annotations

import json
import re
from typing import Final, Literal, TypeAlias, TypedDict, cast, get_args

from .types import JSON
from .values import plain_json, utf8

#: The protocol's version, `v` in every frame.
VERSION: Final = 1

State = Literal["PENDING", "STARTED", "RETRY", "SUCCESS", "FAILURE", "REVOKED"]
Level = Literal["debug", "info", "warning", "error"]
LEVELS: Final = frozenset(get_args(Level))

#: Celery's ready states: what is recorded is the end.
FINAL_STATES: Final = frozenset({"SUCCESS", "FAILURE", "REVOKED"})

#: A browser's frame may have this many bytes; a longer one is refused.
MAX_CLIENT_FRAME: Final = 4096

#: What a task's id may look like: it travels in Redis keys, channel names and addresses.
ID_PATTERN: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
#: Where the list socket is, on a site at the root of its host.
SOCKETS: Final = "/ws/progress/"
#: What an error `not_found` says.
NOT_FOUND: Final = "Unknown task, or not yours."


class CloseCode:
    """Why the server closes a socket. 4000–4399: come back. 1000 and 4400–4999: stay away."""

    FINISHED: Final = 1000  # the final frame was sent
    SHUTTING_DOWN: Final = 4001
    UNAVAILABLE: Final = 4003  # the database did not answer, or the web server refused a frame
    TOO_SLOW: Final = 4008  # sent, but not read: the acknowledged `seq` stays behind
    NO_PONG: Final = 4012
    BAD_FRAMES: Final = 4400  # five frames that were refused, or more than may wait
    NOT_FOUND: Final = 4404  # unknown, or not yours (any more): one answer to all
    TOO_MANY: Final = 4429  # more sockets than one viewer may have


class Step(TypedDict):
    """One `progress.step(...)`: `depth` counts from 0, `seconds` is null while it runs, `percent` is its own."""

    name: str
    state: Literal["running", "done", "failed"]
    seconds: float | None
    depth: int
    percent: float | None


class Waiting(TypedDict, total=False):
    """Why a task waits, and the sentence that says what to do. `cancel`: it runs on, and cannot be ended by force."""

    reason: Literal["queued", "no_worker", "broker_down", "retry", "cancel"]
    hint: str
    position: int | None
    next_retry_at: str | None


class TaskError(TypedDict):
    """What went wrong: the exception's class name and its text. Never a traceback."""

    type: str
    message: str


class Parts(TypedDict):
    """The states of the tasks that a task is made of: the parts of a group, and what it has started."""

    total: int
    done: int
    failed: int
    cancelled: int
    running: int
    waiting: int


class Reached(TypedDict):
    """How far a checkpoint is, as the bar showed it when it was stored."""

    current: float | None
    total: float | None
    percent: float | None
    unit: str


class AttemptState(TypedDict):
    """An attempt that did not end its task itself: how it was left, and how far it was.

    `how`: lost, hung, retried, given_back, replaced or killed. `code`: how its process ended, an exit code or minus a
    signal, where that is known.
    """

    number: int
    how: str
    began_at: str | None
    ended_at: str | None
    error: TaskError | None
    code: int | None
    resumed_from: Reached | None
    reached: Reached | None
    message: str


class Changing(TypedDict, total=False):
    """The part of a task's public state that changes while it runs; an `update` carries all of it.

    `percent` is that of the whole, 0–100, and never falls within an attempt; null where nobody can know it. `rate` is
    units a second; `eta` seconds until the whole is done; `ts` seconds since 1970. `tries` counts what the task itself
    began (its retries and one), `lost` the workers that died in it, `attempt` both. `missing`: how much was left out.
    Only a final one has `result` or `error`. `result_omitted` true: there is one, but not here; the snapshot over HTTP
    has it. `resumed_from`: where this attempt went on; `go_on_from`: where a run that ended badly can go on.
    `advanced_at`: when the task itself last told something new; `quiet_after` seconds later, people are told so.
    """

    state: State
    attempt: int
    tries: int
    lost: int
    current: float | None
    total: float | None
    percent: float | None
    unit: str
    message: str
    step: str | None
    step_number: int
    steps: list[Step]
    missing: int
    rate: float | None
    eta: float | None
    waiting: Waiting | None
    cancel_requested: bool
    ts: float
    result: JSON
    result_omitted: bool
    error: TaskError | None
    resumed_from: Reached | None
    go_on_from: Reached | None
    advanced_at: str | None
    quiet_after: float | None


class TaskState(Changing, total=False):
    """The whole public state of a task: what never changes, its times (ISO 8601, UTC, or null), and `Changing`."""

    id: str
    name: str
    max_attempts: int
    max_tries: int | None
    queue: str
    args_text: str
    parent_id: str | None
    parts: Parts | None
    attempts: list[AttemptState]
    retry_of: str | None
    accepted_at: str | None
    sent_at: str | None
    started_at: str | None
    finished_at: str | None
    next_retry_at: str | None


class LogLine(TypedDict):
    """One line of a task's log; `n` counts from 1 and never repeats within an epoch."""

    n: int
    ts: float
    level: Level
    text: str


class Snapshot(TypedDict):
    """First frame of every connection, and the repair of everything that was missed.

    `recovered` true: `log` carries only the lines after the `seq` that the viewer named (or none). `more` true: the
    rest of the log follows in further snapshots of the same `seq`.
    """

    v: int
    type: Literal["snapshot"]
    task_id: str
    epoch: str
    seq: int
    recovered: bool
    more: bool
    task: TaskState
    log: list[LogLine]


class Update(Changing):
    """The state changed. Carries the whole changing part, so a skipped one does no harm."""

    v: int
    type: Literal["update"]
    task_id: str
    epoch: str
    seq: int


class Log(TypedDict):
    """New log lines, in order."""

    v: int
    type: Literal["log"]
    task_id: str
    epoch: str
    seq: int
    lines: list[LogLine]


class Feed(TypedDict):
    """List socket only: what a feed says; again when it says something else. `data` is the project's own."""

    v: int
    type: Literal["feed"]
    feed: str
    data: JSON


class Ping(TypedDict):
    """Answer it with a `Pong` that carries the `seq` you hold. `epoch` is empty on a list socket."""

    v: int
    type: Literal["ping"]
    epoch: str
    seq: int


class Error(TypedDict, total=False):
    """A frame that the server refuses, and why. `task_id` where it is about one task of a list socket."""

    v: int
    type: Literal["error"]
    code: Literal["bad_json", "bad_frame", "too_big", "not_found", "not_allowed", "too_many"]
    message: str
    task_id: str


ServerFrame: TypeAlias = Snapshot | Update | Log | Feed | Ping | Error


def dumps(value: object) -> str:
    """Compact JSON text, with characters outside ASCII as they are. What is no JSON, and no UTF-8, is replaced."""
    try:
        text = _dumps(value)
    except Exception:  # NaN, a key that is no text, an object that cannot be written, a circle
        text = _dumps(plain_json(value))
    return utf8(text)


def _dumps(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False, default=str)


def snapshot(
    task_id: str,
    epoch: str,
    seq: int,
    task: TaskState,
    log: list[LogLine] | None = None,
    *,
    recovered: bool = False,
    more: bool = False,
) -> Snapshot:
    """A `Snapshot` of `task` as it is after frame `seq` of `epoch`."""
    return {
        "v": VERSION,
        "type": "snapshot",
        "task_id": task_id,
        "epoch": epoch,
        "seq": seq,
        "recovered": recovered,
        "more": more,
        "task": task,
        "log": log or [],
    }


def feed(name: str, data: JSON) -> Feed:
    """A `Feed` frame."""
    return {"v": VERSION, "type": "feed", "feed": name, "data": data}


def ping(epoch: str, seq: int) -> Ping:
    """A `Ping` that names what was sent last."""
    return {"v": VERSION, "type": "ping", "epoch": epoch, "seq": seq}


def error(code: str, message: str, task_id: str | None = None) -> Error:
    """An `Error` frame."""
    frame = cast(Error, {"v": VERSION, "type": "error", "code": code, "message": message})
    if task_id is not None:
        frame["task_id"] = task_id
    return frame
