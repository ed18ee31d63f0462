"""The thread beside a worker's tasks that publishes their newest numbers. Standard library only."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from .sink import Reply, Sink

logger = logging.getLogger(__name__)

#: Seconds between two publishes of one task: at most 20 a second, which is as fast as a bar can be seen to move.
FLUSH_INTERVAL = 0.05
#: Seconds after which the flusher asks whether a silent task was cancelled.
POLL_INTERVAL = 1.0
#: Ended tasks whose last word waits for a Redis that is away. The database holds the truth of those dropped.
MAX_UNSENT_ENDS = 1_000


class Speaker(Protocol):
    """What the flusher knows of a reporter."""

    task_id: str
    attempt: int

    @property
    def sink(self) -> Sink:
        """Where its words go."""

    @property
    def has_ended(self) -> bool:
        """True once the last word was given."""

    def has_news(self) -> bool:
        """True if something differs from what was published last."""

    def wake_on_news(self, wanted: bool) -> None:
        """Whether the next call of the task shall wake the flusher; if not, the flusher looks again by itself."""

    def publish(self) -> None:
        """Publish what is new. Raises what the sink raises; then nothing counts as published."""

    def hear(self, reply: Reply) -> None:
        """Take in what the record replied to a publish or a poll."""


@dataclass(slots=True)
class _Watched:
    """A reporter that the flusher looks after, and when to speak for it next."""

    reporter: Speaker
    heard_at: float = 0.0
    retry_at: float = 0.0


@dataclass
class Flusher:
    """The thread that publishes for every open reporter of this process; started by the first, asleep without news.

    `interval` is the shortest time between two publishes of a task, `poll_interval` how long a task may be silent
    before the flusher asks whether it was cancelled. Both in seconds.
    """

    interval: float = FLUSH_INTERVAL
    poll_interval: float = POLL_INTERVAL
    _watched: dict[int, _Watched] = field(default_factory=dict)
    _woken: threading.Event = field(default_factory=threading.Event)
    _hurried: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _thread: threading.Thread | None = None
    _trouble: bool = False

    def add(self, reporter: Speaker) -> None:
        """Look after `reporter` until it has ended or gone stale."""
        with self._lock:
            self._watched[id(reporter)] = _Watched(reporter)
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="progress-flusher", daemon=True)
                self._thread.start()
        self.wake()

    def remove(self, reporter: Speaker) -> None:
        """Forget `reporter`."""
        with self._lock:
            self._watched.pop(id(reporter), None)

    def wake(self) -> None:
        """There is news."""
        self._woken.set()

    def hurry(self) -> None:
        """There is a last word: it does not wait for the interval, as somebody may wait for the result."""
        self._woken.set()
        self._hurried.set()

    def drain(self, timeout: float) -> bool:
        """Wait up to `timeout` seconds until every ended task's last word is out; True if it is."""
        until = time.monotonic() + timeout
        self.wake()
        while any(one.reporter.has_ended for one in list(self._watched.values())):
            if time.monotonic() > until:
                return False
            time.sleep(0.005)
        return True

    def _run(self) -> None:
        while True:
            try:
                self._look()
            except BaseException:  # the thread serves all tasks of the process: nothing may end it
                logger.exception("A look at the progress of the tasks failed; the next one follows.")
                time.sleep(self.interval)

    def _look(self) -> None:
        """Publish what is new; without news sleep until some comes, or until somebody was silent for too long."""
        watched = list(self._watched.values())
        busy = [one for one in watched if _has_news(one.reporter)]
        if busy:
            self._woken.clear()
            for one in busy:
                one.reporter.wake_on_news(False)
                self._attempt([one], one.reporter.publish)
            self._ask_for_silent(watched)
            self._pause()
            return
        # Nothing is new: ask to be woken, then look once more, for a number that came in between.
        self._woken.clear()
        watched = list(self._watched.values())
        for one in watched:
            one.reporter.wake_on_news(True)
        if any(_has_news(one.reporter) for one in watched):
            return
        woken = self._woken.wait(self._seconds_to_next_poll(watched))
        if woken and not any(_has_news(one.reporter) for one in watched):
            # A task that says the same again and again wakes nobody for an interval, and is asked for all the same.
            for one in watched:
                one.reporter.wake_on_news(False)
            self._pause()
        self._ask_for_silent(watched)

    def _pause(self) -> None:
        """Until the interval is over; the last words of those who end meanwhile go out at once."""
        until = time.monotonic() + self.interval
        while self._hurried.wait(max(until - time.monotonic(), 0.0)):
            self._hurried.clear()
            for one in list(self._watched.values()):
                if one.reporter.has_ended and _has_news(one.reporter):
                    self._attempt([one], one.reporter.publish)
            if time.monotonic() > until:
                return

    def _seconds_to_next_poll(self, watched: list[_Watched]) -> float | None:
        if not watched:
            return None
        now = time.monotonic()
        due = min(max(one.heard_at + self.poll_interval, one.retry_at) for one in watched)
        return min(max(due - now, 0.0), self.poll_interval)

    def _ask_for_silent(self, watched: list[_Watched]) -> None:
        """Ask, in one round trip, for those that have said nothing for a while whether they were cancelled."""
        now = time.monotonic()
        askable = [one for one in watched if now >= one.retry_at]
        if not any(now - one.heard_at >= self.poll_interval for one in askable):
            return
        by_sink: dict[int, list[_Watched]] = {}
        for one in askable:
            if now - one.heard_at >= self.poll_interval / 2:  # soon due: it goes along
                by_sink.setdefault(id(one.reporter.sink), []).append(one)
        for silent in by_sink.values():
            self._attempt(silent, partial(_poll, [one.reporter for one in silent]))

    def _attempt(self, those: list[_Watched], speak: Callable[[], None]) -> None:
        """Let reporters speak. Whatever goes wrong is said once in the log, and tried again."""
        now = time.monotonic()
        if any(now < one.retry_at for one in those):
            return
        try:
            speak()
            for one in those:
                one.heard_at = time.monotonic()
            if self._trouble:
                self._trouble = False
                logger.info("Progress is told again.")
        except BaseException as error:
            for one in those:
                # 0.2–0.4 s: soon enough after an outage, and no storm of all workers at one moment.
                one.retry_at = now + 0.2 + 0.2 * (id(one.reporter) % 97) / 97
            if not self._trouble:
                self._trouble = True
                logger.warning("Progress cannot be told, will try again: %s: %s", type(error).__name__, error)
            self._shed()

    def _shed(self) -> None:
        ended = [one.reporter for one in list(self._watched.values()) if one.reporter.has_ended]
        for reporter in ended[: max(len(ended) - MAX_UNSENT_ENDS, 0)]:
            self.remove(reporter)


def _has_news(reporter: Speaker) -> bool:
    try:
        return reporter.has_news()
    except BaseException:  # what it reports cannot even be compared: `publish` says what is wrong
        return True


def _poll(reporters: list[Speaker]) -> None:
    replies = reporters[0].sink.poll([(one.task_id, one.attempt) for one in reporters])
    for one, reply in zip(reporters, replies, strict=True):
        one.hear(reply)


_flusher: Flusher | None = None


def get_flusher() -> Flusher:
    """This process's flusher."""
    global _flusher
    if _flusher is None:
        _flusher = Flusher()
    return _flusher


def _forget_flusher() -> None:
    global _flusher
    _flusher = None


if hasattr(os, "register_at_fork"):
    # A thread does not survive a fork: the child makes its own.
    os.register_at_fork(after_in_child=_forget_flusher)
