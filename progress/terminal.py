"""A bar in the terminal: for scripts outside any task, and for `python -m progress.watch`. Standard library only."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TextIO, TypeVar

from .active import activate, deactivate
from .flusher import FLUSH_INTERVAL, Flusher
from .messages import Changing
from .reporter import Reporter
from .sink import Reply, Told
from .values import length_of

T = TypeVar("T")
WIDTH = 30
#: Seconds that the end of the block waits for log lines that are not written yet.
LAST_LINES = 1.0


def track_in_terminal(
    iterable: Iterable[T], total: float | None, unit: str, message: str | None, stream: TextIO | None = None
) -> Iterator[T]:
    """Yield from `iterable`; draw a bar on standard error while that is a terminal."""
    stream = stream or sys.stderr
    if not stream.isatty():
        yield from iterable
        return
    with in_terminal(stream) as reporter:
        if total is None:
            total = length_of(iterable)
        yield from reporter.track(iterable, total, unit, message)


@contextmanager
def in_terminal(stream: TextIO | None = None) -> Iterator[Reporter]:
    """What the block says with `progress` is drawn on `stream`; on standard error when it is left out.

    Where that is no terminal, only the log's lines are written.
    """
    stream = stream or sys.stderr
    flusher = Flusher(interval=max(FLUSH_INTERVAL, 0.1))
    reporter = Reporter("", 0, TerminalSink(stream), flusher).open()
    token = activate(reporter)
    try:
        yield reporter
    finally:
        until = time.monotonic() + LAST_LINES
        while reporter.has_lines and time.monotonic() < until:
            flusher.wake()
            time.sleep(0.01)
        flusher.remove(reporter)
        deactivate(token)
        if stream.isatty():
            stream.write("\r\x1b[K" + line(reporter.state()) + "\n")
        stream.flush()


class TerminalSink:
    """A `sink.Sink` that repaints one line; where there is no terminal, it only writes the log's lines."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._begin = "\r\x1b[K" if stream.isatty() else ""

    def publish(
        self, task_id: str, attempt: int, body: str | None, lines: list[str], told: Told, *, final: bool
    ) -> Reply:
        import json

        for text in lines:
            self._stream.write(self._begin + json.loads(text)["text"] + "\n")
        if body is not None and self._begin:
            self._stream.write(self._begin + line(json.loads(body)))
        self._stream.flush()
        return Reply()

    def poll(self, asked: Sequence[tuple[str, int]]) -> Sequence[Reply]:
        return [Reply() for _ in asked]


def line(state: Changing) -> str:
    """`state` as one line of text: bar, percentage, numbers, rate, time left, message."""
    percent, current, total = state.get("percent"), state.get("current"), state.get("total")
    unit = state.get("unit") or ""
    parts = []
    if percent is not None:
        full = int(WIDTH * percent / 100)
        parts.append(f"[{'█' * full}{'·' * (WIDTH - full)}] {percent:5.1f} %")
    elif state.get("state") == "STARTED" and state.get("step_number"):
        parts.append(f"step {state['step_number']}")
    elif state.get("state") == "STARTED":
        at = int(time.monotonic() * 10) % WIDTH
        parts.append(f"[{'·' * at}█{'·' * (WIDTH - at - 1)}]")
    if current is not None:
        parts.append(amount(current, unit) + (f" of {amount(total, unit)}" if total is not None else ""))
    if state.get("rate"):
        parts.append(f"{amount(state['rate'] or 0, unit)}/s")
    if state.get("eta"):
        parts.append(f"{_duration(state['eta'] or 0)} left")
    if state.get("step"):
        parts.append(str(state["step"]))
    if state.get("message"):
        parts.append(str(state["message"]))
    return "  ".join(parts)


def amount(number: float, unit: str) -> str:
    """`number` with its unit; bytes as kB and MB of a thousand, as SI has it."""
    if unit == "bytes":
        for size, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
            if abs(number) >= size:
                return f"{number / size:.1f} {name}"
        return f"{number:.0f} B"
    text = f"{number:,.0f}" if float(number).is_integer() or abs(number) >= 100 else f"{number:.3g}"
    return f"{text} {unit}".strip()


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02} min"
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"
