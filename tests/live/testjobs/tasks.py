"""Jobs that do what a test needs to see: leave traces, sleep, fail, die. `Stack.start_job("nap", seconds=3)`."""

from __future__ import annotations

import os
import signal
import time
from importlib import import_module
from pathlib import Path
from typing import Any

from celery import current_app, shared_task
from django.apps import apps

import progress
from tasks.resume import checkpoint, fenced

from . import asked, behave, counted, ends, going_on, hanging, heard, odd, orders, talk  # noqa: F401 - Celery looks for jobs in `tasks` only


def leave_trace(path: str, text: str = "") -> None:
    """Append one line, at once and whole: the test counts them."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.write(descriptor, f"{text or os.getpid()}\n".encode())
    os.close(descriptor)


@shared_task(name="testjobs.echo")
def echo(value: Any = None, trace: str = "") -> Any:
    """Ends at once with `value`."""
    if trace:
        leave_trace(trace)
    return value


@shared_task(name="testjobs.nap")
def nap(seconds: float = 1.0, step: float = 0.05, trace: str = "") -> str:
    """Sleeps for `seconds` and tells its progress every `step` seconds."""
    if trace:
        leave_trace(trace)
    steps = max(1, round(seconds / step))
    for _ in progress.track(range(steps), total=steps):
        time.sleep(step)
    return "rested"


@shared_task(name="testjobs.deaf")
def deaf(seconds: float = 60.0, trace: str = "") -> None:
    """Sleeps and tells nothing, so that no cancel can reach it by the reporter."""
    if trace:
        leave_trace(trace)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        time.sleep(0.05)


@shared_task(name="testjobs.fail")
def fail(message: str = "no luck", trace: str = "") -> None:
    if trace:
        leave_trace(trace)
    raise RuntimeError(message)


@shared_task(name="testjobs.die")
def die(trace: str, times: int = 1, after: float = 0.0) -> str:
    """Kills its own pool process (SIGKILL) in its first `times` attempts, `after` seconds into each."""
    leave_trace(trace)
    progress.set(1, total=2)
    if len(Path(trace).read_text().splitlines()) <= times:
        time.sleep(after)
        os.kill(os.getpid(), signal.SIGKILL)
    progress.set(2, total=2)
    return "survived"


@shared_task(name="testjobs.hold")
def hold(gate: str, trace: str = "", timeout: float = 60.0) -> str:
    """Runs until the file `gate` exists: a test decides when it ends."""
    if trace:
        leave_trace(trace)
    progress.set(0, total=1)
    deadline = time.monotonic() + timeout
    while not Path(gate).exists():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{gate} did not come within {timeout} s")
        time.sleep(0.05)
    progress.set(1, total=1)
    return "let go"


@shared_task(name="testjobs.goes_on")
def goes_on(trace: str, gate: str = "", total: int = 4) -> str:
    """Leaves each number once, whatever kills it. After number 1 it waits until the file `gate` exists."""
    for number in range(checkpoint.load(0), total):
        with fenced():
            leave_trace(trace, f"{os.getpid()}:{number}")
            checkpoint.save(number + 1)
        progress.set(number + 1, total=total)
        while number == 1 and not Path(gate).exists():
            time.sleep(0.05)
    return "all"


def fail_twice(trace: str) -> str:
    """Ends well in its third try."""
    leave_trace(trace)
    if len(Path(trace).read_text().splitlines()) < 3:
        raise ConnectionError("away")
    return "good"


thrice = shared_task(
    name="testjobs.thrice", autoretry_for=(ConnectionError,), retry_kwargs={"max_retries": 2, "countdown": 1}
)(fail_twice)


@shared_task(name="testjobs.chatter")
def chatter(lines: int = 100, delay: float = 0.0) -> int:
    """Writes `lines` log lines and as many updates."""
    for number in range(1, lines + 1):
        progress.set(number, total=lines)
        progress.log(f"line {number}")
        if delay:
            time.sleep(delay)
    return lines


def jobs_of(engine: str) -> Any:
    """The jobs by name, as that engine's tasks."""
    return current_app.tasks if engine == "celery" else import_module(f".{engine}_jobs", __package__).JOBS


if apps.is_installed("huey.contrib.djhuey"):
    jobs_of("huey")
