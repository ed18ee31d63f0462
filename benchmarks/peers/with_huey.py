"""Huey: messages and results in Redis, no row."""

from __future__ import annotations

import os

from huey import RedisHuey

huey = RedisHuey("heard", url=os.environ["REDIS_URL"])
unheard = RedisHuey("unheard", url=os.environ["REDIS_URL"])


@huey.task()
def nothing(number: int) -> int:
    """The task that is measured."""
    return number


@unheard.task()
def nothing_unheard(number: int) -> int:
    """The same, in a queue that no worker takes from."""
    return number


start = nothing
start_unheard = nothing_unheard


def start_many(count: int) -> None:
    """Huey has no way of its own."""
    for number in range(count):
        nothing_unheard(number)


def ended() -> int:
    """How many results are kept."""
    return int(huey.result_count())
