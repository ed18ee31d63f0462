"""Begin a coroutine at once, and make a task of it only where it has to wait. Standard library only.

A task and a turn of the event loop for each message and socket is what makes a fan-out slow: a server's `send` nearly
always finishes without waiting.
"""

from __future__ import annotations

import asyncio
import sys
import types
from collections.abc import Coroutine, Generator

if sys.version_info >= (3, 12):

    def begin(coroutine: Coroutine[object, None, None]) -> asyncio.Task[None] | None:
        """Run `coroutine` until it waits: None if it has finished, else the task that goes on with it.

        Raises what it raised before it waited. Call it in a running event loop.
        """
        task = asyncio.Task(coroutine, eager_start=True, loop=asyncio.get_running_loop())
        if not task.done():
            return task
        task.result()
        return None

else:

    def begin(coroutine: Coroutine[object, None, None]) -> asyncio.Task[None] | None:
        """Run `coroutine` until it waits: None if it has finished, else the task that goes on with it.

        Raises what it raised before it waited. Call it in a running event loop.
        """
        try:
            waits_for = coroutine.send(None)
        except StopIteration:
            return None
        return asyncio.create_task(_go_on(coroutine, waits_for))


async def _go_on(coroutine: Coroutine[object, None, None], waits_for: object) -> None:
    """Finish a coroutine that was begun by hand and now waits for `waits_for`."""

    @types.coroutine
    def rest() -> Generator[object, None, None]:
        pending = waits_for
        while True:
            try:
                try:
                    yield pending
                except BaseException as error:
                    pending = coroutine.throw(error)
                else:
                    pending = coroutine.send(None)
            except StopIteration:
                return

    await rest()
