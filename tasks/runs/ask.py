"""Ask something that may hang, and wait for a number of seconds and no longer."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import Generic, TypeVar

from django.db import connections

T = TypeVar("T")


def ask(question: Callable[[], T], seconds: float) -> T | None:
    """What `question` returns or raises; None when it does neither within `seconds`."""
    asked = start(question, "ask")
    wait([asked], seconds)
    return asked.result() if asked.done() else None


def start(question: Callable[[], T], name: str) -> Future[T]:
    """Ask `question` in a thread called `name`, and do not wait."""
    answer: Future[T] = Future()

    def run() -> None:
        try:
            try:
                result = question()
            finally:
                connections.close_all()  # those of this thread
        except BaseException as error:
            answer.set_exception(error)
        else:
            answer.set_result(result)

    # A daemon: a question that hangs for ever must not keep the process from ending.
    threading.Thread(target=run, name=name, daemon=True).start()
    return answer


class OneAtATime(Generic[T]):
    """A question with one thread: while its answer is still out, another caller waits for that answer as well.

    `fresh`: for this many seconds after it was asked, an answer serves those who come later, too.
    """

    def __init__(self, question: Callable[[], T], name: str, *, fresh: float = 0.0) -> None:
        self._question = question
        self._fresh = fresh
        self._asked_at = float("-inf")
        self._name = name
        self._lock = threading.Lock()
        self._asked: Future[T] | None = None

    def ask(self) -> Future[T]:
        """The answer that is out, else a new one."""
        with self._lock:
            old = time.monotonic() - self._asked_at > self._fresh
            if self._asked is None or (self._asked.done() and old):
                self._asked = start(self._question, self._name)
                self._asked_at = time.monotonic()
            return self._asked


class LastAnswer:
    """Whether something answers, as of the last time that it was asked.

    `question` is asked every `every` seconds at most, and only while somebody wants to know. The first caller waits for
    up to `seconds`, all others not at all. A question that raises was answered with no.
    """

    def __init__(self, name: str, question: Callable[[], bool], *, every: float, seconds: float) -> None:
        self._name = name
        self._question = question
        self._every = every
        self._seconds = seconds
        self._lock = threading.Lock()
        self._asked: Future[bool] | None = None
        self._asked_at = float("-inf")
        self._answer = False

    def answer(self) -> bool:
        """The last answer; False before there was one, and when the next has been out for too long."""
        with self._lock:
            age = time.monotonic() - self._asked_at
            if self._asked is not None:
                if not self._asked.done():
                    return self._answer and age < self._every + self._seconds
                self._answer = self._asked.exception() is None and self._asked.result()
            if age < self._every:
                return self._answer
            first = self._asked is None
            asked = self._asked = start(self._question, self._name)
            self._asked_at = time.monotonic()
        if first:
            wait([asked], self._seconds)
            return asked.done() and asked.exception() is None and asked.result()
        return self._answer
