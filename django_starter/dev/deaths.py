"""How a service died, and how often it may before that is a fault which starting it again does not mend."""

from __future__ import annotations

import signal
import time
from collections import deque
from collections.abc import Callable

#: So many deaths of one service within so many seconds. Somebody who kills workers to see what happens has both hands
#: full with that; a service that cannot run at all is there after the first ten seconds.
MOST, WITHIN = 5, 60.0


class Deaths:
    """Remembers when each service died."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._times: dict[str, deque[float]] = {}

    def forgive(self, name: str) -> bool:
        """Note a death. False when it was one too many."""
        times = self._times.setdefault(name, deque(maxlen=MOST))
        now = self._clock()
        if len(times) == MOST and now - times[0] < WITHIN:
            return False
        times.append(now)
        return True


def killed_by(code: int | None) -> signal.Signals | None:
    """The signal that ended it, or its child: the dev server passes on as 256 - n what its own process ended with."""
    for number in (-(code or 0), 256 - (code or 0), (code or 0) - 128):
        if number in set(signal.Signals):
            return signal.Signals(number)
    return None


def how(code: int | None) -> str:
    """How a service ended: "exit code 1", "SIGKILL"."""
    number = killed_by(code)
    return number.name if number else f"exit code {code}"
