"""What a task says of itself: a call stores numbers in memory, the flusher's thread publishes the newest ones.

Standard library only. Nothing in the caller's loop looks at a clock, takes a lock or does I/O: `set` is a store and
one look at a flag. The flag, `attention`, is up in two cases: the flusher sleeps and wants to be woken, or a cancel
was asked for and the next call must raise.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Literal, TypeVar, cast

from .errors import Cancelled
from .flusher import Flusher, get_flusher
from .lines import MAX_LINES_A_FRAME, Lines
from .messages import FINAL_STATES, Changing, Level, Reached, Step, dumps
from .rate import Rate
from .resumed import keep
from .silence import QUIET_AFTER, Advance
from .sink import Book, Reply, Sink, Told
from .size import fitting
from .steps import MAX_STEPS, Scope, begun, outside_of
from .values import MAX_MESSAGE, MAX_UNIT, finite, length_of, plain_text
from .where import Thread
from .whole import Known, Whole, tell_steps

T = TypeVar("T")

#: In the place of what a bar has counted, while it counts no steps.
NO_STEPS = object()


class Reporter:
    """One attempt of one task. The task engine's adapter makes it; a task reaches it with `progress.current()`.

    Assigning `reporter.current = 5` is not seen by a sleeping flusher: use `set`.
    """

    __slots__ = (
        *("_advance", "_by_steps", "_cancelled", "_checkpoints", "_end", "_flusher", "_lines", "_lock", "_published"),
        *("_rate", "_resumed_from", "_scopes", "_shown_before", "_sink", "_step_number", "_steps", "_thread"),
        *("_told_seq", "_whole", "attempt", "attention", "book", "current", "lost", "message", "missing"),
        *("quiet_after", "stale", "task_id", "total", "tries", "unit", "where"),
    )

    def __init__(
        self, task_id: str, attempt: int, sink: Sink, flusher: Flusher | None = None, *, tries: int = 1, lost: int = 0
    ) -> None:
        self.task_id, self.attempt, self.tries, self.lost = task_id, attempt, tries, lost
        self.current: float | None = None
        self.total: float | None = None
        self.unit = ""
        self.message = ""
        #: How much was left out, because the task could not do it: see `progress.missing`.
        self.missing = 0
        #: True once the record refused this attempt because a newer one has taken over.
        self.stale = False
        #: Seconds of silence that viewers are told of; None: of none.
        self.quiet_after: float | None = QUIET_AFTER
        self.where = Thread()
        self._advance, self._checkpoints = Advance(), 0
        self._sink, self._flusher = sink, flusher or get_flusher()
        #: True if the next call shall `attend`.
        self.attention = True
        self._cancelled = False
        self._lines, self._told_seq = Lines(), 0
        # Steps and flush only; the hot path has none. Re-entrant: a signal handler may look.
        self._lock = threading.RLock()
        self._scopes: list[Scope] = []
        self._thread = threading.get_ident()
        self._steps: list[Step] = []
        self._step_number = 0  # steps that have begun in the outermost bar
        self._by_steps: object = NO_STEPS  # what they left in `current`, while the task counts nothing else
        self._whole, self._rate = Whole(), Rate()
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

        With `set(total=…)` before the first step, the total is the sum of the weights, and the percentage is that of
        the whole; without it nobody can know how far the whole is, and each step shows its own.
        """
        weight = finite(weight) or 0.0
        step = begun(name, len(self._scopes))
        began = time.monotonic()
        with self._lock:
            done = self._look()
            if not self._scopes:
                self._whole.begin_step(done, finite(self.total), by_steps=self._counts_steps())
            scope = Scope(self.current, self.total, self.unit, self._rate, weight, step, began)
            self._scopes.append(scope)
            self._steps.append(step)
            self._step_number += not outside_of(self._scopes, len(self._scopes) - 1, self._thread)
            self.current = self.total = None
            self.unit = ""
            self._rate, self._by_steps = Rate(), NO_STEPS
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
            self._look()
            scope.end(state)
            at = next(at for at, one in enumerate(self._scopes) if one is scope)
            if state == "done":
                around = self._scopes[outside_of(self._scopes, at, self._thread)]
                around.current = float(finite(around.current) or 0) + scope.weight
            del self._scopes[at]
            # Where threads have steps at the same time, the one that began next takes over what this one put aside.
            inner = self if at == len(self._scopes) else self._scopes[at]
            inner.current, inner.total, inner.unit = scope.current, scope.total, scope.unit
            if inner is self:
                self._rate, self._by_steps = scope.rate, self.current
            else:
                self._scopes[at].rate = scope.rate

    def log(self, text: str, level: Level = "info") -> None:
        """Add a line to the task's log. `level` is debug, info, warning or error. Raises `Cancelled` like `set`."""
        self.write_line(text, level)
        if self.attention:
            self.attend()

    def write_line(self, text: str, level: str = "info") -> None:
        """`log`, but never raises: for a `logging.Handler`, whose caller does not expect an end."""
        self._lines.add(text, level)
        if self.attention:
            self._flusher.wake()

    # --- what the engine's adapter calls ------------------------------------------------------------------------------

    def open(self) -> Reporter:
        """Begin to tell: from now on the flusher looks here."""
        self._advance.look(self._told())
        self._flusher.add(self)
        return self

    def resume(self, reached: Reached, shown: Reached | None = None) -> None:
        """This attempt goes on from there. The bar begins where it was `shown` last, and never runs backwards."""
        self._resumed_from = reached
        self._shown_before = shown or reached

    def advanced(self) -> None:
        """A checkpoint has moved on."""
        self._checkpoints += 1
        if self.attention:
            self._flusher.wake()

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
            bar, in_steps, known = self._measure()
            rate = self._rate.update(bar["current"], now := time.monotonic())
            eta = self._whole.seconds_left(known.whole, now) if in_steps else known.time_left(bar, rate)
            steps = [Step(**one) for one in self._steps[-MAX_STEPS:]]
            step = self._scopes[-1].step["name"] if self._scopes else None
        counts = {"attempt": self.attempt, "tries": self.tries, "lost": self.lost}
        state = cast(Changing, {"state": "STARTED", **counts, **bar})
        state["message"], state["missing"] = plain_text(self.message, MAX_MESSAGE), self.missing
        state["step"], state["step_number"], state["steps"] = step, self._step_number, steps
        state["rate"] = None if rate is None else finite(f"{rate:.4g}")
        state["eta"] = None if eta is None else max(round(eta, 1), 0.0)
        state["waiting"], state["cancel_requested"], state["ts"] = None, self._cancelled, round(time.time(), 3)
        state["resumed_from"], state["go_on_from"] = self._resumed_from, None
        state["advanced_at"], state["quiet_after"] = self._advance.at, self.quiet_after
        if self._shown_before is not None and not keep(state, self._shown_before, in_steps=in_steps):
            self._shown_before = None
        return state

    def _counts_steps(self) -> bool:
        """True while what the bar has counted is what its steps left there."""
        return self._by_steps is not NO_STEPS and self.current is self._by_steps

    def _look(self) -> float | None:
        return tell_steps(self._scopes, finite(self.current), finite(self.total), self._thread)

    def _measure(self) -> tuple[Reached, bool, Known]:
        """The bar, whether steps make it up, and what is known of the whole. The caller holds the lock."""
        done, counts_steps = self._look(), self._counts_steps()  # a sum of weights is no work
        in_steps = bool(counts_steps or self._scopes)
        outer = self._scopes[0] if self._scopes else self
        whole = self._whole.look(done, finite(outer.total), by_steps=in_steps)
        current, total = (None, None) if counts_steps else (finite(self.current), finite(self.total))
        percent = None if whole is None else round(whole * 100, 2)
        unit = "" if counts_steps else plain_text(self.unit, MAX_UNIT)
        return {"current": current, "total": total, "percent": percent, "unit": unit}, in_steps, Known(whole, done)

    def bar(self) -> Reached:
        """How far the task is."""
        with self._lock:
            return self._measure()[0]

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
        return self._end is not None or bool(self._lines) or self._has_moved() or self._advance.is_due(self._told())

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
        steps = len(self._steps), len(self._scopes)
        return (*numbers, self.message, self.unit, *steps, self.missing, self._cancelled)

    def _told(self) -> tuple[object, ...]:
        """What an advance is measured against: what the task itself has told."""
        return (*self._said()[:-1], self._lines.said, self._checkpoints)

    def _has_moved(self) -> bool:
        return self._said() != self._published

    def publish(self) -> None:
        """Publish what is new. Raises what the sink raises; then nothing counts as published."""
        self._advance.look(self._told())
        while len(self._lines) > MAX_LINES_A_FRAME:
            self._say(None, final=False)
        said, end = self._said(), self._end
        body: str | None = None
        if end is not None or self._has_moved() or self._advance.is_due(self._told()):
            changes = self.state()
            if end is not None:
                changes.update(end)
                changes = fitting(changes)
            body = dumps(changes)
        self._say(body, final=end is not None and end.get("state") in FINAL_STATES)
        self._published = said
        if body is not None:
            self._advance.shown()
        if end is not None:
            self._flusher.remove(self)

    def _say(self, body: str | None, *, final: bool) -> None:
        lines, before, dropped = self._lines.next_frame()
        first = Told(before, self._told_seq)
        reply = self._sink.publish(self.task_id, self.attempt, body, lines, first, final=final)
        self._lines.were_told(lines, before, dropped)
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
        if reply.asked is not None:
            self.where.tell(reply.asked)
