"""Plain Celery tasks, asked the same questions on a bare Celery app and on ours: `tests/live/celery_questions.py`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from celery import chain, group, shared_task
from celery.exceptions import Ignore, Reject


class OrderError(Exception):
    """An exception of a project, with what it was raised from."""


class TwoParts(Exception):
    """Cannot be made of its own `args`."""

    def __init__(self, one: Any, two: Any) -> None:
        super().__init__(one)
        self.two = two


@shared_task(name="asked.add")
def add(one: int, two: int) -> int:
    return one + two


@shared_task(name="asked.total")
def total(values: list[int]) -> int:
    return sum(values)


@shared_task(name="asked.fail")
def fail(*_: Any) -> None:
    raise ValueError("no", 42)


@shared_task(name="asked.missing")
def missing() -> None:
    raise KeyError("order")


@shared_task(name="asked.own")
def own() -> None:
    raise OrderError("no such order", {"id": 7})


@shared_task(name="asked.two_parts")
def two_parts() -> None:
    raise TwoParts("a", "b")


@shared_task(name="asked.told", bind=True)
def told(self: Any, gate: str) -> str:
    self.update_state(state="IMPORTING", meta={"row": 3, "file": "a.csv"})
    until = time.monotonic() + 30
    while not Path(gate).exists() and time.monotonic() < until:
        time.sleep(0.01)
    return "told"


@shared_task(name="asked.silent", ignore_result=True)
def silent() -> int:
    return 3


@shared_task(name="asked.replaced", bind=True)
def replaced(self: Any, kind: str) -> Any:
    with_what: dict[str, Any] = {
        "task": add.s(1, 1),
        "chain": chain(add.s(1, 1), add.s(1)),
        "group": group(add.s(1, 1), add.s(2, 2)),
        "chord": group(add.s(1, 1), add.s(2, 2)) | total.s(),
        "failure": fail.si(),
    }
    return self.replace(with_what[kind])


@shared_task(name="asked.starts", bind=True)
def starts(self: Any) -> Any:
    """Returns the result of what it has started."""
    return add.delay(5, 6)


@shared_task(name="asked.rejects")
def rejects() -> None:
    raise Reject("not for me", requeue=False)


@shared_task(name="asked.ignores")
def ignores() -> None:
    raise Ignore


@shared_task(name="asked.requeues", bind=True, acks_late=True)
def requeues(self: Any) -> str:
    if not self.request.delivery_info.get("redelivered"):
        raise Reject("once more", requeue=True)
    return "second"


@shared_task(name="asked.retries", bind=True, max_retries=1)
def retries(self: Any) -> int:
    if self.request.retries:
        return int(self.request.retries)
    raise self.retry(countdown=0.1)


@shared_task(name="asked.ends_at")
def ends_at() -> float:
    return time.time()
