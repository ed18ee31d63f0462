"""How far the whole of a task is, with all its steps, and how long it still takes. Standard library only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from .messages import Reached
from .rate import Rate
from .steps import Scope, outside_of
from .values import finite, share

#: Seconds over which the pace of a whole with steps is smoothed: its steps are of different kinds.
WHOLE_WINDOW = 60.0
#: This much of a whole with steps must have been done before its time left can be guessed.
ENOUGH = 0.05


def shares(scopes: Sequence[Scope], current: float | None, total: float | None, main: int) -> list[float | None]:
    """How much is done, from 0 to 1, of the whole and of each step in `scopes` that runs; None where nobody can know.

    `current` and `total` are those of the innermost bar, `main` is the task's own thread. A step counts with its weight
    in the bar around it, if that one has a total; without, it says nothing of what is around it.
    """
    bars = [(finite(one.current), finite(one.total)) for one in scopes] + [(current, total)]
    inside = [0.0] * len(bars)
    found: list[float | None] = [None] * len(bars)
    for at in range(len(scopes), -1, -1):
        done, of = bars[at]
        if of and (done is not None or at < len(scopes)):
            found[at] = share((done or 0.0) + inside[at], of)
        if at:
            inside[outside_of(scopes, at - 1, main)] += scopes[at - 1].weight * (found[at] or 0.0)
    return found


def tell_steps(scopes: Sequence[Scope], current: float | None, total: float | None, main: int) -> float | None:
    """How much is done of the outermost bar; each step hears how much of itself."""
    whole, *parts = shares(scopes, current, total, main)
    for scope, done in zip(scopes, parts, strict=True):
        scope.tell(done)
    return whole


class Known(NamedTuple):
    """Shares of the whole, 0 to 1: the most that was shown, and what is done now; None where nobody knows."""

    whole: float | None
    done: float | None

    def time_left(self, bar: Reached, rate: float | None) -> float | None:
        """Seconds at `rate` units a second; None of a bar that waits or is not the whole: nobody knows."""
        current, total = bar["current"], bar["total"]
        if not rate or total is None or current is None or (self.whole != self.done and total):
            return None
        return finite((total - current) / rate)


@dataclass(slots=True)
class Whole:
    """What one attempt has told of its whole: from its first step on, a percentage that never falls.

    A bar that falls back stands still until it has caught up. One that was full, and then goes on, was not that of the
    whole: nobody can know how far that is. Without any step the bar is the whole, and may become longer.
    """

    told: float | None = None
    has_steps: bool = False
    is_open: bool = False
    _spent: float | None = None  # the total of a bar that was full before its first step
    _pace: Rate = field(default_factory=lambda: Rate(window=WHOLE_WINDOW))
    _first: float | None = None

    def begin_step(self, done: float | None, total: float | None, *, by_steps: bool) -> None:
        """A step begins in the outermost bar, of whose `total` this much is `done`; `by_steps`: by steps before."""
        self.has_steps = True
        if done == 1.0 and not by_steps:
            self._spent = total

    def look(self, done: float | None, total: float | None, *, by_steps: bool) -> float | None:
        """The share to tell, now that the outermost bar says `done`. `by_steps`: it counts steps."""
        if not self.has_steps:
            self.told = done
            return done
        if total is not None and total == self._spent:
            return None
        falls = self.told is not None and (done is None or done < self.told)
        if falls and not by_steps and (done is None or self.told == 1.0):
            self.is_open = True
        if done is not None and not falls:
            self.told = done
        return None if self.is_open else self.told

    def seconds_left(self, done: float | None, now: float) -> float | None:
        """Of a whole with steps of which `done` is told, at the pace so far; None while it is too early to say."""
        pace = self._pace.update(done, now)
        if done is None:
            return None
        self._first = done if self._first is None else self._first
        if not pace or done >= 1.0 or done - self._first < ENOUGH:
            return None
        return finite((1.0 - done) / pace)
