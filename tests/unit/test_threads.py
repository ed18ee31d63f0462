"""A thread that a task starts tells for that task, as far as it can be known whose thread it is."""

from __future__ import annotations

import contextvars
import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest

import progress
from progress import Cancelled, threads
from progress.active import activate, active, current, deactivate
from progress.compat import ProgressRecorder
from progress.flusher import Flusher
from progress.reporter import Reporter

from .fakes import FakeSink


def new(task_id: str) -> Reporter:
    return Reporter(task_id, 1, FakeSink(), Flusher())


def run(work: Callable[[], Any]) -> Any:
    """What `work` answers in a thread of its own."""
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(work()))
    thread.start()
    thread.join()
    return found[0]


@contextmanager
def elsewhere(reporter: Reporter) -> Any:
    """Another thread of this process runs the task of `reporter`."""
    begun, over = threading.Event(), threading.Event()

    def task() -> None:
        token = activate(reporter)
        begun.set()
        over.wait(10)
        deactivate(token)

    thread = threading.Thread(target=task)
    thread.start()
    begun.wait(10)
    try:
        yield
    finally:
        over.set()
        thread.join()


@pytest.fixture(autouse=True)
def unwarned(monkeypatch):
    monkeypatch.setattr(threads, "_warned", False)


@pytest.fixture
def reporter():
    reporter = new("t")
    token = activate(reporter)
    yield reporter
    deactivate(token)


def test_every_call_in_an_executor_tells_for_the_one_task(reporter):
    def work(number: int) -> None:
        progress.advance()
        progress.log(f"{number}")
        with progress.step(f"step {number}"):
            list(progress.track("ab"))
        ProgressRecorder().increment_progress(0)

    with ThreadPoolExecutor(1) as pool:
        list(pool.map(work, range(3)))
        pool.submit(progress.set, None, 9, "from a thread").result()
    assert (reporter.current, reporter.total, reporter.message) == (6.0, 9, "from a thread")
    assert len(reporter._lines) == len(reporter._steps) == 3
    assert run(progress.current) is reporter


def count(_: int) -> None:
    for _ in range(1_000):
        progress.advance()


def test_eight_threads_lose_no_count(reporter):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(count, range(8)))
    assert reporter.current == 8_000


def test_steps_of_threads_at_the_same_time_leave_the_bar_as_it_was(reporter):
    reporter.set(1, 10, unit="rows")
    barrier = threading.Barrier(3)

    def work(weight: int) -> None:
        with progress.step(f"step {weight}", weight):
            barrier.wait(10)
        barrier.wait(10)

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(work, [1, 2, 3]))
    assert (reporter.current, reporter.total, reporter.unit, reporter._scopes) == (7, 10, "rows", [])
    assert {step["name"]: step["state"] for step in reporter._steps} == {f"step {n}": "done" for n in (1, 2, 3)}


def test_a_cancel_is_heard_in_the_thread(reporter):
    reporter.cancel()
    with ThreadPoolExecutor(1) as pool, pytest.raises(Cancelled):
        pool.submit(progress.set, 1).result()


def test_nothing_is_told_outside_a_task_or_for_one_that_has_ended(reporter):
    reporter.end({"state": "SUCCESS"})
    assert run(progress.current) is None
    activate(None)
    assert active() == []
    assert run(progress.current) is None


def test_a_thread_that_outlives_its_task_does_not_tell_for_the_next():
    ask, answers = threading.Semaphore(0), []
    answered = threading.Semaphore(0)

    def work() -> None:
        for _ in range(2):
            ask.acquire(timeout=10)
            answers.append(progress.current())
            answered.release()

    thread = threading.Thread(target=work)
    first, second = new("first"), new("second")
    token = activate(first)
    thread.start()
    ask.release()
    answered.acquire(timeout=10)
    deactivate(token)
    token = activate(second)
    ask.release()
    answered.acquire(timeout=10)
    deactivate(token)
    thread.join(10)
    assert answers == [first, None]


def test_an_executor_that_outlives_its_task_tells_for_the_next():
    with ThreadPoolExecutor(1) as pool:
        for reporter in (new("first"), new("second")):
            token = activate(reporter)
            assert pool.submit(progress.current).result() is reporter
            with elsewhere(new("other")):
                assert pool.submit(progress.current).result() is None
            deactivate(token)
        assert pool.submit(progress.current).result() is None


def test_where_several_tasks_run_one_warning_says_what_to_do(reporter, caplog):
    with elsewhere(new("other")), caplog.at_level(logging.WARNING):
        for _ in range(3):
            run(lambda: progress.set(5))
        assert reporter.current is None
        run(partial(contextvars.copy_context().run, progress.set, 6))
    assert reporter.current == 6
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "contextvars.copy_context().run" in caplog.text


def test_the_machinery_sees_only_the_task_of_its_own_context(reporter):
    assert run(current) is None
    assert current() is reporter
