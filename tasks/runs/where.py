"""Where is it? The Python stack of a running task, asked of the worker that holds it.

The task's process answers by the thread beside the task, as it hears of a cancel. Where that thread cannot run, because
something in C holds the interpreter, the worker's parent is asked as well: by a hash that it reads as it beats.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from django.conf import settings

from progress.record import get_record
from tasks.models import State, TaskRun

from .killing import KILL, die

logger = logging.getLogger(__name__)

#: Seconds in which one that lives answers.
WITHIN = 2.5
#: Seconds between two looks for the answer.
LOOK_EVERY = 0.05
#: Seconds after which the worker's parent answers for a task whose own process has not.
PATIENCE = 1.0
#: Seconds for which a parent may still hear of a question.
ASKED_FOR = 30


@dataclass(frozen=True, slots=True)
class Where:
    """`stack`: as Python prints one, the innermost call last; "" with the reason in `why_not`."""

    stack: str = ""
    why_not: str = ""


def where(task_id: str) -> Where:
    """Ask, and wait for the answer. Never raises for a Redis or a worker that is away: it says so."""
    run = TaskRun.objects.filter(pk=task_id).first()
    if run is None:
        return Where(why_not="There is no such run.")
    if run.state != State.STARTED:
        return Where(why_not=f"It does not run: {run.state}.")
    try:
        asked = ask(run)
        until = time.monotonic() + WITHIN
        while time.monotonic() < until:
            if (stack := get_record().answered(asked)) is not None:
                return Where(stack) if stack else Where(why_not="Its thread is not there any more.")
            time.sleep(LOOK_EVERY)
    except Exception as error:
        logger.info("Nobody could be asked where %s is: %s", run, error)
        return Where(why_not="Redis does not answer, so nobody can be asked.")
    return Where(why_not=f"Nobody answered within {WITHIN:g} s: its worker, {run.worker}, may be gone or stopped.")


def ask(run: TaskRun) -> str:
    """Ask, without waiting; the name of the question, for `Record.answered`."""
    record = get_record()
    asked = record.ask_where(run.pk)
    record.hear_of(key_of(run.worker), run.pk, asked, ASKED_FOR)
    return asked


def key_of(worker: str) -> str:
    """The hash in which the parent of `worker` finds what it was asked: run → question."""
    return f"{settings.REDIS_PREFIX}:where:{worker}"


class Parent:
    """The side of a worker's parent. `look_into`: the stack of a run's process, from outside; "" where it cannot."""

    def __init__(self, worker: str, look_into: Callable[[str], str]) -> None:
        self._worker = worker
        self._look_into = look_into
        self._since: dict[tuple[str, str], float] = {}

    def look(self) -> None:
        """Answer what the processes themselves have not answered in time. One round trip where nobody asks."""
        record, key, now = get_record(), key_of(self._worker), time.monotonic()
        self._since = {one: self._since.get(one, now) for one in record.heard(key).items()}
        for one, since in self._since.items():
            run_id, question = one
            if question == KILL:
                record.unheard(key, run_id)
                die(run_id)
                continue
            if now - since < PATIENCE:
                continue
            if record.answered(question) is None and (stack := self._look_into(run_id)):
                record.answer(run_id, question, stack)
            record.unheard(key, run_id)
