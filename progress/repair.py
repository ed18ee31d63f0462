"""Comparing what sockets were told with what is stored, and repairing what differs, with a snapshot."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Sequence
from dataclasses import replace

from .async_source import AsyncSource
from .audience import Audience
from .background import Background
from .held import Held, Since
from .messages import FINAL_STATES, TaskState
from .outbox import Subscription
from .reader import Reader
from .state import merge

logger = logging.getLogger(__name__)


class Repair:
    """Sends snapshots: to a socket that joins or asks, and to all that missed something.

    `handing_out` is held while a frame goes from socket to socket. `gone` is called with the audience of a task that
    the database does not have any more.
    """

    def __init__(
        self,
        reader: Reader,
        source: AsyncSource,
        background: Background,
        handing_out: asyncio.Lock,
        gone: Callable[[Audience], None],
    ) -> None:
        self._reader = reader
        self._gone = gone
        self._source = source
        self._background = background
        self._handing_out = handing_out
        self._loop = asyncio.get_running_loop()
        #: Repairs since the start: news that the channel layer lost.
        self.count = 0

    async def send_snapshot(self, audience: Audience, subscription: Subscription, since: Since) -> None:
        """Send one socket what is true now, with the log lines that it lacks; later, if it does not read."""
        topic = audience.topic
        if not subscription.outbox.has_room:
            # A hundred snapshots with their logs that wait for nobody are what takes a server's memory.
            if since.epoch != subscription.epoch:
                subscription.epoch, subscription.seq = since.epoch, since.seq
            subscription.seq = min(subscription.seq, since.seq)
            subscription.outbox.starve(subscription)
            return
        if subscription.lacks is not None and since.epoch == subscription.epoch:
            since = replace(since, seq=min(since.seq, subscription.lacks))
        held, complete = await self._reader.settled(topic, since)
        if subscription.outbox.closed or subscription not in audience.subscriptions:
            return
        same = bool(held.epoch) and since.epoch == held.epoch
        if same and since.seq <= held.seq:
            subscription.outbox.holds(since.seq)
        if complete:
            subscription.lacks = None
        elif subscription.wants_log and subscription.lacks is None:
            subscription.lacks = since.seq if since.epoch == topic.epoch else 0
        if not any(other.ready and other is not subscription for other in audience.subscriptions):
            state = topic.take(held, self._loop.time())
        else:
            # What this socket has read may be newer than what has arrived. It must not count as arrived: the frames up
            # to it, or the other epoch, are still to be handed out to all others.
            state = merge(topic.stored, held.changing)
            if held.epoch != topic.epoch:
                self._background.spawn(self.repair(audience))
        if complete and same and since.seq > held.seq:
            # It says that it saw what nobody was told, or Redis came back with a record of before. A snapshot of an
            # epoch that is nobody's makes this reader forget that, and is followed by the true one.
            forget = replace(held, epoch=secrets.token_hex(4), log=[], recovered=False)
            (text,) = topic.snapshot(forget, state, whole=False)
            subscription.outbox.put_snapshot(subscription, forget.epoch, forget.seq, text, end=False)
        _give(subscription, held, topic.snapshot(held, state, whole=subscription.wants_log), state)

    async def ask_source(self, audiences: Sequence[Audience]) -> None:
        """Look into the database for tasks that wait (why?) and for those that fell silent (ended untold?)."""
        now = self._loop.time()
        asked = [one for one in audiences if one.topic.is_doubtful(now)]
        if not asked:
            return
        states = await self._source.refresh([one.topic.task_id for one in asked])
        for audience in asked:
            stored = states.get(audience.topic.task_id)
            if stored is None:
                self._gone(audience)
            elif audience.topic.refresh(stored, now):
                await self._try_repair(audience)

    async def compare(self, audiences: Sequence[Audience]) -> None:
        """Repair those of which Redis holds something newer than what arrived, or another epoch."""
        if not audiences:
            return
        before = [one.topic.seq for one in audiences]
        positions = await self._reader.positions([one.topic.task_id for one in audiences])
        if positions is None:
            return
        for audience, seen, (epoch, seq) in zip(audiences, before, positions, strict=True):
            topic = audience.topic
            differs = topic.differs(epoch, seq, seen)
            if differs and epoch == topic.epoch and seq > topic.seq and self._handing_out.locked():
                continue  # behind, not without: what it lacks is on its way
            if differs or audience.is_owed:
                await self._try_repair(audience)

    async def _try_repair(self, audience: Audience) -> None:
        """`repair`, among others that are to be repaired too."""
        try:
            await self.repair(audience)
        except Exception:
            logger.exception("%s cannot be repaired; the next comparison tries again.", audience.topic.task_id)

    async def repair(self, audience: Audience) -> None:
        """Send every socket a snapshot with all that it missed."""
        if audience.repairing:
            return
        audience.repairing = True
        self.count += 1
        topic = audience.topic
        try:
            async with self._handing_out:  # not while half of the sockets are still to get what arrived
                # While there is a hole, log lines wait: those that were missed must come before them.
                floor = topic.open_hole()
            held, complete = await self._reader.settled(topic, Since(topic.epoch, floor))
            if complete:
                topic.hole = None
            state = topic.take(held, self._loop.time())
            texts: dict[bool, list[str]] = {}  # the same for all that want it whole, and for all lists
            for subscription in list(audience.subscriptions):
                if not subscription.ready:
                    continue  # it is about to read for itself
                same = subscription.epoch == held.epoch
                ahead = same and subscription.seq > held.seq  # it has read for itself
                lacks = subscription.seq if subscription.lacks is None else subscription.lacks
                if same and subscription.wants_log and lacks < (held.seq if ahead else floor):
                    # It lacks more than the others: its own gap, its own snapshot.
                    subscription.lacks = lacks
                    own = Since(subscription.epoch, lacks, claimed=True)
                    self._background.spawn(self.send_snapshot(audience, subscription, own))
                    continue
                if ahead:
                    continue
                if complete:
                    subscription.lacks = None
                whole = subscription.wants_log
                if whole not in texts:
                    texts[whole] = topic.snapshot(held, state, whole=whole)
                _give(subscription, held, texts[whole], state)
        finally:
            audience.repairing = False


def _give(subscription: Subscription, held: Held, texts: Sequence[str], state: TaskState) -> None:
    """Put a snapshot into the socket's way out."""
    end = state.get("state") in FINAL_STATES
    *earlier, last = texts
    subscription.outbox.put_snapshot(subscription, held.epoch, held.seq, last, end, earlier)
