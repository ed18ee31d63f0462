"""A question that may hang, asked in a thread of its own, so that nobody is held up by it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class Look:
    """Whether something answers, as of the last look. `question` never raises; it is asked every `every` seconds at
    most, and only while somebody wants to know. The first to ask waits for up to `patience` seconds."""

    def __init__(self, name: str, question: Callable[[], bool], *, every: float, patience: float) -> None:
        self._name = name
        self._question = question
        self._every = every
        self._patience = patience
        self._lock = threading.Lock()
        self._answer = False
        self._thread: threading.Thread | None = None
        self._looked_at = float("-inf")

    def answer(self) -> bool:
        """The last answer; False before there was one."""
        with self._lock:
            if self._thread is not None and self._thread.is_alive():
                return self._answer and time.monotonic() - self._looked_at < self._every + self._patience
            if time.monotonic() - self._looked_at < self._every:
                return self._answer
            first = self._thread is None
            self._looked_at = time.monotonic()
            self._thread = threading.Thread(target=self._look, name=self._name, daemon=True)
            self._thread.start()
        if first:
            self._thread.join(self._patience)
        return self._answer

    def _look(self) -> None:
        self._answer = self._question()
