"""The steps of a task, which nest. Standard library only."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from .messages import Step
from .rate import Rate
from .values import finite, share

#: Steps that a frame carries; of a task with more, the last ones.
MAX_STEPS = 20


@dataclass(slots=True)
class Scope:
    """What a step put aside when it began: the bar around it."""

    current: float | None
    total: float | None
    unit: str
    rate: Rate
    weight: float
    step: Step
    began: float
    thread: int = field(default_factory=threading.get_ident)

    def end(self, state: Literal["done", "failed"]) -> None:
        """Write into the step how it ended, and after how long."""
        self.step["state"] = state
        self.step["seconds"] = round(time.monotonic() - self.began, 3)


def outside_of(scopes: Sequence[Scope], at: int, main: int) -> int:
    """The place in `scopes` of what was put aside of the bar around step `at`, to which its weight is added.

    It is its own place, but where threads have steps at the same time: the steps of other threads than the task's own,
    `main`, are not around it.
    """
    while at and scopes[at - 1].thread not in (scopes[at].thread, main):
        at -= 1
    return at


def share_of_whole(scopes: Sequence[Scope], current: float | None, total: float | None) -> float | None:
    """How much of the whole task is done, from 0 to 1, where its innermost step has done `current` of `total`."""
    done = share(current, total) if total and current is not None else None
    for scope in reversed(scopes):
        outer = finite(scope.total)
        if outer:
            done = share((finite(scope.current) or 0.0) + scope.weight * (done or 0.0), outer)
    return done
