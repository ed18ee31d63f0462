"""A job that goes on where it was: kill its worker, and look."""

from __future__ import annotations

import time

import progress
from tasks.resume import resumable


def import_orders(orders: int, delay: float) -> dict[str, int]:
    """Take `delay` seconds for each of `orders` orders; returns how many there were, and how many this attempt did."""
    done = 0
    for number in resumable(range(1, orders + 1), unit="orders"):
        time.sleep(delay)
        done += 1
        if number % max(orders // 4, 1) == 0:
            progress.log(f"Order {number} of {orders} is imported.")
    return {"orders": orders, "in_this_attempt": done}
