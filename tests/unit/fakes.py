"""A record for reporters without Redis: remembers what it was told, and can be away, slow, or ask for a cancel."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Sequence
from typing import Any

from progress.sink import Reply, Told


class FakeSink:
    """A `sink.Sink` with the record's rules for lines: those that it has already are not taken again."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.finals: list[bool] = []
        self.lines: list[dict[str, Any]] = []
        self.frames: list[list[str]] = []  # the lines of each publish
        self.times: list[float] = []
        self.polls = 0
        self.asked: list[list[tuple[str, int]]] = []
        self.calls = 0  # successful or not
        #: Raised by every call while it is set, before or (`fails_late`) after the words were taken.
        self.error: BaseException | None = None
        self.fails_late = False
        self.reply = Reply()
        self.open = threading.Event()  # cleared: publish hangs
        self.open.set()
        self._held_lines = 0

    @property
    def last(self) -> dict[str, Any]:
        return self.bodies[-1]

    @property
    def currents(self) -> list[Any]:
        return [body["current"] for body in self.bodies]

    @property
    def texts(self) -> list[str]:
        return [line["text"] for line in self.lines]

    def publish(
        self, task_id: str, attempt: int, body: str | None, lines: list[str], told: Told, *, final: bool
    ) -> Reply:
        self.calls += 1
        self.open.wait(10)
        if self.error is not None and not self.fails_late:
            raise self.error
        self.times.append(time.monotonic())
        new = lines[max(self._held_lines - told.lines, 0) :]
        self.lines += [json.loads(line) for line in new]
        self._held_lines = max(self._held_lines, told.lines + len(lines))
        self.frames.append(lines)
        if body is not None:
            self.bodies.append(json.loads(body))
            self.finals.append(final)
        if self.error is not None:
            raise self.error
        return self.reply

    def poll(self, asked: Sequence[tuple[str, int]]) -> Sequence[Reply]:
        self.polls += 1
        self.asked.append(list(asked))
        if self.error is not None:
            raise self.error
        return [self.reply for _ in asked]
