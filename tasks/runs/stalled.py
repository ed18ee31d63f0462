"""Attempts that told nothing for longer than their task's `stalled_after`: ended like a death, and made again.

Judged by the worker that holds them, by a clock that nobody sets, and only while Redis answers: what counts is the time
in which every look found the same word, not how old that word is. A machine that slept, and a Redis that was away, make
nobody hang.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import Protocol

from progress.held import Since
from progress.messages import TaskError
from progress.record import get_record
from tasks.models import Attempt, State, TaskRun

from . import moves, where
from .attempts import Left
from .worker import identity

logger = logging.getLogger(__name__)

#: Seconds that one look counts at most: between two looks nobody slept.
MOST_A_LOOK = 2.0
#: Seconds in which the stack of one that hangs is waited for before it is ended.
STACK_WITHIN = 3.0


class Work(Protocol):
    """What is asked of an engine's worker about single runs."""

    def stack(self, task_id: str) -> str:
        """Of the process that the run is in, from outside; "" where it is in this one."""

    def stalled_after(self) -> dict[str, float]:
        """Of the runs that are worked on, those of tasks with a bound: how many seconds without a word."""

    def can_kill(self) -> bool:
        """True if a single run can be ended by force."""

    def end_work(self, task_id: str) -> bool:
        """End by force what works on a run, as a death: what becomes of the run is said already. True if its message
        comes back by itself."""


@dataclass(slots=True)
class _Watched:
    """`word`: its attempt, and when that last told something new. `asked`: the question where it is, `waited`: how many
    seconds ago."""

    word: tuple[int, str | None]
    silent: float = 0.0
    asked: str = ""
    waited: float = 0.0


class Stalled:
    """What one worker knows of its silent runs."""

    def __init__(self, pool: Work) -> None:
        self._pool = pool
        self._watched: dict[str, _Watched] = {}
        self._looked = time.monotonic()
        self._deaf: set[str] = set()

    def look(self) -> None:
        """Once a second. Asks nothing where no task has a bound. Never raises."""
        try:
            self._look()
        except Exception as error:
            self._watched.clear()  # an error is not an answer: all begin anew
            logger.debug("Nobody can say now who hangs: %s", error)

    def _look(self) -> None:
        bounds = self._pool.stalled_after()
        now = time.monotonic()
        passed, self._looked = min(now - self._looked, MOST_A_LOOK), now
        if not bounds:
            self._watched.clear()
            return
        mine = TaskRun.objects.filter(pk__in=bounds, state=State.STARTED, worker=identity(), cancel_requested_at=None)
        runs = list(mine)
        held = get_record().read_many([run.pk for run in runs], Since(log=False)) if runs else []
        before, self._watched = self._watched, {}
        for run, record in zip(runs, held, strict=True):
            told = record.changing if record.changing.get("attempt") == run.attempt else {}
            word = run.attempt, told.get("advanced_at")
            one = before.get(run.pk)
            if one is None or one.word != word:
                one = _Watched(word)
            else:
                one.silent += passed
            self._watched[run.pk] = one
            if one.silent >= bounds[run.pk]:
                self._hangs(run, one, bounds[run.pk], passed)

    def _hangs(self, run: TaskRun, one: _Watched, bound: float, passed: float) -> None:
        if not self._pool.can_kill():
            if run.pk not in self._deaf:
                self._deaf.add(run.pk)
                logger.warning("%s told nothing for %g s, and this pool cannot end it by force.", run, bound)
            return
        if not one.asked:
            one.asked = where.ask(run)
            return
        one.waited += passed
        stack = get_record().answered(one.asked)
        if stack is None and one.waited < STACK_WITHIN:
            return
        why = f"It told nothing for {bound:g} s, and was ended."
        logger.warning("%s hung. %s\n%s", run, why, stack or "Nobody can say where.")
        if stack:
            get_record().add_line(run.pk, run.attempt, f"{why} It was here:\n{stack}", "error")
        error: TaskError = {"type": "Stalled", "message": why}
        left = Left(Attempt.How.HUNG, error, stack or "")
        moved = moves.lost(run.pk, identity(), send_again=False, why=why, left=left)
        if moved is not None and not self._pool.end_work(run.pk):
            # Not sent before its end: this worker might claim it, and what is ended would be the next attempt.
            TaskRun.objects.filter(pk=run.pk, state=State.RETRY, attempt=run.attempt).update(sent_at=None)
        self._watched.pop(run.pk, None)
