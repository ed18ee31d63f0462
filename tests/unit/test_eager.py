"""A coroutine that is begun at once: it runs in the caller's turn, and a task goes on with it where it waits."""

from __future__ import annotations

import asyncio

import pytest

from progress.eager import begin


async def test_one_that_never_waits_has_finished_when_it_was_begun():
    done = []

    async def work() -> None:
        done.append(1)

    assert begin(work()) is None
    assert done == [1]


async def test_one_that_waits_goes_on_as_a_task():
    gate = asyncio.Event()
    steps = []

    async def work() -> None:
        steps.append("begun")
        await gate.wait()
        await asyncio.sleep(0)
        steps.append("done")

    task = begin(work())
    assert steps == ["begun"]
    assert task is not None and not task.done()
    gate.set()
    await task
    assert steps == ["begun", "done"]


async def test_what_it_raises_at_once_is_raised_to_the_caller():
    async def work() -> None:
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        begin(work())


async def test_what_it_raises_later_is_the_tasks():
    async def work() -> None:
        await asyncio.sleep(0)
        raise OSError("gone")

    task = begin(work())
    assert task is not None
    with pytest.raises(OSError, match="gone"):
        await task


async def test_a_cancel_reaches_it_where_it_waits_and_it_may_clean_up():
    cleaned = []

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0)
            cleaned.append(1)

    task = begin(work())
    assert task is not None
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert cleaned == [1]
