"""The task's pen: a call stores numbers in memory, a thread beside it publishes the newest ones.

Standard library only. Nothing in the caller's loop looks at a clock, takes a lock or does I/O: `set` is a store and
one look at a flag. The flag, `_attention`, is up in two cases: the flusher sleeps and wants to be woken, or a cancel
was asked for and the next call must raise.
"""

from __future__ import annotations

import contextvars
import logging
import math
import os
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from operator import length_hint
from typing import Any, Protocol, TypeVar

from .messages import FINAL_STATES, LEVELS, Changing, Level, Step, dumps

logger = logging.getLogger(__name__)
T = TypeVar("T")

#: Seconds between two publishes of one task: at most 20 a second, which is as fast as a bar can be seen to move.
FLUSH_INTERVAL = 0.05
#: Seconds after which the flusher asks whether a silent task was cancelled.
POLL_INTERVAL = 1.0
#: Seconds over which the rate is smoothed: shorter is nervous, longer hides a stall.
RATE_WINDOW = 5.0
#: Characters of a message or log line; the rest is cut off, so that a task's memory in Redis has a bound.
MAX_MESSAGE = 500
MAX_UNIT = 50
MAX_LINE = 2_000
#: Log lines that wait for a Redis that is away; then the oldest go.
MAX_PENDING_LINES = 10_000
#: Log lines in one frame.
MAX_LINES_A_FRAME = 200
#: Steps that a frame carries; of a task with more, the last ones.
MAX_STEPS = 20
#: Ended tasks whose last word waits for a Redis that is away. The database holds the truth of those dropped.
MAX_UNSENT_ENDS = 1_000


class Cancelled(BaseException):
    """The task was asked to stop. Raised by the next progress call; let it pass.

    A BaseException, as in asyncio: `except Exception` around one bad row must not swallow it.
    """


@dataclass(frozen=True, slots=True)
class Reply:
    """What the record says to a publish: was a cancel asked for, does a newer attempt hold the pen, where is `seq`?"""

    cancel_requested: bool = False
    stale: bool = False
    seq: int = 0


@dataclass(frozen=True, slots=True)
class Told:
    """What a reporter knows to be told: `lines` of its log and the `seq` of its newest frame.

    A publish whose answer was lost is made again: by `lines` the record knows which it has. By `seq` it knows that
    Redis came back with a state of before.
    """

    lines: int = 0
    seq: int = 0


class Sink(Protocol):
    """Where a reporter's words go. May raise anything: the flusher keeps the newest state and tries again."""

    def publish(
        self, task_id: str, attempt: int, body: str | None, lines: list[str], told: Told, *, final: bool
    ) -> Reply:
        """Store and send `body` (JSON of `Changing`; None: only lines) and the log `lines` (JSON objects without n).

        The first of `lines` is this attempt's line number `told.lines + 1`.
        """

    def poll(self, task_id: str, attempt: int) -> Reply:
        """The reply that a publish would give, without publishing."""


@dataclass(slots=True)
class _Scope:
    """What a step put aside when it began: the bar around it."""

    current: float | None
    total: float | None
    unit: str
    weight: float
    step: Step
    began: float
    rate: _Rate


@dataclass(slots=True)
class _Rate:
    """Units a second over the last `RATE_WINDOW` or so: what came and how long it took, both fading alike.

    In the first seconds that is the plain average, so a task with few, slow steps does not start with a wild guess.
    """

    came: float = 0.0
    took: float = 0.0
    current: float | None = None
    at: float = 0.0

    def update(self, current: float | None, now: float) -> float | None:
        if current is None or self.current is None or current < self.current:
            self.came = self.took = 0.0
            self.current, self.at = current, now
            return None
        seconds = now - self.at
        keep = math.exp(-seconds / RATE_WINDOW)
        self.came = (_number(current - self.current) or 0.0) + keep * self.came
        self.took = seconds + keep * self.took
        self.current, self.at = current, now
        return self.came / self.took if self.took > FLUSH_INTERVAL / 2 else None  # too short a time to divide by


class Reporter:
    """One attempt of one task. Made by the task engine's adapter; a task reaches it with `progress.current()`.

    Assigning `reporter.current = 5` is not seen by a sleeping flusher: use `set`.
    """

    __slots__ = (
        "_attention",
        "_cancelled",
        "_dropped",
        "_end",
        "_flusher",
        "_heard_at",
        "_lines",
        "_lock",
        "_published",
        "_rate",
        "_retry_at",
        "_scopes",
        "_sink",
        "_steps",
        "_told_lines",
        "_told_seq",
        "attempt",
        "current",
        "message",
        "stale",
        "task_id",
        "total",
        "unit",
    )

    def __init__(self, task_id: str, attempt: int, sink: Sink, flusher: Flusher | None = None) -> None:
        self.task_id = task_id
        self.attempt = attempt
        self.current: float | None = None
        self.total: float | None = None
        self.unit = ""
        self.message = ""
        #: True once the record refused this attempt because a newer one holds the pen.
        self.stale = False
        self._sink = sink
        self._flusher = flusher or get_flusher()
        self._attention = True
        self._cancelled = False
        self._lines: deque[str] = deque()
        self._dropped = 0
        self._told_lines = 0  # of this attempt's lines, those before the first of `_lines`
        self._told_seq = 0
        # Steps, log and flush only; the hot path has none. Re-entrant: a signal handler may log.
        self._lock = threading.RLock()
        self._scopes: list[_Scope] = []
        self._steps: list[Step] = []
        self._rate = _Rate()
        self._published: tuple[Any, ...] | None = None
        self._end: Changing | None = None
        self._retry_at = 0.0
        self._heard_at = 0.0

    # --- what a task calls --------------------------------------------------------------------------------------------

    def set(
        self,
        current: float | None = None,
        total: float | None = None,
        message: str | None = None,
        unit: str | None = None,
    ) -> None:
        """Say where the task stands. What is left out stays as it was. Raises `Cancelled` when the task shall stop."""
        if current is not None:
            self.current = current
        if total is not None:
            self.total = total
        if message is not None:
            self.message = message
        if unit is not None:
            self.unit = unit
        if self._attention:
            self._attend()

    def advance(self, n: float = 1) -> None:
        """Add `n` to where the task stands. Raises `Cancelled` when the task shall stop."""
        try:
            self.current = (self.current or 0) + n
        except TypeError:  # one of them is no number
            self.current = (_number(self.current) or 0) + (_number(n) or 0)
        if self._attention:
            self._attend()

    def track(
        self, iterable: Iterable[T], total: float | None = None, unit: str = "", message: str | None = None
    ) -> Iterator[T]:
        """Yield from `iterable`, counting. `total` is taken from its length where it has one."""
        if total is None:
            total = length_hint(iterable, -1)
            if total < 0:
                total = None
        self.total = total
        if unit:
            self.unit = unit
        if message is not None:
            self.message = message
        self.current = 0
        self._attend()
        for done, item in enumerate(iterable, 1):
            yield item
            self.current = done
            if self._attention:
                self._attend()

    @contextmanager
    def step(self, name: str, weight: float = 1) -> Iterator[Reporter]:
        """A named part of the task with a bar of its own. Steps nest.

        With `set(total=…)` before the first step, the total is the sum of the weights and the percentage is that of
        the whole; without it, that of the step.
        """
        weight = _number(weight) or 0.0
        step: Step = {
            "name": _text(name, MAX_MESSAGE),
            "state": "running",
            "seconds": None,
            "depth": len(self._scopes),
        }
        began = time.monotonic()
        with self._lock:
            self._scopes.append(_Scope(self.current, self.total, self.unit, weight, step, began, self._rate))
            self._steps.append(step)
            self.current = self.total = None
            self.unit = ""
            self._rate = _Rate()
        try:
            self._attend()
            yield self
        except BaseException:
            self._end_step("failed")
            raise
        self._end_step("done")
        self._attend()

    def _end_step(self, state: Any) -> None:
        with self._lock:
            scope = self._scopes.pop()
            scope.step["state"] = state
            scope.step["seconds"] = round(time.monotonic() - scope.began, 3)
            self.current, self.total, self.unit, self._rate = scope.current, scope.total, scope.unit, scope.rate
            if state == "done":
                self.current = (_number(self.current) or 0) + scope.weight

    def log(self, text: str, level: Level = "info") -> None:
        """Add a line to the task's log. `level` is debug, info, warning or error. Raises `Cancelled` like `set`."""
        self.write_line(text, level)
        if self._attention:
            self._attend()

    def write_line(self, text: str, level: str = "info") -> None:
        """`log`, but never raises: for a `logging.Handler`, whose caller does not expect an end."""
        level = level if isinstance(level, str) and level in LEVELS else "info"
        line = dumps({"ts": round(time.time(), 3), "level": level, "text": _text(text, MAX_LINE)})
        with self._lock:
            if len(self._lines) >= MAX_PENDING_LINES:
                self._lines.popleft()
                self._told_lines += 1
                self._dropped += 1
            self._lines.append(line)
        if self._attention:
            self._flusher.wake()

    # --- what the engine's adapter calls ------------------------------------------------------------------------------

    def open(self) -> Reporter:
        """Begin to tell: from now on the flusher looks here."""
        self._flusher.add(self)
        return self

    def end(self, changes: Changing) -> None:
        """The attempt's last word: `changes` (state, result or error, …) over the last numbers. Returns at once."""
        self._end = changes
        self._flusher.hurry()

    def close(self) -> None:
        """Tell no more, beyond a last word that was given."""
        if self._end is None:
            self._flusher.remove(self)

    def cancel(self) -> None:
        """Make the next progress call raise `Cancelled`."""
        self._cancelled = True
        self._attention = True

    def state(self) -> Changing:
        """The changing part of the task's public state, as it is now."""
        with self._lock:
            current, total = _number(self.current), _number(self.total)
            fraction = _fraction(current, total) if total and current is not None else None
            for scope in reversed(self._scopes):
                outer = _number(scope.total)
                if outer:
                    done = _number(scope.current) or 0.0
                    fraction = _fraction(done + scope.weight * (fraction or 0.0), outer)
            now = time.monotonic()
            rate = self._rate.update(current, now)
            eta = _number((total - current) / rate) if rate and total is not None and current is not None else None
            steps = [*self._steps[-MAX_STEPS:]]
            step = self._scopes[-1].step["name"] if self._scopes else None
            steps = [dict(one) for one in steps]  # type: ignore[misc]
        return {
            "state": "STARTED",
            "attempt": self.attempt,
            "current": current,
            "total": total,
            "percent": None if fraction is None else round(fraction * 100, 2),
            "unit": _text(self.unit, MAX_UNIT),
            "message": _text(self.message, MAX_MESSAGE),
            "step": step,
            "steps": steps,
            "rate": None if rate is None else _number(f"{rate:.4g}"),
            "eta": None if eta is None else max(round(eta, 1), 0.0),
            "waiting": None,
            "cancel_requested": self._cancelled,
            "ts": round(time.time(), 3),
        }

    # --- the flusher's side -------------------------------------------------------------------------------------------

    def _attend(self) -> None:
        """The slow path of a progress call: raise a cancel, or wake the flusher."""
        if self._cancelled:
            raise Cancelled("The task was cancelled.")
        self._flusher.wake()

    def _stands(self) -> tuple[Any, ...]:
        """What a change is measured against."""
        return (self.current, self.total, self.message, self.unit, len(self._steps), len(self._scopes), self._cancelled)

    def _changed(self) -> bool:
        return self._end is not None or bool(self._lines) or self._moved()

    def _moved(self) -> bool:
        try:
            return bool(self._stands() != self._published)
        except Exception:  # somebody reports things that cannot be compared: a NumPy array
            return True

    def _flush(self) -> None:
        """Publish what is new. Raises what the sink raises; then nothing is taken as said."""
        while len(self._lines) > MAX_LINES_A_FRAME:
            self._flush_lines()
        stands, end = self._stands(), self._end
        body: str | None = None
        if end is not None or self._moved():
            changes = self.state()
            if end is not None:
                changes.update(end)
            body = dumps(changes)
        self._say(body, final=_is_final(end))
        self._published = stands
        if end is not None:
            self._flusher.remove(self)

    def _flush_lines(self) -> None:
        self._say(None, final=False)

    def _say(self, body: str | None, *, final: bool) -> None:
        with self._lock:
            count = min(len(self._lines), MAX_LINES_A_FRAME)
            lines = [self._lines[at] for at in range(count)]
            told, dropped = self._told_lines, self._dropped
        if dropped:  # the note stands in the place of the last one that was lost
            note = {"ts": round(time.time(), 3), "level": "warning", "text": f"{dropped} log lines were lost."}
            lines.insert(0, dumps(note))
        first = Told(told - bool(dropped), self._told_seq)
        reply = self._sink.publish(self.task_id, self.attempt, body, lines, first, final=final)
        with self._lock:
            self._dropped -= dropped
            while self._lines and self._told_lines < told + count:
                self._lines.popleft()
                self._told_lines += 1
        self._told_seq = max(self._told_seq, reply.seq)
        self._hear(reply)

    def _hear(self, reply: Reply) -> None:
        self._heard_at = time.monotonic()
        if reply.stale:
            self.stale = True
            self.cancel()  # what this attempt would still do, another one does
            self._flusher.remove(self)
        if reply.cancel_requested and not self._cancelled:
            self.cancel()


def _is_final(end: Changing | None) -> bool:
    return end is not None and end.get("state") in FINAL_STATES


def _number(value: Any) -> float | None:
    """A finite number, or None: a task that says nonsense still runs, and the bar says nothing."""
    try:
        number = float(value)
    except Exception:  # no number, an int beyond every float, an object of any make
        return None
    if type(value) is int and abs(value) < 2**63:
        return value
    return number if math.isfinite(number) else None


def _fraction(current: float, total: float) -> float:
    return min(max(current / total, 0.0), 1.0)


def _text(value: Any, limit: int) -> str:
    """`value` as a text of at most `limit` characters."""
    try:
        text = str(value)
    except Exception:  # an object that cannot be written
        text = f"<{type(value).__name__}>"
    # A lone surrogate (a file name that is not UTF-8) cannot be sent as UTF-8, and NUL stands in no PostgreSQL text.
    text = text.replace("\x00", "�")
    text = text if text.isascii() else text.encode("utf-8", "replace").decode()
    return text if len(text) <= limit else text[: limit - 1] + "…"


@dataclass
class Flusher:
    """The thread that publishes for every open reporter of this process; started by the first, asleep without news.

    `interval` is the shortest time between two publishes of a task, `poll_interval` how long a task may be silent
    before the flusher asks whether it was cancelled. Both in seconds.
    """

    interval: float = FLUSH_INTERVAL
    poll_interval: float = POLL_INTERVAL
    _reporters: dict[int, Reporter] = field(default_factory=dict)
    _woken: threading.Event = field(default_factory=threading.Event)
    _hurried: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _thread: threading.Thread | None = None
    _trouble: bool = False

    def add(self, reporter: Reporter) -> None:
        """Look after `reporter` until it has ended or gone stale."""
        with self._lock:
            self._reporters[id(reporter)] = reporter
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="progress-flusher", daemon=True)
                self._thread.start()
        self.wake()

    def remove(self, reporter: Reporter) -> None:
        """Forget `reporter`."""
        with self._lock:
            self._reporters.pop(id(reporter), None)

    def wake(self) -> None:
        """There is news."""
        self._woken.set()

    def hurry(self) -> None:
        """There is a last word: it does not wait for the interval."""
        self._woken.set()
        self._hurried.set()

    def drain(self, timeout: float) -> bool:
        """Wait up to `timeout` seconds until every ended task's last word is out; True if it is."""
        until = time.monotonic() + timeout
        self.wake()
        while any(reporter._end is not None for reporter in list(self._reporters.values())):
            if time.monotonic() > until:
                return False
            time.sleep(0.005)
        return True

    def _run(self) -> None:
        while True:
            reporters = list(self._reporters.values())
            busy = [one for one in reporters if one._changed()]
            if busy:
                self._woken.clear()
                for reporter in busy:
                    reporter._attention = reporter._cancelled
                    self._attempt(reporter)
                self._ask_for_silent(reporters)
                self._pause()
                continue
            # Nothing is new: ask to be woken, then look once more, for a number that came in between.
            self._woken.clear()
            reporters = list(self._reporters.values())
            for reporter in reporters:
                reporter._attention = True
            if any(reporter._changed() for reporter in reporters):
                continue
            if not self._woken.wait(self.poll_interval if reporters else None):
                self._ask_for_silent(reporters)

    def _pause(self) -> None:
        """Until the interval is over. Whoever ends meanwhile says so at once: somebody may wait for the result."""
        until = time.monotonic() + self.interval
        while self._hurried.wait(max(until - time.monotonic(), 0.0)):
            self._hurried.clear()
            for reporter in list(self._reporters.values()):
                if reporter._end is not None:
                    self._attempt(reporter)
            if time.monotonic() > until:
                return

    def _ask_for_silent(self, reporters: list[Reporter]) -> None:
        """Ask for those that have said nothing for a while whether they were cancelled."""
        now = time.monotonic()
        for reporter in reporters:
            if now - reporter._heard_at >= self.poll_interval:
                self._attempt(reporter, poll=True)

    def _attempt(self, reporter: Reporter, *, poll: bool = False) -> None:
        """Let one reporter speak. Whatever goes wrong is said once in the log, and tried again."""
        now = time.monotonic()
        if now < reporter._retry_at:
            return
        try:
            if poll:
                reporter._hear(reporter._sink.poll(reporter.task_id, reporter.attempt))
            else:
                reporter._flush()
            if self._trouble:
                self._trouble = False
                logger.info("Progress is told again.")
        except Exception as error:
            # 0.2–0.4 s: soon enough after an outage, and no storm of all workers at one moment.
            reporter._retry_at = now + 0.2 + 0.2 * (id(reporter) % 97) / 97
            if not self._trouble:
                self._trouble = True
                logger.warning("Progress cannot be told, will try again: %s: %s", type(error).__name__, error)
            self._shed()

    def _shed(self) -> None:
        ended = [one for one in list(self._reporters.values()) if one._end is not None]
        for reporter in ended[: max(len(ended) - MAX_UNSENT_ENDS, 0)]:
            self.remove(reporter)


_flusher: Flusher | None = None


def get_flusher() -> Flusher:
    """This process's flusher."""
    global _flusher
    if _flusher is None:
        _flusher = Flusher()
    return _flusher


def _forget_flusher() -> None:
    global _flusher
    _flusher = None


if hasattr(os, "register_at_fork"):
    # A thread does not survive a fork: the child makes its own.
    os.register_at_fork(after_in_child=_forget_flusher)


_current: contextvars.ContextVar[Reporter | None] = contextvars.ContextVar("progress_reporter", default=None)


def current() -> Reporter | None:
    """The running task's reporter; None outside a task."""
    return _current.get()


def activate(reporter: Reporter | None) -> contextvars.Token[Reporter | None]:
    """Make `reporter` the running task's; the token goes to `deactivate`."""
    return _current.set(reporter)


def deactivate(token: contextvars.Token[Reporter | None]) -> None:
    """Undo `activate`."""
    _current.reset(token)
