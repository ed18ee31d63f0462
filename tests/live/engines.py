"""The engines of runs, as live tests use them: how a job is started on each, and a worker of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.waiting import wait_until

from .stack import Stack, Worker

#: Seconds within which the run of a worker that died goes on elsewhere.
ELSEWHERE = 10.0


@dataclass(frozen=True)
class Engine:
    """One of them, with one kind of worker."""

    #: As `jobs_of` knows it.
    name: str
    #: What a run that waits says of starting a worker.
    command: str
    #: `(stack, name, concurrency, wait)`: a worker of it.
    make_worker: Callable[[Stack, str, int, bool], Worker]
    #: True if a worker can end a task by force, and outlives the death of one.
    has_processes: bool = True
    #: A priority, and one that goes first.
    priorities: tuple[int, int] = (0, 1)
    #: True if a task says how often it is tried.
    retries: bool = True

    def begin(self, stack: Stack, job: str, *args: Any, **kwargs: Any) -> str:
        return self.begin_with(stack, {}, job, *args, **kwargs)

    def begin_with(self, stack: Stack, options: dict[str, Any], job: str, *args: Any, **kwargs: Any) -> str:
        return stack.visitor().start_job(job, *args, options={"engine": self.name, **options}, **kwargs)

    def start_worker(self, stack: Stack, name: str, concurrency: int = 2, *, wait: bool = True) -> Worker:
        return self.make_worker(stack, name, concurrency, wait)


def _celery(stack: Stack, name: str, concurrency: int, wait: bool) -> Worker:
    return stack.start_worker(f"celery-{name}", concurrency, wait=wait)


def _huey(kind: str) -> Callable[[Stack, str, int, bool], Worker]:
    return lambda stack, name, concurrency, wait: stack.start_huey(f"huey-{name}", concurrency, kind, wait=wait)


CELERY = Engine("celery", "celery -A django_starter worker", _celery, priorities=(9, 0))
HUEY = Engine("huey", "python manage.py run_huey", _huey("process"))
HUEY_THREAD = Engine("huey", "python manage.py run_huey", _huey("thread"), has_processes=False)
HUEY_GREENLET = Engine("huey", "python manage.py run_huey", _huey("greenlet"), has_processes=False)
#: Whichever Django there is.
DJANGO = Engine("django", "celery -A django_starter worker", _celery, priorities=(-50, 50), retries=False)


def lines(path: Path) -> list[str]:
    """What a job has left there."""
    return path.read_text().split() if path.exists() else []


def wait_lines(path: Path, count: int = 1, timeout: float = 30.0) -> list[str]:
    """`lines`, once there are so many of them."""
    wait_until(lambda: len(lines(path)) >= count, timeout, lambda: f"{count} lines in {path}: {lines(path)}")
    return lines(path)


def wait_moving(stack: Stack, task_id: str) -> None:
    """Until it has told its progress."""
    wait_until(lambda: (stack.task(task_id)["current"] or 0) > 2, 30, lambda: f"it moves: {stack.task(task_id)}")


def wait_waiting(stack: Stack, task_id: str, reason: str) -> dict[str, Any]:
    """Why it waits, once that is the reason."""

    def found() -> Any:
        waiting = stack.task(task_id)["waiting"]
        return waiting if waiting and waiting["reason"] == reason else None

    return dict(wait_until(found, 15, lambda: f"it waits for {reason}: {stack.task(task_id)}"))


def worker_of(stack: Stack, pid: int) -> Worker:
    """The worker with that process."""
    for worker in stack.workers.values():
        if worker.alive and pid in (worker.pid, *(child.pid for child in worker.children())):
            return worker
    raise AssertionError(f"no worker has the process {pid}")
