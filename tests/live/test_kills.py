"""kill -9 in 200 random moments of a task: in a fence nothing is done twice or left out; without, only a second is."""

from __future__ import annotations

import json
from typing import Any

import pytest


@pytest.fixture
def killed(new_stack):
    """`killed(job, kills, longest, total, delay)`: what the job had done at its end."""

    def killed(*arguments: Any) -> dict[str, Any]:
        stack = new_stack()
        stack.prepare_database()
        printed = stack.python("-m", "tests.live.kills", *map(str, arguments), timeout=240)
        return json.loads(printed.splitlines()[-1])

    return killed


def test_in_a_fence_a_kill_repeats_nothing_and_leaves_nothing_out(killed):
    found = killed("fenced_inserts", 200, 0.06, 2_000, 0)
    assert found["state"] == "SUCCESS", found["seed"]
    assert found["attempts"] > 50, found["seed"]
    assert [number for number, _, _ in found["done"]] == list(range(2_000)), found["seed"]


def test_without_a_fence_a_kill_repeats_the_last_second_at_most(killed):
    found = killed("open_inserts", 6, 2.5, 4_000, 0.001)
    assert found["state"] == "SUCCESS", found["seed"]
    numbers = [number for number, _, _ in found["done"]]
    assert sorted(set(numbers)) == list(range(4_000)), found["seed"]
    first: dict[int, tuple[int, float]] = {}
    for number, attempt, at in found["done"]:
        if number not in first:
            first[number] = (attempt, at)
            continue
        before = first[number]
        again = found["died"][before[0] - 1] - before[1]
        # The promise is a second; the machine that tests may be busy for a while.
        assert again < 3, f"{number} was done {again:.1f} s before the death; seed {found['seed']}"
