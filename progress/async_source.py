"""The project's source, asked from an event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TypeVar

from channels.db import database_sync_to_async

from .messages import TaskState
from .source import NOBODY, Admitted, Handshake, OpenSocket, Source, Viewer
from .types import JSON

T = TypeVar("T")

#: Seconds that an answer is waited for. A source that bounds its own questions does so within less.
PATIENCE = 10.0


class NoAnswer(TimeoutError):
    """The project's source did not answer in time."""


class AsyncSource:
    """The methods of `source.Source` as coroutines; each runs in a thread, where it may use the database."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._thread = _thread()

    async def admit(self, handshakes: Sequence[Handshake]) -> Sequence[Admitted]:
        """See `Source.admit`."""
        return await self._in_thread(self._source.admit, handshakes)

    async def recheck(self, sockets: Sequence[OpenSocket]) -> Sequence[Viewer]:
        """See `Source.recheck`."""
        recheck = getattr(self._source, "recheck", None) or self._admit_again
        return await self._in_thread(recheck, sockets)

    async def states(self, viewer: Viewer, task_ids: Sequence[str]) -> dict[str, TaskState]:
        """See `Source.states`."""
        return await self._in_thread(self._source.states, viewer, task_ids)

    async def refresh(self, task_ids: Sequence[str]) -> dict[str, TaskState]:
        """See `Source.refresh`."""
        return await self._in_thread(self._source.refresh, task_ids)

    async def cancel(self, viewer: Viewer, task_id: str) -> bool:
        """See `Source.cancel`."""
        return await self._in_thread(self._source.cancel, viewer, task_id)

    async def feeds(self, asked: Sequence[tuple[Viewer, str]]) -> Sequence[JSON]:
        """See `Source.feeds`."""
        return await self._in_thread(self._source.feeds, asked)

    def counted_as(self, viewer: Viewer, handshake: Handshake) -> str:
        """See `Source.counted_as`, which asks no database."""
        return self._source.counted_as(viewer, handshake)

    def _admit_again(self, sockets: Sequence[OpenSocket]) -> Sequence[Viewer]:
        """`recheck` for a source that was written before there was one."""
        admitted = self._source.admit([replace(one.handshake, task_id=None) for one in sockets])
        viewers: list[Viewer] = []
        for one, (viewer, _) in zip(sockets, admitted, strict=True):
            if viewer != one.viewer and not set(one.task_ids) <= set(self._source.states(viewer, one.task_ids)):
                viewer = NOBODY
            viewers.append(viewer)
        return viewers

    async def _in_thread(self, function: Callable[..., T], *args: object) -> T:
        """What it returns or raises. Raises `NoAnswer` after `PATIENCE` seconds."""
        thread = self._thread
        asked: asyncio.Future[T] = asyncio.ensure_future(
            database_sync_to_async(function, thread_sensitive=False, executor=thread)(*args),
        )
        done, _ = await asyncio.wait([asked], timeout=PATIENCE)
        if done:
            return asked.result()
        asked.add_done_callback(_hear_and_forget)
        if self._thread is thread:  # those who come now do not wait behind a question that hangs
            self._thread = _thread()
            thread.shutdown(wait=False)
        raise NoAnswer(f"The source did not answer within {PATIENCE:.0f} s.")


def _thread() -> ThreadPoolExecutor:
    # One thread, one database connection: questions come in batches, so a second would only wait for the first.
    return ThreadPoolExecutor(1, thread_name_prefix="progress-source")


def _hear_and_forget(asked: asyncio.Future[T]) -> None:
    if not asked.cancelled():
        asked.exception()
