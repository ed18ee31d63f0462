"""The steps of a task, which nest. Standard library only."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from .messages import Step
from .rate import Rate
from .values import MAX_MESSAGE, plain_text

#: Steps that a frame carries; of a task with more, the last ones.
MAX_STEPS = 20


def begun(name: object, depth: int) -> Step:
    """A step that begins now."""
    return {
        "name": plain_text(name, MAX_MESSAGE),
        "state": "running",
        "seconds": None,
        "depth": depth,
        "percent": None,
        "began": round(time.time(), 3),
    }


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

    def tell(self, done: float | None) -> None:
        """Write into the step how much of it is done, from 0 to 1. That never falls either."""
        if done is not None:
            self.step["percent"] = max(round(done * 100, 2), self.step["percent"] or 0.0)

    def end(self, state: Literal["done", "failed"]) -> None:
        """Write into the step how it ended, and after how long."""
        self.step["state"] = state
        if state == "done":
            self.step["percent"] = 100.0
        self.step["seconds"] = round(time.monotonic() - self.began, 3)


def outside_of(scopes: Sequence[Scope], at: int, main: int) -> int:
    """The place in `scopes` of what was put aside of the bar around step `at`, to which its weight is added.

    It is its own place, but where threads have steps at the same time: the steps of other threads than the task's own,
    `main`, are not around it.
    """
    while at and scopes[at - 1].thread not in (scopes[at].thread, main):
        at -= 1
    return at
