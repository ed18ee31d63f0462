"""Many callers, one round trip."""

from __future__ import annotations

import asyncio

import pytest

from progress import batch as module
from progress.batch import Batch


class Answers:
    """Doubles every question; waits at `gate` while it is closed."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.error: Exception | None = None

    async def __call__(self, questions):
        self.batches.append(list(questions))
        await self.gate.wait()
        if self.error:
            raise self.error
        return [2 * one for one in questions]


async def test_each_asker_gets_the_answer_to_its_own_question():
    answers = Answers()
    batch = Batch(answers)
    assert await asyncio.gather(*(batch.ask(number) for number in range(50))) == [2 * number for number in range(50)]
    assert len(answers.batches) == 1


async def test_what_is_asked_while_an_answer_is_on_its_way_is_asked_together_next():
    answers = Answers()
    answers.gate.clear()
    batch = Batch(answers)
    first = asyncio.create_task(batch.ask(1))
    async with asyncio.timeout(2):
        while not answers.batches:
            await asyncio.sleep(0)
    later = [asyncio.create_task(batch.ask(number)) for number in (2, 3, 4)]
    await asyncio.sleep(0)
    assert answers.batches == [[1]]  # never an answer whose reading began before the question
    answers.gate.set()
    assert await asyncio.gather(first, *later) == [2, 4, 6, 8]
    assert answers.batches == [[1], [2, 3, 4]]


async def test_a_batch_has_a_bound(monkeypatch):
    monkeypatch.setattr(module, "MAX_BATCH", 10)
    answers = Answers()
    batch = Batch(answers)
    await asyncio.gather(*(batch.ask(number) for number in range(25)))
    assert [len(one) for one in answers.batches] == [10, 10, 5]


async def test_a_failure_reaches_those_who_asked_and_nobody_after_them():
    answers = Answers()
    batch = Batch(answers)
    answers.error = RuntimeError("away")
    failed = await asyncio.gather(batch.ask(1), batch.ask(2), return_exceptions=True)
    assert [str(one) for one in failed] == ["away", "away"]
    answers.error = None
    assert await batch.ask(3) == 6


async def test_an_asker_who_left_does_not_disturb_the_others():
    answers = Answers()
    answers.gate.clear()
    batch = Batch(answers)
    leaving, staying = asyncio.create_task(batch.ask(1)), asyncio.create_task(batch.ask(2))
    async with asyncio.timeout(2):
        while not answers.batches:
            await asyncio.sleep(0)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    answers.gate.set()
    assert await staying == 4


async def test_too_few_answers_are_an_error_for_all_who_asked_not_silence():
    async def forgetful(questions):
        return questions[:-1]

    batch = Batch(forgetful)
    async with asyncio.timeout(2):
        answers = await asyncio.gather(batch.ask(1), batch.ask(2), return_exceptions=True)
    assert isinstance(answers[1], ValueError)
    async with asyncio.timeout(2):
        assert await asyncio.gather(batch.ask(3), return_exceptions=True)


async def test_those_who_left_while_they_waited_are_not_asked_for():
    answers = Answers()
    answers.gate.clear()
    batch = Batch(answers)
    first = asyncio.create_task(batch.ask(0))
    async with asyncio.timeout(2):
        while not answers.batches:
            await asyncio.sleep(0)
    waiting = [asyncio.create_task(batch.ask(number)) for number in range(1, 1_001)]
    await asyncio.sleep(0)
    for one in waiting[:-1]:
        one.cancel()
    await asyncio.gather(*waiting[:-1], return_exceptions=True)
    answers.gate.set()
    assert (await first, await waiting[-1]) == (0, 2_000)
    assert answers.batches == [[0], [1_000]]
