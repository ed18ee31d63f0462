"""The project's source, asked from an event loop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from channels.db import database_sync_to_async

from .messages import TaskState
from .source import Admitted, Handshake, Source, Viewer
from .types import JSON

T = TypeVar("T")


class AsyncSource:
    """The methods of `source.Source` as coroutines; each runs in a thread, where it may use the database."""

    def __init__(self, source: Source) -> None:
        self._source = source
        # One thread, one database connection: questions come in batches, so a second would only wait for the first.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="progress-source")

    async def admit(self, handshakes: Sequence[Handshake]) -> Sequence[Admitted]:
        """See `Source.admit`."""
        return await self._in_thread(self._source.admit, handshakes)

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

    async def _in_thread(self, function: Callable[..., T], *args: object) -> T:
        answer: T = await database_sync_to_async(function, thread_sensitive=False, executor=self._thread)(*args)
        return answer
