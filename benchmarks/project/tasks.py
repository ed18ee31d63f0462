"""What runs in the real worker while it is measured."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from celery import shared_task

import progress


def stamp() -> str:
    """A message that says when it was given to `progress.set`; when it was published the frame itself says."""
    return f"{time.time():.6f} 0"


@shared_task(name="benchmarks.speak")
def speak(gate: str, seconds: float, rate: float, log: int = 0, timeout: float = 120.0) -> int:
    """Once the file `gate` exists, and as long as it does, call `progress.set` `rate` times a second.

    `log`: characters of the log line that goes with each call.
    """
    count = round(seconds * rate)
    progress.set(0, total=count, message="waiting")
    until = time.monotonic() + timeout
    while not Path(gate).exists() and time.monotonic() < until:
        time.sleep(0.01)
    began = time.monotonic()
    for number in range(1, count + 1):
        if not Path(gate).exists():
            break
        progress.set(number, message=stamp())  # type: ignore[arg-type]  # whatever has a str()
        if log:
            progress.log("x" * log)
        time.sleep(max(began + number / rate - time.monotonic(), 0))
    return count


@shared_task(name="benchmarks.million")
def million(steps: int = 1_000_000, work: int = 150) -> dict[str, float]:
    """Track a million steps of a few microseconds each."""
    began = time.time()
    for _ in progress.track(range(steps), total=steps):
        sum(range(work))
    return {"steps": steps, "began": began, "ended": time.time()}


@shared_task(name="benchmarks.calls")
def calls(rounds: int = 9, count: int = 300_000) -> dict[str, list[float]]:
    """Nanoseconds a call, ours and tqdm's in turn; what the empty loop costs is taken off."""
    from tqdm import tqdm

    reporter: Any = progress.current()
    with open("/dev/null", "w") as null:

        def empty() -> None:
            for _ in range(count):
                pass

        def track() -> None:
            for _ in progress.track(range(count), total=count):
                pass

        def tqdm_track() -> None:
            for _ in tqdm(range(count), total=count, file=null):
                pass

        def reporter_set() -> None:
            set_ = reporter.set
            for number in range(count):
                set_(number)

        def module_set() -> None:
            for number in range(count):
                progress.set(number)

        def tqdm_update() -> None:
            with tqdm(total=count, file=null) as bar:
                update = bar.update
                for _ in range(count):
                    update()

        loops: list[Callable[[], None]] = [track, tqdm_track, reporter_set, module_set, tqdm_update]
        figures: dict[str, list[float]] = {loop.__name__: [] for loop in loops}
        for _ in range(rounds):
            nothing = _nanoseconds(empty, count)
            for loop in loops:
                figures[loop.__name__].append(_nanoseconds(loop, count) - nothing)
    return figures


def _nanoseconds(loop: Callable[[], None], count: int) -> float:
    began = time.perf_counter_ns()
    loop()
    return (time.perf_counter_ns() - began) / count


@shared_task(name="benchmarks.nothing")
def nothing(number: int) -> int:
    """A task that says nothing."""
    return number
