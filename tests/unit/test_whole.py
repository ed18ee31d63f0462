"""The percentage and the time left are those of the whole, for any tree of steps; a sum of weights is no work."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import progress
from progress import reporter as reporter_module
from progress import steps as steps_module
from progress.active import activate, deactivate
from progress.flusher import Flusher
from progress.reporter import Reporter
from progress.steps import MAX_STEPS

from .fakes import FakeSink


@pytest.fixture
def reporter():
    reporter = Reporter("t", 1, FakeSink(), Flusher())
    token = activate(reporter)
    yield reporter
    deactivate(token)


# --- any tree ---------------------------------------------------------------------------------------------------------


@dataclass
class Part:
    """A bar: what it counts itself, then its steps, each with its weight; `declared`: their sum is told before."""

    work: int = 0
    declared: bool = False
    fails: bool = False
    steps: list[tuple[int, Part]] = field(default_factory=list)


def parts(depth: int = 3) -> st.SearchStrategy[Part]:
    leaf = st.builds(Part, work=st.integers(0, 4))
    if not depth:
        return leaf
    inner = st.lists(st.tuples(st.integers(0, 5), parts(depth - 1)), max_size=3)
    return st.builds(Part, work=st.integers(0, 3), declared=st.booleans(), fails=st.booleans(), steps=inner)


def run(part: Part, look: Any) -> None:
    if part.declared and part.steps:
        progress.set(0, total=sum(weight for weight, _ in part.steps))
    elif part.work:
        for _ in progress.track(range(part.work), unit="rows"):
            look()
    for weight, inner in part.steps:
        try:
            with progress.step(f"step of {weight}", weight=weight):
                look()
                run(inner, look)
                look()
                if inner.fails:
                    raise LookupError
        except LookupError:
            pass
        look()


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(parts())
def test_the_percentage_never_falls_within_an_attempt(tree):
    reporter = Reporter("t", 1, FakeSink(), Flusher())
    token = activate(reporter)
    told: list[dict[str, Any]] = []
    try:
        run(tree, lambda: told.append(dict(reporter.state())))
    finally:
        deactivate(token)
    known = [one["percent"] for one in told if one["percent"] is not None]
    assert known == sorted(known)
    assert all(0 <= one <= 100 for one in known)
    for before, after in pairwise(told):
        if len(after["steps"]) < MAX_STEPS:  # all are told, in their order
            bars = zip(before["steps"], after["steps"], strict=False)
            assert all((now["percent"] or 0) >= (was["percent"] or 0) for was, now in bars)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.floats(-5, 200), st.floats(0, 150)), min_size=1, max_size=30))
def test_the_bar_after_a_step_never_falls_whatever_is_set(pairs):
    reporter = Reporter("t", 1, FakeSink(), Flusher())
    told = []
    with reporter.step("First"):
        pass
    for current, total in pairs:
        reporter.set(current, total)
        told.append(reporter.state()["percent"])
    known = [one for one in told if one is not None]
    assert known == sorted(known)


# --- one by one -------------------------------------------------------------------------------------------------------


def test_without_declared_weights_the_step_is_numbered_and_has_its_own_bar(reporter):
    for number in (1, 2, 3):
        with progress.step(f"part {number}"):
            progress.set(1, total=4)
            state = reporter.state()
            assert (state["percent"], state["step_number"], state["eta"]) == (None, number, None)
            assert (state["current"], state["total"]) == (1, 4)  # of the step, which is what is being done
            assert [one["percent"] for one in state["steps"]] == [100.0] * (number - 1) + [25.0]


def test_steps_within_a_step_are_no_further_steps_of_the_whole(reporter):
    with progress.step("Outer"), progress.step("Inner"):
        assert reporter.state()["step_number"] == 1
    with progress.step("Next"):
        assert reporter.state()["step_number"] == 2


def test_each_step_around_the_innermost_has_a_bar_of_its_own(reporter):
    with progress.step("Outer"):
        progress.set(total=4)
        with progress.step("Inner", weight=2):
            progress.set(1, total=2)
            assert [one["percent"] for one in reporter.state()["steps"]] == [25.0, 50.0]


def test_a_step_that_failed_keeps_what_it_reached(reporter):
    with pytest.raises(KeyError), progress.step("Break"):
        progress.set(1, total=4)
        raise KeyError("x")
    assert reporter.state()["steps"][0]["percent"] == 25.0


def test_a_sum_of_weights_is_not_told_as_work(reporter):
    progress.set(total=9)
    for _ in range(3):
        with progress.step("part", weight=3):
            progress.set(2, total=2, unit="files")
        state = reporter.state()
        told = [state[key] for key in ("current", "total", "unit", "rate")]
        assert told == [None, None, "", None]
    assert state["percent"] == 100.0
    progress.set(120, 120, unit="files")
    state = reporter.state()
    assert (state["current"], state["total"], state["unit"]) == (120, 120, "files")


def test_a_step_for_each_row_leaves_the_rows_counted(reporter):
    for row in progress.track(range(4), unit="rows"):
        with progress.step(f"row {row}"):
            pass
    state = reporter.state()
    assert (state["current"], state["total"], state["unit"], state["percent"]) == (4, 4, "rows", 100.0)


def test_a_second_count_after_a_full_one_and_a_step_says_that_nobody_knows(reporter):
    with progress.step("Prepare"):
        pass
    for _ in progress.track(range(10)):
        pass
    assert reporter.state()["percent"] == 100.0
    for number in progress.track(range(10)):
        state = reporter.state()
        assert (state["percent"], state["current"], state["eta"]) == (None, number, None)


def test_a_step_after_a_full_count_says_that_nobody_knows(reporter):
    for _ in progress.track(range(10)):
        pass
    with progress.step("Write"):
        assert reporter.state()["percent"] is None
    assert reporter.state()["percent"] is None


def test_a_total_that_grows_lets_the_bar_of_a_task_with_steps_wait(reporter, monkeypatch):
    clock = Clock(monkeypatch)
    with progress.step("Prepare"):
        pass
    reporter.set(0, 10)
    reporter.state()
    for current, total, percent in ((5, 10, 50), (6, 100, 50), (40, 100, 50), (60, 100, 60)):
        clock.now += 1
        reporter.set(current, total)
        state = reporter.state()
        assert state["percent"] == percent
        assert (state["eta"] is None) == (percent == 50 and total == 100), "the time left of a bar that waits"


class Clock:
    """Takes the place of `time` where a reporter looks at it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        import types

        self.now = 1000.0
        fake = types.SimpleNamespace(monotonic=lambda: self.now, time=lambda: self.now)
        for user in (reporter_module, steps_module):
            monkeypatch.setattr(user, "time", fake)


@pytest.mark.parametrize("seconds", [(10, 20), (30, 30), (6, 6, 6, 6), (2, 40)])
def test_the_time_left_is_that_of_the_whole(reporter, monkeypatch, seconds):
    """Weights that say how long each step takes: the guess is right from the first twentieth on, in every step."""
    clock = Clock(monkeypatch)
    whole, passed, told = sum(seconds), 0.0, 0
    progress.set(total=whole)
    for length in seconds:
        with progress.step("part", weight=length):
            for tick in range(length * 10):
                progress.set(tick, total=length * 10)
                eta = reporter.state()["eta"]
                if eta is not None:
                    told += 1
                    assert eta == pytest.approx(whole - passed, rel=0.1, abs=0.3)
                clock.now += 0.1
                passed += 0.1
    assert told > whole * 9


def test_the_time_left_is_not_guessed_from_a_step_alone(reporter, monkeypatch):
    clock = Clock(monkeypatch)
    for _ in range(3):
        with progress.step("part"):
            for tick in range(10):
                progress.set(tick, total=10)
                clock.now += 1
                assert reporter.state()["eta"] is None


def test_what_is_missing_is_told(reporter):
    assert reporter.state()["missing"] == 0
    progress.missing(2)
    assert reporter.has_news()
    assert reporter.state()["missing"] == 2


@pytest.mark.parametrize("nonsense", [-1, float("nan"), "many", None, 2**70])
def test_a_count_that_is_none_is_none_missing(reporter, nonsense):
    progress.missing(nonsense)
    assert reporter.state()["missing"] == 0
