"""Waiting for an event with a bound, instead of sleeping and hoping."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_until(
    predicate: Callable[[], T], timeout: float = 10.0, message: str | Callable[[], str] = "", *, every: float = 0.05
) -> T:
    """The first truthy answer of `predicate`; fails with `message` when none came within `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while True:
        answer = predicate()
        if answer:
            return answer
        if time.monotonic() > deadline:
            text = message() if callable(message) else message
            raise AssertionError(f"not within {timeout} s: {text or predicate}; the last answer was {answer!r}")
        time.sleep(every)
