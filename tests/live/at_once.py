"""Cases that mostly wait, at the same time: each with what it breaks of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Case = TypeVar("Case")


def at_once(try_one: Callable[[Case], None], cases: Iterable[Case]) -> None:
    """Call `try_one` for every case; when all are done, fails as the first that failed, with its name."""
    with ThreadPoolExecutor() as pool:
        running = {case: pool.submit(try_one, case) for case in cases}
    for case, one in running.items():
        if (error := one.exception()) is not None:
            error.add_note(f"in the case {case}")
            raise error
