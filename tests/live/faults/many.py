"""Many starts, one after the other or at once, each answered and timed."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ..stack import Stack
from ..visitor import Visitor

_numbers = itertools.count()


def start_many(
    stack: Stack, count: int, job: str = "echo", *, at_once: int = 1, **kwargs: Any
) -> tuple[list[str], float]:
    """Start `count` jobs, `at_once` at a time; their ids, and the seconds that the slowest answer took.

    Each of those at once is a person of her own, with a session that exists already.
    """
    people = [stack.visitor(f"person {number}") for number in range(at_once)] if at_once > 1 else [stack.visitor()]
    for person in people:
        if not person.cookie("csrftoken"):
            person.get("/")

    def start(person: Visitor, times: int) -> list[tuple[str, float]]:
        answers = []
        for _ in range(times):
            began = time.monotonic()
            task_id = person.start_job(job, **kwargs)
            answers.append((task_id, time.monotonic() - began))
        return answers

    shares = [count // at_once + (number < count % at_once) for number in range(at_once)]
    with ThreadPoolExecutor(at_once) as pool:
        answers = [answer for share in pool.map(start, people, shares) for answer in share]
    return [task_id for task_id, _ in answers], max(seconds for _, seconds in answers)


def at_once(actions: Sequence[Callable[[], Any]]) -> list[Any]:
    """Call all of `actions` at the same time; their answers."""
    with ThreadPoolExecutor(len(actions)) as pool:
        return [future.result() for future in [pool.submit(action) for action in actions]]
