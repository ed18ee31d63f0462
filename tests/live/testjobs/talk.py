"""Jobs that talk, for the tests of the live engine."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from celery import chord, shared_task

import progress
from progress.messages import Level

LEVELS: tuple[Level, ...] = ("debug", "info", "warning", "error")


@shared_task(name="testjobs.recite")
def recite(steps: int = 100, delay: float = 0.05, log_every: int = 5) -> int:
    """`steps` steps of `delay` seconds with a log line every `log_every` steps, numbered from 1; how many lines."""
    lines = 0
    for step in progress.track(range(1, steps + 1), total=steps):
        time.sleep(delay)
        if step % log_every == 0:
            lines += 1
            progress.log(f"line {lines}")
    return lines


@shared_task(name="testjobs.recite_until")
def recite_until(gate: str, steps: int, delay: float = 0.05, log_every: int = 5) -> int:
    """`recite`, in circles: at least `steps` steps, and on until the file `gate` exists (a minute at most)."""
    lines = step = 0
    deadline = time.monotonic() + 60
    while step < steps or not Path(gate).exists():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{gate} did not come")
        step += 1
        time.sleep(delay)
        progress.set(step)
        if step % log_every == 0:
            lines += 1
            progress.log(f"line {lines}")
    return lines


@shared_task(name="testjobs.stages")
def stages(folder: str, count: int, timeout: float = 60.0) -> int:
    """`count` bursts of twenty updates and ten log lines in 0.4 s. After each it makes the file `told-<n>` in `folder`
    and waits in silence for `go-<n>`."""
    for stage in range(1, count + 1):
        for number in range(1, 21):
            progress.set((stage - 1) * 20 + number, total=count * 20)
            if number % 2 == 0:
                progress.log(f"line {(stage - 1) * 10 + number // 2}")
            time.sleep(0.02)
        (Path(folder) / f"told-{stage}").touch()
        deadline = time.monotonic() + timeout
        while not (Path(folder) / f"go-{stage}").exists():
            if time.monotonic() > deadline:
                raise TimeoutError(f"go-{stage} did not come within {timeout} s")
            time.sleep(0.02)
    return count


@shared_task(name="testjobs.recite_levels")
def recite_levels(folder: str, stages: int, lines: int, timeout: float = 60.0) -> int:
    """`stages` times `lines` log lines, their level debug, info, warning and error in turn. After each stage it waits
    for the file `go-<n>` in `folder`."""
    for stage in range(stages):
        for number in range(stage * lines + 1, (stage + 1) * lines + 1):
            progress.log(f"line {number}", LEVELS[number % 4])
        deadline = time.monotonic() + timeout
        while not (Path(folder) / f"go-{stage + 1}").exists():
            if time.monotonic() > deadline:
                raise TimeoutError(f"go-{stage + 1} did not come within {timeout} s")
            time.sleep(0.02)
    return stages * lines


@shared_task(name="testjobs.lecture")
def lecture(lines: int, characters: int, result: int = 0) -> str:
    """`lines` log lines of `characters` each, and a result of `result`."""
    for number in range(1, lines + 1):
        progress.log(f"{number:05} " + "é" * (characters - 6))
    return "é" * result


@shared_task(name="testjobs.in_steps", bind=True, max_retries=5)
def in_steps(self: Any, folder: str, declared: bool = True, fails: bool = False) -> str:
    """Two steps, the first with two within it, half of each done before it waits for `go-<n>`; then it fails once."""
    if declared:
        progress.set(total=10)
    with progress.step("Fetch", weight=8):
        progress.set(total=2)
        for number, name in ((1, "List"), (2, "Load")):
            with progress.step(name):
                progress.set(5, total=10, unit="rows")
                _wait(folder, f"go-{number}")
                progress.set(10)
    with progress.step("Write", weight=2):
        progress.set(1, total=2)
        _wait(folder, "go-3")
    if fails and self.request.retries < 2:
        raise self.retry(exc=ConnectionError("the other side is away"), countdown=0.1)
    progress.missing(2)
    return "written"


@shared_task(name="testjobs.stepping")
def stepping() -> None:
    """A step with one within it, which warns, and another one; each says a line, and takes its time."""
    with progress.step("Fetch"):
        _say("fetching")
        with progress.step("Load"):
            _say("loading")
            _say("slow", "warning")
    with progress.step("Write"):
        time.sleep(0.05)
        _say("writing")


def _say(text: str, level: Level = "info") -> None:
    progress.log(text, level=level)
    time.sleep(0.05)


def _wait(folder: str, name: str, timeout: float = 60.0) -> None:
    deadline = time.monotonic() + timeout
    while not (Path(folder) / name).exists():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{name} did not come within {timeout} s")
        time.sleep(0.02)


@shared_task(name="testjobs.starts_chord")
def starts_chord(gate: str, count: int) -> str:
    """Starts a chord of `count` parts, which wait for the file `gate`; the last one fails. Does not wait for them."""
    parts = [ends_at.si(gate, number == count - 1) for number in range(count)]
    return str(chord(parts)(ends_at.si(gate, False)).id)


@shared_task(name="testjobs.ends_at")
def ends_at(gate: str, fails: bool) -> None:
    _wait(str(Path(gate).parent), Path(gate).name)
    if fails:
        raise RuntimeError("no luck")
