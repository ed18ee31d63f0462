"""What a task says of itself: a call stores numbers in memory, the flusher's thread publishes the newest ones.

Standard library only. Nothing in the caller's loop looks at a clock, takes a lock or does I/O: `set` is a store and
one look at a flag. The flag, `attention`, is up in two cases: the flusher sleeps and wants to be woken, or a cancel
was asked for and the next call must raise.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Literal, TypeVar

from .errors import Cancelled
from .flusher import Flusher, get_flusher
from .messages import FINAL_STATES, LEVELS, Changing, Level, Reached, Step, dumps
from .rate import Rate
from .resumed import keep
from .sink import Book, Reply, Sink, Told
from .steps import MAX_STEPS, Scope, outside_of, share_of_whole
from .values import MAX_LINE, MAX_MESSAGE, MAX_UNIT, finite, length_of, plain_text

T = TypeVar("T")

#: Log lines that wait for a Redis that is away; then the oldest go.
MAX_PENDING_LINES = 10_000
#: Log lines in one frame.
MAX_LINES_A_FRAME = 200


class Reporter:
    """One attempt of one task. The task engine's adapter makes it; a task reaches it with `progress.current()`.

    Assigning `reporter.current = 5` is not seen by a sleeping flusher: use `set`.
    """

    __slots__ = (
        *("_cancelled", "_dropped", "_end", "_flusher", "_lines", "_lock", "_published", "_rate", "_resumed_from"),
        *("_scopes", "_shown_before", "_sink", "_steps", "_thread", "_told_lines", "_told_seq"),
        *("attempt", "attention", "book", "current", "message", "stale", "task_id", "total", "unit"),
    )

    def __init__(self, task_id: str, attempt: int, sink: Sink, flusher: Flusher | None = None) -> None:
        self.task_id = task_id
        self.attempt = attempt
        self.current: float | None = None
        self.total: float | None = None
        self.unit = ""
        self.message = ""
        #: True once the record refused this attempt because a newer one has taken over.
        self.stale = False
        self._sink = sink
        self._flusher = flusher or get_flusher()
        #: True if the next call shall `attend`.
        self.attention = True
        self._cancelled = False
        self._lines: deque[str] = deque()
        self._dropped = 0
        self._told_lines = 0  # of this attempt's lines, those before the first of `_lines`
        self._told_seq = 0
        # Steps, log and flush only; the hot path has none. Re-entrant: a signal handler may log.
        self._lock = threading.RLock()
        self._scopes: list[Scope] = []
        self._thread = threading.get_ident()
        self._steps: list[Step] = []
        self._rate = Rate()
        self._published: tuple[object, ...] | None = None
        self._end: Changing | None = None
        self._resumed_from: Reached | None = None
        self._shown_before: Reached | None = None
        self.book: Book | None = None

    # --- what a task calls --------------------------------------------------------------------------------------------

    def set(
        self,
        current: float | None = None,
        total: float | None = None,
        message: str | None = None,
        unit: str | None = None,
    ) -> None:
        """Say how far the task is. What is left out stays as it was. Raises `Cancelled` when the task shall stop."""
        if current is not None:
            self.current = current
        if total is not None:
            self.total = total
        if message is not None:  # a lazy translation becomes a text here, where its language is the active one
            self.message = message if type(message) is str else plain_text(message, MAX_MESSAGE)
        if unit is not None:
            self.unit = unit if type(unit) is str else plain_text(unit, MAX_UNIT)
        if self.attention:
            self.attend()

    def advance(self, n: float = 1) -> None:
        """Add `n` to what the task has done. Raises `Cancelled` when the task shall stop."""
        try:
            self.current = (self.current or 0) + n
        except Exception:  # one of them is no number, or none that can be added
            self.current = (finite(self.current) or 0) + (finite(n) or 0)
        if self.attention:
            self.attend()

    def track(
        self, iterable: Iterable[T], total: float | None = None, unit: str = "", message: str | None = None
    ) -> Iterator[T]:
        """Yield from `iterable`, counting. `total` is taken from its length where it has one."""
        self.total = length_of(iterable) if total is None else total
        self.unit = plain_text(unit, MAX_UNIT) or self.unit
        if message is not None:
            self.message = plain_text(message, MAX_MESSAGE)
        self.current = 0
        self.attend()
        for done, item in enumerate(iterable, 1):
            yield item
            self.current = done
            if self.attention:
                self.attend()

    @contextmanager
    def step(self, name: str, weight: float = 1) -> Iterator[Reporter]:
        """A named part of the task with a bar of its own. Steps nest.

        With `set(total=…)` before the first step, the total is the sum of the weights and the percentage is that of
        the whole; without it, that of the step.
        """
        weight = finite(weight) or 0.0
        step: Step = {
            "name": plain_text(name, MAX_MESSAGE),
            "state": "running",
            "seconds": None,
            "depth": len(self._scopes),
        }
        began = time.monotonic()
        with self._lock:
            scope = Scope(self.current, self.total, self.unit, self._rate, weight, step, began)
            self._scopes.append(scope)
            self._steps.append(step)
            self.current = self.total = None
            self.unit = ""
            self._rate = Rate()
        try:
            self.attend()
            yield self
        except BaseException:
            self._end_step(scope, "failed")
            raise
        self._end_step(scope, "done")
        if self.book is not None:
            self.book.step_ended()
        self.attend()

    def _end_step(self, scope: Scope, state: Literal["done", "failed"]) -> None:
        with self._lock:
            scope.end(state)
            at = next(at for at, one in enumerate(self._scopes) if one is scope)
            if state == "done":
                around = self._scopes[outside_of(self._scopes, at, self._thread)]
                around.current = (finite(around.current) or 0) + scope.weight
            del self._scopes[at]
            # Where threads have steps at the same time, the one that began next takes over what this one put aside.
            inner = self if at == len(self._scopes) else self._scopes[at]
            inner.current, inner.total, inner.unit = scope.current, scope.total, scope.unit
            if inner is self:
                self._rate = scope.rate
            else:
                self._scopes[at].rate = scope.rate

    def log(self, text: str, level: Level = "info") -> None:
        """Add a line to the task's log. `level` is debug, info, warning or error. Raises `Cancelled` like `set`."""
        self.write_line(text, level)
        if self.attention:
            self.attend()

    def write_line(self, text: str, level: str = "info") -> None:
        """`log`, but never raises: for a `logging.Handler`, whose caller does not expect an end."""
        level = plain_text(level, MAX_UNIT)
        level = level if level in LEVELS else "info"
        line = dumps({"ts": round(time.time(), 3), "level": level, "text": plain_text(text, MAX_LINE)})
        with self._lock:
            if len(self._lines) >= MAX_PENDING_LINES:
                self._lines.popleft()
                self._told_lines += 1
                self._dropped += 1
            self._lines.append(line)
        if self.attention:
            self._flusher.wake()

    # --- what the engine's adapter calls ------------------------------------------------------------------------------

    def open(self) -> Reporter:
        """Begin to tell: from now on the flusher looks here."""
        self._flusher.add(self)
        return self

    def resume(self, reached: Reached, shown: Reached | None = None) -> None:
        """This attempt goes on from there. The bar begins where it was `shown` last, and never runs backwards."""
        self._resumed_from = reached
        self._shown_before = shown or reached

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
        self.attention = True

    def state(self) -> Changing:
        """The changing part of the task's public state, as it is now."""
        with self._lock:
            bar = self.bar()
            current, total = bar["current"], bar["total"]
            rate = self._rate.update(current, time.monotonic())
            eta = finite((total - current) / rate) if rate and total is not None and current is not None else None
            steps = [*self._steps[-MAX_STEPS:]]
            step = self._scopes[-1].step["name"] if self._scopes else None
            steps = [dict(one) for one in steps]  # type: ignore[misc]
        state: Changing = {
            "state": "STARTED",
            "attempt": self.attempt,
            "current": current,
            "total": total,
            "percent": bar["percent"],
            "unit": bar["unit"],
            "message": plain_text(self.message, MAX_MESSAGE),
            "step": step,
            "steps": steps,
            "rate": None if rate is None else finite(f"{rate:.4g}"),
            "eta": None if eta is None else max(round(eta, 1), 0.0),
            "waiting": None,
            "cancel_requested": self._cancelled,
            "ts": round(time.time(), 3),
            "resumed_from": self._resumed_from,
            "go_on_from": None,
        }
        if self._shown_before is not None and not keep(state, self._shown_before, in_steps=bool(self._scopes)):
            self._shown_before = None
        return state

    def bar(self) -> Reached:
        """How far the task is."""
        with self._lock:
            current, total = finite(self.current), finite(self.total)
            done = share_of_whole(self._scopes, current, total)
        percent = None if done is None else round(done * 100, 2)
        return {"current": current, "total": total, "percent": percent, "unit": plain_text(self.unit, MAX_UNIT)}

    def attend(self) -> None:
        """The slow path of a progress call: raise a cancel, or wake the flusher."""
        if self._cancelled:
            raise Cancelled
        self._flusher.wake()

    # --- what the flusher calls (`flusher.Speaker`) -------------------------------------------------------------------

    @property
    def has_ended(self) -> bool:
        """True once `end` gave the last word."""
        return self._end is not None

    @property
    def has_lines(self) -> bool:
        """True while log lines are still to be published."""
        return bool(self._lines)

    def has_news(self) -> bool:
        """True if something differs from what was published last."""
        return self._end is not None or bool(self._lines) or self._has_moved()

    def wake_on_news(self, wanted: bool) -> None:
        """Whether the next call shall wake the flusher. After a cancel each call attends, to raise it."""
        self.attention = wanted or self._cancelled

    @property
    def sink(self) -> Sink:
        """Where the words go: the flusher asks it for many reporters at once."""
        return self._sink

    def _said(self) -> tuple[object, ...]:
        """What a change is measured against."""
        numbers = finite(self.current), finite(self.total)  # not what was reported: it may refuse to be compared
        return (*numbers, self.message, self.unit, len(self._steps), len(self._scopes), self._cancelled)

    def _has_moved(self) -> bool:
        return self._said() != self._published

    def publish(self) -> None:
        """Publish what is new. Raises what the sink raises; then nothing counts as published."""
        while len(self._lines) > MAX_LINES_A_FRAME:
            self._say(None, final=False)
        said, end = self._said(), self._end
        body: str | None = None
        if end is not None or self._has_moved():
            changes = self.state()
            if end is not None:
                changes.update(end)
            body = dumps(changes)
        self._say(body, final=_is_final(end))
        self._published = said
        if end is not None:
            self._flusher.remove(self)

    def _say(self, body: str | None, *, final: bool) -> None:
        with self._lock:
            count = min(len(self._lines), MAX_LINES_A_FRAME)
            lines = [self._lines[at] for at in range(count)]
            told, dropped = self._told_lines, self._dropped
        if dropped:  # the note takes the place of the last one that was lost
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
        self.hear(reply)

    def hear(self, reply: Reply) -> None:
        """Take in what the record says: was a cancel asked for, has a newer attempt taken over?"""
        if reply.stale:
            self.stale = True
            self.cancel()  # what this attempt would still do, another one does
            self._flusher.remove(self)
        if reply.cancel_requested and not self._cancelled:
            self.cancel()


def _is_final(end: Changing | None) -> bool:
    return end is not None and end.get("state") in FINAL_STATES
