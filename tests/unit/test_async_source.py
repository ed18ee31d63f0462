"""The project's source is asked with a bound: one that hangs holds up nobody who comes after."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from progress import async_source
from progress.async_source import AsyncSource, NoAnswer


class Source:
    """Hangs until it is let go."""

    def __init__(self):
        self.hangs = True
        self.let_go = threading.Event()

    def refresh(self, task_ids):
        if self.hangs:
            self.let_go.wait(10)
        return {one: {"id": one} for one in task_ids}


@pytest.mark.asyncio
async def test_a_question_that_hangs_is_given_up_and_the_next_one_is_answered(monkeypatch):
    monkeypatch.setattr(async_source, "PATIENCE", 0.2)
    hangs: Any = Source()
    source = AsyncSource(hangs)
    first, second = asyncio.create_task(source.refresh(["a"])), asyncio.create_task(source.refresh(["b"]))
    try:
        for one in (first, second):
            with pytest.raises(NoAnswer):
                await one
        hangs.hangs = False
        assert await asyncio.wait_for(source.refresh(["c"]), 2) == {"c": {"id": "c"}}
    finally:
        hangs.let_go.set()
