"""Questions that may hang, and how long they are waited for."""

from __future__ import annotations

import threading
import time

import pytest

from tasks.runs.ask import LastAnswer, OneAtATime, ask
from tests.waiting import wait_until


def test_an_answer_is_what_the_question_returns_or_raises():
    assert ask(lambda: 7, 5) == 7
    with pytest.raises(ZeroDivisionError):
        ask(lambda: 1 // 0, 5)


def test_a_question_that_hangs_does_not_hold_the_process():
    released = threading.Event()
    before = threading.active_count()
    assert ask(released.wait, 0.05) is None
    assert all(thread.daemon for thread in threading.enumerate() if thread.name == "ask")
    released.set()
    wait_until(lambda: threading.active_count() <= before)


def test_who_asks_while_the_answer_is_out_gets_the_same_one():
    released = threading.Event()
    question = OneAtATime(lambda: released.wait(20), "test")
    first = question.ask()
    assert question.ask() is first
    released.set()
    assert first.result(5)
    assert question.ask() is not first


def test_only_the_first_caller_waits_and_what_it_was_told_serves_the_next():
    answers = iter([True])  # asked twice, it would raise
    last = LastAnswer("test", lambda: next(answers), every=60, seconds=5)
    assert last.answer()
    assert last.answer()


def test_an_answer_that_is_out_for_too_long_is_no():
    released = threading.Event()
    answers = iter([lambda: True, lambda: released.wait(20)])
    last = LastAnswer("test", lambda: next(answers)(), every=0.05, seconds=0.1)
    assert last.answer()
    time.sleep(0.06)  # until it is asked again
    assert last.answer()  # what was known, while the next answer is out
    wait_until(lambda: not last.answer())
    released.set()


def test_a_question_that_raises_was_answered_with_no():
    def away() -> bool:
        raise ConnectionError("refused")

    last = LastAnswer("test", away, every=60, seconds=5)
    assert not last.answer()
    assert not last.answer()
