"""The tour: all that a page tells of a run, within half a minute. Kill its worker in the middle, and look."""

from __future__ import annotations

import time

import progress
from tasks.resume import resumable

PAGES, ORDERS = 3, 100


class Away(ConnectionError):
    """The shop did not answer: in the tour it never does at first."""


def fetch(*, answers: bool) -> None:
    """A step with others in it. Raises `Away` unless the shop `answers`."""
    progress.set(total=10)
    with progress.step("Fetch"):
        for page in range(1, PAGES + 1):
            with progress.step(f"Page {page}"):
                time.sleep(0.3)
            if page == 2 and not answers:
                progress.log("The shop does not answer. The task asks for another try.", level="warning")
                raise Away(Away.__doc__)
        progress.log(f"{PAGES} pages are here.")


def import_fetched(seconds: float) -> int:
    """`ORDERS` orders within so many seconds, each with a checkpoint; returns how many this attempt did."""
    done = 0
    with progress.step("Import", weight=9):
        for number in resumable(range(1, ORDERS + 1), unit="orders"):
            time.sleep(seconds / ORDERS)
            done += 1
            if number % 25 == 0:
                progress.log(f"Order {number} of {ORDERS} is imported.")
    return done


def pack(number: int, *, fails: bool) -> str:
    """A part; one that fails does so half way."""
    for at in progress.track(range(10), unit="parcels"):
        time.sleep(0.1 + number / 50)
        if fails and at == 5:
            raise ValueError("This part fails at first, for the tour. Run it again, and it ends well.")
    return f"Part {number} is packed."
