"""When a task has last told something new: by what it tells, not by who else lives. Seen by the flusher's thread."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from progress import flusher as flusher_module
from progress import reporter as reporter_module
from progress import silence
from progress.flusher import Flusher
from progress.reporter import Reporter
from progress.stored import parse_changing
from tests.waiting import wait_until

from .fakes import FakeSink


@pytest.fixture
def sink():
    return FakeSink()


@pytest.fixture
def reporter(sink):
    flusher = Flusher(interval=0.01, poll_interval=0.02)
    reporter = Reporter("t", 1, sink, flusher).open()
    wait_until(lambda: sink.bodies, 5, "its first word")
    yield reporter
    flusher.remove(reporter)


def at(sink: FakeSink) -> Any:
    return sink.last["advanced_at"]


#: What a task can tell.
WORDS: dict[str, Callable[[Reporter], object]] = {
    "a number": lambda reporter: reporter.set(1),
    "a total": lambda reporter: reporter.set(total=9),
    "a message": lambda reporter: reporter.set(message="row 1"),
    "a unit": lambda reporter: reporter.set(unit="row"),
    "a log line": lambda reporter: reporter.log("here"),
    "a step": lambda reporter: reporter.step("Download").__enter__(),
    "a checkpoint": lambda reporter: reporter.advanced(),
}


@pytest.mark.parametrize("word", WORDS)
def test_whatever_a_task_tells_is_an_advance(reporter, sink, word):
    assert at(sink) is None, "it has told nothing yet"
    before = time.time()
    WORDS[word](reporter)
    wait_until(lambda: at(sink), 5, "the advance is told")
    assert reporter.state()["advanced_at"] == at(sink)
    told = parse_changing(json.dumps(sink.last))["advanced_at"]
    assert told is not None
    assert before - 1 < datetime.fromisoformat(told).timestamp() < time.time() + 1


#: What is no word of the task's own.
NO_WORDS: dict[str, Callable[[Reporter], object]] = {
    "the same number again": lambda reporter: reporter.set(5),
    "the same message again": lambda reporter: reporter.set(message="same"),
    "a cancel that was asked for": lambda reporter: reporter.cancel(),
    "looks of the flusher": lambda reporter: None,
}


@pytest.mark.parametrize("word", NO_WORDS)
def test_what_is_nothing_new_is_no_advance(reporter, sink, word):
    reporter.set(5, message="same")
    wait_until(lambda: sink.last["message"] == "same", 5, "it is told")
    told, polls = at(sink), sink.polls
    assert told is not None
    if word == "a cancel that was asked for":
        reporter.cancel()
        wait_until(lambda: sink.last["cancel_requested"], 5, "the cancel is told")
    else:
        NO_WORDS[word](reporter)
        wait_until(lambda: sink.polls > polls + 3, 5, "the flusher looks again and again")
    assert at(sink) == told
    assert reporter.state()["advanced_at"] == told


def test_an_attempt_that_goes_on_has_told_nothing_yet(sink):
    reporter = Reporter("t", 2, sink, Flusher())
    reporter.resume({"current": 5, "total": 9, "percent": 55.0, "unit": "row"})
    reporter.write_line("Resumed at 55 %, attempt 2.")
    reporter.open()
    wait_until(lambda: sink.bodies, 5, "its first word")
    assert at(sink) is None
    reporter.close()


def test_a_word_is_no_later_for_a_redis_that_was_away(reporter, sink):
    """The time is that of the word, not of the publish that came through."""
    sink.error = ConnectionError()
    calls = sink.calls
    reporter.set(7)
    wait_until(lambda: sink.calls > calls, 5, "it was tried")
    seen = reporter.state()["advanced_at"]
    assert seen
    wait_until(lambda: sink.calls > calls + 2, 5, "it was tried again")
    sink.error = None
    wait_until(lambda: sink.last["current"] == 7, 5, "it is told")
    assert at(sink) == seen


def test_the_callers_loop_has_no_clock(reporter, sink, monkeypatch):
    """A clock that is looked at by the caller's thread fails."""
    me = threading.get_ident()

    class Clock:
        def __getattr__(self, name: str) -> Any:
            if threading.get_ident() == me and name in ("time", "monotonic", "perf_counter"):
                raise AssertionError(f"the caller's loop asked for time.{name}")
            return getattr(time, name)

    for module in (reporter_module, silence, flusher_module):
        monkeypatch.setattr(module, "time", Clock())
    for number in range(1_000):
        reporter.set(number)
        reporter.advance()
        reporter.advanced()


def test_lines_alone_move_the_time_about_once_a_second(sink, monkeypatch):
    """A task that logs much does not double its frames."""
    reporter = Reporter("t", 1, sink, Flusher())
    reporter._advance.look(reporter._told())
    reporter.publish()
    bodies = len(sink.bodies)
    for number in range(50):
        reporter.write_line(f"line {number}")
        reporter.publish()
    assert len(sink.bodies) == bodies + 1
    monkeypatch.setattr(silence, "SHOWN_EVERY", 0.0)
    reporter._advance._due = 0.0
    assert reporter.has_news(), "the last one is told when its time has come"
    reporter.publish()
    assert len(sink.bodies) == bodies + 2
    assert not reporter.has_news()


@pytest.mark.parametrize("told", [7, "yesterday", "2026-01-01T00:00:00", [], {}, True, "\x00"])
def test_a_time_of_another_program_is_none(told):
    state = {"state": "STARTED", "attempt": 1, "advanced_at": told, "quiet_after": told}
    assert parse_changing(json.dumps(state))["advanced_at"] is None


def test_a_record_keeps_where_an_attempt_resumed():
    far = {"current": 5.0, "total": 9.0, "percent": 55.0, "unit": "row"}
    state = {"state": "STARTED", "attempt": 2, "resumed_from": far, "go_on_from": 3}
    read = parse_changing(json.dumps(state))
    assert read["resumed_from"] == far
    assert read["go_on_from"] is None
