"""Who leaves while they wait to be admitted is waited for no longer."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from progress.inbox import Inbox, Left, Traffic


async def test_what_is_done_for_a_client_alone_is_dropped_when_it_leaves():
    came: asyncio.Queue[Any] = asyncio.Queue()
    inbox = Inbox(came.get, Traffic())
    begun, dropped = asyncio.Event(), asyncio.Event()

    async def outage() -> None:
        begun.set()
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            dropped.set()
            raise

    waiting = asyncio.create_task(inbox.during(outage(), for_it_alone=True))
    await begun.wait()
    came.put_nowait({"type": "websocket.receive", "text": "{}"})
    came.put_nowait({"type": "websocket.disconnect", "code": 1006})
    async with asyncio.timeout(5):
        with pytest.raises(Left):
            await waiting
        await dropped.wait()


async def test_work_for_others_goes_on():
    came: asyncio.Queue[Any] = asyncio.Queue()
    inbox = Inbox(came.get, Traffic())
    came.put_nowait({"type": "websocket.disconnect", "code": 1006})

    async def work() -> str:
        for _ in range(10):
            await asyncio.sleep(0)
        return "cancelled"

    assert await inbox.during(work()) == "cancelled"
