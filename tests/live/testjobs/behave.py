"""Jobs that use Celery's own means: retries, time limits, canvas, children, no result, no run."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

from celery import chain, chord, group, shared_task

import progress

from . import tasks as basic


@shared_task(name="testjobs.add")
def add(one: int, two: int) -> int:
    return one + two


@shared_task(name="testjobs.total")
def total(values: list[int]) -> int:
    return sum(values)


@shared_task(name="testjobs.add_or_die")
def add_or_die(one: int, two: int, trace: str) -> int:
    """Kills its process in its first attempt."""
    first = not Path(trace).exists()
    basic.leave_trace(trace)
    if first:
        os.kill(os.getpid(), signal.SIGKILL)
    return one + two


@shared_task(name="testjobs.refuse")
def refuse(*_: Any) -> None:
    raise ValueError("refused")


@shared_task(name="testjobs.note")
def note(*_: Any, trace: str) -> None:
    """A link or errback: its call can be counted."""
    basic.leave_trace(trace)


@shared_task(name="testjobs.compose")
def compose(kind: str, trace: str = "") -> str:
    """Start a chain, group or chord from within a task; the id of its last result."""
    if kind == "chain":
        return str(chain(add.s(1, 2), add.s(10), add.s(100)).apply_async().id)
    if kind == "broken chain":
        return str(chain(add.s(1, 2), refuse.s(), add.s(100)).apply_async(link_error=note.s(trace=trace)).id)
    if kind == "chord":
        return str(chord([add.s(number, number) for number in range(5)])(total.s()).id)
    if kind == "chord with a death":
        parts = [add.s(number, number) for number in range(4)]
        return str(chord([*parts, add_or_die.s(4, 4, trace)])(total.s()).id)
    if kind == "broken chord":
        return str(chord([add.s(1, 1), refuse.s()])(total.s()).id)
    raise ValueError(kind)


@shared_task(name="testjobs.flaky", bind=True, max_retries=3)
def flaky(self: Any, times: int = 1, countdown: float = 1.5) -> int:
    """Asks for another attempt `times` times."""
    progress.set(1, total=2)
    if self.request.retries < times:
        raise self.retry(exc=ConnectionError("the other side is away"), countdown=countdown)
    return int(self.request.retries)


@shared_task(
    name="testjobs.auto_flaky",
    bind=True,
    autoretry_for=(ConnectionError,),
    retry_backoff=False,
    max_retries=2,
    default_retry_delay=1,
)
def auto_flaky(self: Any, times: int = 1) -> int:
    if self.request.retries < times:
        raise ConnectionError("the other side is away")
    return int(self.request.retries)


@shared_task(name="testjobs.softly_limited", soft_time_limit=1)
def softly_limited() -> None:
    time.sleep(30)


@shared_task(name="testjobs.hardly_limited", time_limit=1)
def hardly_limited() -> None:
    time.sleep(30)


@shared_task(name="testjobs.silent", ignore_result=True)
def silent() -> int:
    return 42


@shared_task(name="testjobs.untracked")
def untracked(trace: str) -> None:
    basic.leave_trace(trace)


untracked.tracked = False  # type: ignore[attr-defined]  # of our Task class, which the decorator's types do not know


@shared_task(name="testjobs.parent")
def parent(seconds: float = 30.0) -> None:
    """Starts two children and waits."""
    for _ in range(2):
        basic.nap.delay(seconds=seconds)
    for _ in progress.track(range(round(seconds / 0.05))):
        time.sleep(0.05)


@shared_task(name="testjobs.over_children")
def over_children(gate: str, count: int = 3) -> int:
    """Its bar is that of its children: one ends at once, the others when the file `gate` exists."""
    signatures = [add.s(1, 1), *(basic.hold.s(gate) for _ in range(count - 1))]
    children: Any = group(signatures).apply_async()
    progress.children(children)
    return len(children.results)


@shared_task(name="testjobs.waiting_chord")
def waiting_chord(gate: str) -> str:
    """A chord of two parts: one ends at once, the other when `gate` exists; the id of its body."""
    return str(chord([add.s(1, 1), basic.hold.s(gate)])(note_all.s()).id)


@shared_task(name="testjobs.note_all")
def note_all(values: list[Any]) -> int:
    return len(values)


@shared_task(name="testjobs.leave")
def leave() -> None:
    """sys.exit() in a task."""
    raise SystemExit(3)


@shared_task(name="testjobs.huge")
def huge(size: int) -> str:
    return "x" * size


@shared_task(name="testjobs.unspeakable")
def unspeakable() -> Any:
    return object()


@shared_task(name="testjobs.old_style", bind=True)
def old_style(self: Any) -> str:
    """Written for Celery alone."""
    for done in range(1, 6):
        self.update_state(state="PROGRESS", meta={"current": done, "total": 5})
        time.sleep(0.1)
    return "done"
