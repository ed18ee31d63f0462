"""What is true of a task now: its record in Redis, with what arrived while it was being read."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from .batch import Batch
from .held import Held, Since
from .record import AsyncRecord
from .redis import AWAY
from .state import UNTOLD, is_untold
from .topic import Topic

logger = logging.getLogger(__name__)

#: Seconds that a look into Redis may take; then what this process heard is shown.
READ_PATIENCE = 1.5
#: Looks in a row for a record that is not older than what arrived meanwhile.
MAX_READS = 3
#: Seconds between two looks for the worker's last word.
LOOK_AGAIN = 0.05


class Reader:
    """Reads for all sockets of an event loop; those that ask meanwhile share the next round trip."""

    def __init__(self, record: AsyncRecord) -> None:
        self._record = record
        self._reads: Batch[tuple[str, Since], Held] = Batch(self._read_many)

    async def settled(self, topic: Topic, since: Since) -> tuple[Held, bool]:
        """`current`, but where the end is stored in the database and the worker is about to tell it, what it tells.

        With it come the last log lines, and after the end nobody looks any more.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + UNTOLD
        while True:
            held, complete = await self.current(topic, since)
            if not complete or not since.log or not is_untold(topic.stored, held.changing) or loop.time() > until:
                return held, complete
            await asyncio.sleep(LOOK_AGAIN)

    async def current(self, topic: Topic, since: Since) -> tuple[Held, bool]:
        """What is true now; never older than what was sent.

        False beside it when Redis cannot be read: log lines may be missing, and the next comparison brings them.
        """
        for _ in range(MAX_READS):
            try:
                read = await self._reads.ask((topic.task_id, since))
            except AWAY as error:
                logger.debug("The record of %s cannot be read: %s", topic.task_id, error)
                break
            held = topic.combine(read, since)
            if held is not None:
                return held, True
        topic.open_hole()
        return topic.heard(since), False

    async def positions(self, task_ids: Sequence[str]) -> list[tuple[str, int]] | None:
        """(epoch, seq) of each record, ("", 0) where there is none; None while Redis cannot be read."""
        try:
            async with asyncio.timeout(READ_PATIENCE):
                return await self._record.positions(task_ids)
        except AWAY as error:
            logger.debug("Redis cannot be compared with: %s", error)
            return None

    async def _read_many(self, wanted: Sequence[tuple[str, Since]]) -> list[Held]:
        """Each question once: a thousand viewers who open one page would hold its log a thousand times."""
        once = list(dict.fromkeys(wanted))
        async with asyncio.timeout(READ_PATIENCE):
            held = dict(zip(once, await self._record.read_many(once), strict=True))
        return [held[one] for one in wanted]
