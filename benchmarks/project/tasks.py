"""What runs in the real worker while it is measured."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from celery import shared_task

import progress
from tasks.resume import checkpoint, resumable


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


@shared_task(name="benchmarks.items")
def items(path: str, count: int, delay: float = 0.001) -> int:
    """Do `count` items of `delay` seconds each, and append the time of each to a file."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for _ in resumable(range(count)):
        time.sleep(delay)
        os.write(descriptor, f"{time.time():.6f}\n".encode())
    return count


@shared_task(name="benchmarks.saves")
def saves(seconds: float = 10.0, rate: int = 50_000) -> int:
    """Save as often as that; returns how often it was."""
    began = time.monotonic()
    done = 0
    while (spent := time.monotonic() - began) < seconds:
        for _ in range(round(rate * spent) - done):
            done += 1
            checkpoint.save(done)
        time.sleep(0.001)
    return done


@shared_task(name="benchmarks.checkpoints")
def checkpoints(rounds: int = 200, count: int = 5_000) -> dict[str, list[float]]:
    """Nanoseconds a save of some values, and an iteration of three loops; the empty loop's cost is in none of them."""
    found: dict[str, list[float]] = {}

    def save(value: object) -> Callable[[], None]:
        def work() -> None:
            for _ in range(count):
                checkpoint.save(value)

        return work

    def loop(make: Callable[[], Iterable[int]]) -> Callable[[], None]:
        def work() -> None:
            for _ in make():
                pass

        return work

    numbers = range(count)
    work = {
        "save_int": save(5),
        "save_text": save("order 5"),
        "save_dict": save({"page": 5, "after": "x"}),
        "bare": loop(lambda: numbers),
        "track": loop(lambda: progress.track(numbers)),
        "resumable": loop(lambda: resumable(numbers, name=f"loop {len(found.get('resumable', ()))}")),
    }
    for _ in range(rounds):
        empty = _nanoseconds(work["bare"], count)
        for name, one in work.items():
            found.setdefault(name, []).append(empty if name == "bare" else _nanoseconds(one, count) - empty)
    return found
