"""Every way in which a run can end, each as a job; what waits for it leaves a trace. `folder` counts the executions."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

from celery import shared_task
from celery.exceptions import Ignore, Reject
from django.db import transaction

import progress

from . import tasks as basic


class OwnBaseException(BaseException):
    """What no `except Exception` catches."""


class TwoArguments(Exception):
    """Cannot be pickled: its constructor wants more than its args."""

    def __init__(self, one: str, two: str) -> None:
        super().__init__(f"{one} and {two}")


def times(folder: str, role: str = "end") -> int:
    """How often that role was executed before; and once more now."""
    path = Path(folder) / role
    path.parent.mkdir(parents=True, exist_ok=True)
    basic.leave_trace(str(path))
    return len(path.read_text().splitlines())


@shared_task(name="testjobs.ends.good")
def good(*_: Any, folder: str = "", role: str = "good") -> str:
    if folder:
        times(folder, role)
    return "good"


@shared_task(name="testjobs.ends.follower")
def follower(*_: Any, folder: str, role: str) -> str:
    """What waits: a next link, a body, a callback."""
    times(folder, role)
    return role


@shared_task(name="testjobs.ends.old_errback")
def old_errback(task_id: str, *, folder: str) -> None:
    times(folder, "old_errback")


@shared_task(name="testjobs.ends.new_errback")
def new_errback(request: Any, exc: Any, traceback: Any, *, folder: str) -> None:
    times(folder, "new_errback")


@shared_task(name="testjobs.ends.end", bind=True, max_retries=1, acks_late=True)
def end(self: Any, *_: Any, how: str, folder: str) -> Any:
    """End as `how` says."""
    count = times(folder)
    return WAYS[how](self, count, folder)


@shared_task(name="testjobs.ends.once", bind=True, max_attempts=1)  # type: ignore[call-overload]
def once(self: Any, *_: Any, how: str, folder: str) -> Any:
    """`end`, and it may not begin twice."""
    return WAYS[how](self, times(folder), folder)


@shared_task(name="testjobs.ends.soft", bind=True, soft_time_limit=1)
def soft(self: Any, *_: Any, folder: str) -> None:
    times(folder)
    time.sleep(30)


@shared_task(name="testjobs.ends.hard", bind=True, time_limit=1)
def hard(self: Any, *_: Any, folder: str) -> None:
    times(folder)
    time.sleep(30)


def _raise(error: BaseException) -> Any:
    raise error


def _nap(*_: Any) -> str:
    for _step in progress.track(range(600)):
        time.sleep(0.05)
    return "rested"


def _deaf(*_: Any) -> str:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        time.sleep(0.05)
    return "rested"


def _same_word(*_: Any) -> str:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        progress.set(1, message="waiting")
        time.sleep(0.05)
    return "rested"


def _retry(task: Any, count: int, folder: str) -> str:
    if count == 1:
        raise task.retry(exc=ConnectionError("away"), countdown=0.2)
    return "good"


def _retry_in_transaction(task: Any, count: int, folder: str) -> str:
    if count == 1:
        with transaction.atomic():
            raise task.retry(exc=ConnectionError("away"), countdown=0.2)
    return "good"


def _requeue(task: Any, count: int, folder: str) -> str:
    if count == 1:
        raise Reject("again, please", requeue=True)
    return "good"


def _die(task: Any, count: int, folder: str) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _die_once(task: Any, count: int, folder: str) -> str:
    if count == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return "good"


def _leave_open(task: Any, count: int, folder: str) -> str:
    transaction.set_autocommit(False)
    return "good"


def _leave_atomic_open(task: Any, count: int, folder: str) -> str:
    transaction.atomic().__enter__()
    return "good"


def _fail_itself(task: Any, count: int, folder: str) -> None:
    meta = {"exc_type": "OwnError", "exc_message": "said by itself"}
    task.update_state(state="FAILURE", meta=meta)
    raise Ignore()


def _replace(task: Any, count: int, folder: str) -> Any:
    return task.replace(good.s(folder=folder, role="replacement"))


def _replace_by_failure(task: Any, count: int, folder: str) -> Any:
    return task.replace(end.si(how="error", folder=str(Path(folder) / "within")))


def _replace_by_chain(task: Any, count: int, folder: str) -> Any:
    return task.replace(good.s(folder=folder, role="replacement") | good.s())


def _replace_by_group(task: Any, count: int, folder: str) -> Any:
    from celery import group

    return task.replace(group(good.s(folder=folder, role="replacement"), good.s()))


def _replace_by_chord(task: Any, count: int, folder: str) -> Any:
    from celery import chord

    return task.replace(chord([good.s(), good.s()], good.s(folder=folder, role="replacement")))


def _replace_in_transaction(task: Any, count: int, folder: str) -> Any:
    with transaction.atomic():
        return task.replace(good.s(folder=folder, role="replacement"))


WAYS: dict[str, Any] = {
    "result": lambda *_: "good",
    "error": lambda *_: _raise(ValueError("no luck")),
    "unpicklable": lambda *_: _raise(TwoArguments("one", "two")),
    "own_failure": _fail_itself,
    "ignore": lambda *_: _raise(Ignore()),
    "reject": lambda *_: _raise(Reject("no")),
    "requeue": _requeue,
    "replace": _replace,
    "replace_by_failure": _replace_by_failure,
    "replace_by_chain": _replace_by_chain,
    "replace_by_group": _replace_by_group,
    "replace_by_chord": _replace_by_chord,
    "replace_in_transaction": _replace_in_transaction,
    "retry": _retry,
    "retry_in_transaction": _retry_in_transaction,
    "retry_for_ever": lambda task, *_: _raise(task.retry(exc=ConnectionError("away"), countdown=0.1)),
    "nap": _nap,
    "deaf": _deaf,
    "same_word": _same_word,
    "die": _die,
    "die_once": _die_once,
    "exit": lambda *_: _raise(SystemExit(3)),
    "base_exception": lambda *_: _raise(OwnBaseException("own")),
    "memory": lambda *_: _raise(MemoryError()),
    "object": lambda *_: object(),
    "huge": lambda *_: "x" * 1_100_000,
    "surrogate": lambda *_: "half \ud800",
    "left_open": _leave_open,
    "left_atomic_open": _leave_atomic_open,
}


@shared_task(name="testjobs.ends.elsewhere", bind=True, max_retries=3)
def elsewhere(self: Any) -> None:
    """Asks for its next attempt in another queue."""
    raise self.retry(countdown=0.1, queue="elsewhere")
