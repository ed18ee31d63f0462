"""How fast a task gets on. Standard library only."""

from __future__ import annotations

import math
from dataclasses import dataclass

from .values import finite

#: Seconds over which the rate is smoothed: shorter is nervous, longer hides a stall.
WINDOW = 5.0
#: Seconds that are too short a time to divide by: half of what lies between two publishes.
SHORTEST = 0.025


@dataclass(slots=True)
class Rate:
    """Units a second over the last `window` seconds or so: what came and how long it took, both fading alike.

    In the first seconds that is the plain average, so a task with few, slow steps does not start with a wild guess.
    """

    came: float = 0.0
    took: float = 0.0
    current: float | None = None
    at: float = 0.0
    window: float = WINDOW

    def update(self, current: float | None, now: float) -> float | None:
        """The rate now that `current` is reached at `now` (monotonic); None while it cannot be told."""
        if current is None or self.current is None or current < self.current:
            self.came = self.took = 0.0
            self.current, self.at = current, now
            return None
        seconds = now - self.at
        keep = math.exp(-seconds / self.window)
        self.came = (finite(current - self.current) or 0.0) + keep * self.came
        self.took = seconds + keep * self.took
        self.current, self.at = current, now
        return self.came / self.took if self.took > SHORTEST else None
