"""Many callers, one round trip: questions that come while an answer is on its way are asked together, next."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

Q = TypeVar("Q")
A = TypeVar("A")

#: Questions in one batch: keeps a database's IN (…) below SQLite's limit of variables.
MAX_BATCH = 400


class Batch(Generic[Q, A]):
    """Collects questions for `answer_many`, which gives one answer for each, in order.

    One batch is under way at a time, so a thousand sockets that open at once cost a handful of round trips, and a
    question is never answered by a reading that began before it was asked.
    """

    def __init__(self, answer_many: Callable[[Sequence[Q]], Awaitable[Sequence[A]]]) -> None:
        self._answer_many = answer_many
        self._asked: list[tuple[Q, asyncio.Future[A]]] = []
        self._runner: asyncio.Task[None] | None = None

    async def ask(self, question: Q) -> A:
        """The answer to `question`; raises what `answer_many` raised."""
        future: asyncio.Future[A] = asyncio.get_running_loop().create_future()
        self._asked.append((question, future))
        if self._runner is None:
            self._runner = asyncio.create_task(self._run())
        try:
            return await future
        finally:
            del future  # an error knows this frame: the two would keep each other

    async def _run(self) -> None:
        try:
            # A question whose asker has gone meanwhile is not asked: in an outage those would be nearly all.
            while waiting := [(question, future) for question, future in self._asked if not future.done()]:
                batch, self._asked = waiting[:MAX_BATCH], waiting[MAX_BATCH:]
                answers = await self._answers([question for question, _ in batch])
                for number, (_, future) in enumerate(batch):
                    if future.done():  # its asker may have gone
                        continue
                    if isinstance(answers, Exception):
                        future.set_exception(answers)
                    else:
                        future.set_result(answers[number])
        finally:
            self._asked = [one for one in self._asked if not one[1].done()]
            self._runner = None

    async def _answers(self, questions: Sequence[Q]) -> Sequence[A] | Exception:
        # Not in `_run`, which knows the futures: their error, which knows its frames, would keep all that was read.
        try:
            answers = await self._answer_many(questions)
            if len(answers) != len(questions):
                raise ValueError(f"Expected {len(questions)} answers, but got {len(answers)}.")
        except Exception as error:
            return error
        return answers
