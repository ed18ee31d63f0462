"""One subscription per web process and task, fanned out to its sockets.

    join first, then read, then apply what is newer

The channel layer is a wake-up, never the truth: it delivers at most once. So the hub compares, every `COMPARE_EVERY`
seconds and shortly after each join, what it has told with what is stored, and repairs with a snapshot (`repair.py`).
What it knows of a task is a `Topic`; the sockets that watch it are its `Audience`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from typing import cast

from channels.layers import get_channel_layer
from django.conf import settings

from .admission import Admission
from .async_source import AsyncSource
from .audience import Audience
from .background import Background
from .feeds import Feeds
from .held import Since
from .inbox import Traffic
from .layer import ProgressChannelLayer
from .listener import Listener, Published
from .messages import NOT_FOUND, CloseCode, TaskState, error
from .outbox import Outbox, Subscription
from .reader import Reader
from .record import AsyncRecord, group_name
from .redis import AWAY, make_async_client
from .repair import Repair
from .rights import RECHECK_EVERY, Rights
from .source import get_source
from .tidy import Tidy
from .topic import Topic

logger = logging.getLogger(__name__)

#: Seconds between two looks at what waits, and at which sockets still read.
TICK = 1.0
#: Seconds between two looks at what lists say: a run that was started in another tab is shown within this time.
FEED_EVERY = 0.25
#: Seconds between two comparisons of what was told with what Redis holds.
COMPARE_EVERY = 2.0
#: Seconds after a join until the first comparison: `group_add` returns before Redis has subscribed once in 400 times.
COMPARE_AFTER_JOIN = 0.2
#: Seconds that a viewer waits for a Redis that hangs; for as long it is not asked again.
PATIENCE = 1.0


class Hub:
    """Everything that one event loop has to do with live progress."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.source = AsyncSource(get_source())
        self.admission = Admission(self.source, int(getattr(settings, "PROGRESS_MAX_SOCKETS", 0)))
        self.feeds = Feeds(self.source.feeds)
        self.rights = Rights(self.source)
        self.traffic = Traffic()
        self.tidy = Tidy()
        self._background = Background()
        self._handing_out = asyncio.Lock()
        reader = Reader(AsyncRecord(make_async_client(settings.PROGRESS_REDIS_URL)))
        self._repair = Repair(reader, self.source, self._background, self._handing_out, self._dismiss)
        self._listener: Listener = cast(ProgressChannelLayer, get_channel_layer()).listener()
        self._listening = False
        self._start_lock = asyncio.Lock()
        self._audiences: dict[str, Audience] = {}
        self._outboxes: dict[Outbox, Subscription | None] = {}
        self._ticking: asyncio.Task[None] | None = None
        self._late: asyncio.Task[None] | None = None
        self._feeding: asyncio.Task[None] | None = None
        self._asking: asyncio.Task[None] | None = None
        self._comparing: asyncio.Task[None] | None = None
        self._rechecking: asyncio.Task[None] | None = None
        self._away_until = 0.0  # Redis let us wait in vain: until then nobody asks it

    @property
    def sockets(self) -> int:
        """How many sockets are open."""
        return len(self._outboxes)

    @property
    def topics(self) -> int:
        """How many tasks are watched."""
        return len(self._audiences)

    @property
    def subscriptions(self) -> int:
        """How many sockets watch each of them, together."""
        return sum(len(audience.subscriptions) for audience in self._audiences.values())

    @property
    def repairs(self) -> int:
        """Repairs since the start: news that the channel layer lost."""
        return self._repair.count

    # --- sockets ------------------------------------------------------------------------------------------------------

    def open(self, outbox: Outbox) -> None:
        """Look after a socket: pings, and the end of one that nobody reads."""
        self._outboxes[outbox] = None
        self._tick_on()

    def lost(self, subscription: Subscription) -> None:
        """A socket was too slow for its log lines and reads again: give it a snapshot."""
        audience = self._audiences.get(subscription.task_id)
        if audience is not None:
            since = Since(subscription.epoch, subscription.seq, claimed=True)
            self._background.spawn(self._repair.send_snapshot(audience, subscription, since))

    def close(self, outbox: Outbox, subscriptions: Sequence[Subscription]) -> None:
        """The socket is gone."""
        self._outboxes.pop(outbox, None)
        self.feeds.forget(outbox)
        for subscription in subscriptions:
            self.leave(subscription)

    # --- join and leave -----------------------------------------------------------------------------------------------

    async def join(self, outbox: Outbox, stored: TaskState, since: Since) -> Subscription:
        """Subscribe, read, send the snapshot; from then on every newer frame follows."""
        self._tick_on()
        task_id = stored["id"]
        subscription = Subscription(outbox, task_id, wants_log=since.log)
        if outbox.closes_at_end and outbox in self._outboxes:
            self._outboxes[outbox] = subscription
        audience = self._audiences.get(task_id)
        if audience is None:
            audience = self._audiences[task_id] = Audience(Topic(task_id, stored, self._loop.time()))
            audience.joined = asyncio.create_task(self._subscribe(audience))
        else:
            audience.topic.store(stored)
        audience.subscriptions.append(subscription)
        assert audience.joined is not None
        try:
            # Not `wait_for`: what is cancelled in the middle of connecting takes seconds to clean up behind itself.
            done, _ = await asyncio.wait([audience.joined], timeout=PATIENCE)
            if not done:
                self._away_until = self._loop.time() + PATIENCE
            await self._repair.send_snapshot(audience, subscription, since)
        except BaseException:  # nobody who could leave has it yet
            self.leave(subscription)
            raise
        return subscription

    async def resync(self, subscription: Subscription, since: Since) -> None:
        """Send a snapshot again."""
        audience = self._audiences.get(subscription.task_id)
        if audience is not None:
            await self._repair.send_snapshot(audience, subscription, since)

    def leave(self, subscription: Subscription) -> None:
        """Tell this socket no more of the task; the last one out unsubscribes."""
        subscription.outbox.forget(subscription)
        audience = self._audiences.get(subscription.task_id)
        if audience is None:
            return
        with contextlib.suppress(ValueError):
            audience.subscriptions.remove(subscription)
        if not audience.subscriptions:
            del self._audiences[subscription.task_id]
            self._background.spawn(self._unsubscribe(audience))

    def _dismiss(self, audience: Audience) -> None:
        """The task is not there any more: its row was deleted."""
        for subscription in list(audience.subscriptions):
            if subscription.outbox.closes_at_end:
                subscription.outbox.close(CloseCode.NOT_FOUND)
            elif subscription.outbox.put_answer(error("not_found", NOT_FOUND, subscription.task_id)):
                self.leave(subscription)

    async def _subscribe(self, audience: Audience) -> None:
        if self._loop.time() < self._away_until:
            return
        await self._start()
        if not self._listening:
            return
        task_id = audience.topic.task_id
        try:
            async with asyncio.timeout(PATIENCE):
                await self._listener.join(group_name(task_id))
        except AWAY as error:
            logger.debug("Could not subscribe to %s yet: %s", task_id, error)
            self._away_until = self._loop.time() + PATIENCE
            return
        audience.subscribed = True
        self._loop.call_later(COMPARE_AFTER_JOIN, lambda: self._background.spawn(self._compare_joined(audience)))

    async def _compare_joined(self, audience: Audience) -> None:
        if self._audiences.get(audience.topic.task_id) is audience:
            await self._repair.compare([audience])

    async def _unsubscribe(self, audience: Audience) -> None:
        task_id = audience.topic.task_id
        if audience.joined is not None:  # left before it has joined, the group would stay
            await asyncio.wait([audience.joined])
        with contextlib.suppress(*AWAY):
            if self._listening and task_id not in self._audiences:
                await self._listener.leave(group_name(task_id))
        if task_id in self._audiences:  # somebody came while we were leaving
            await self._subscribe(self._audiences[task_id])

    # --- what the layer brings ----------------------------------------------------------------------------------------

    async def _start(self) -> None:
        async with self._start_lock:
            if self._listening:
                return
            try:
                async with asyncio.timeout(PATIENCE):
                    await self._listener.open()
            except AWAY as error:
                logger.debug("No channel yet: %s", error)
                self._away_until = self._loop.time() + PATIENCE
                return
            self._listening = True
            self._background.spawn(self._receive())

    async def _receive(self) -> None:
        while True:
            try:
                messages = await self._listener.receive()
            except Exception:
                logger.exception("The progress of tasks cannot be received any more; listening again.")
                # The next tick opens a new channel and joins again; what is missed meanwhile, the comparison brings.
                self._listening = False
                for audience in self._audiences.values():
                    audience.subscribed = False
                return
            for task_id in {message["task_id"]: None for message in messages}:
                try:
                    async with self._handing_out:
                        await self._hand_out(task_id, [one for one in messages if one["task_id"] == task_id])
                except Exception:
                    logger.exception("A frame of %s could not be handed out.", task_id)

    async def _hand_out(self, task_id: str, messages: Sequence[Published]) -> None:
        audience = self._audiences.get(task_id)
        if audience is None:
            return
        news = audience.topic.arrive(messages, self._loop.time())
        if news is None or audience.topic.hole is not None:
            self._background.spawn(self._repair.repair(audience))
        if news is not None:
            await audience.hand_out(news)

    # --- what nobody brought ------------------------------------------------------------------------------------------

    def _tick_on(self) -> None:
        if self._ticking is None:
            self._ticking = asyncio.ensure_future(self._ticks())
            self._feeding = asyncio.ensure_future(self._feed())

    async def _feed(self) -> None:
        while True:
            await asyncio.sleep(FEED_EVERY)
            try:
                await self.feeds.tick()
            except Exception:
                logger.exception("A look at the feeds failed; the next one follows.")

    async def _ticks(self) -> None:
        next_compare = next_recheck = 0.0
        while True:
            await asyncio.sleep(TICK)
            now = self._loop.time()
            try:
                self._tick_outboxes(now)
                if now >= next_recheck and (self._rechecking is None or self._rechecking.done()):
                    next_recheck = now + RECHECK_EVERY - TICK / 2
                    self._rechecking = self._background.spawn(self.rights.recheck())
                if not self._audiences:
                    continue
                if self._late is None or self._late.done():
                    self._late = asyncio.ensure_future(self._subscribe_late())
                # None of them is waited for: the pings go on, whoever does not answer.
                if self._asking is None or self._asking.done():
                    self._asking = self._background.spawn(self._repair.ask_source(list(self._audiences.values())))
                if now >= next_compare and (self._comparing is None or self._comparing.done()):
                    next_compare = now + COMPARE_EVERY - TICK / 2
                    self._comparing = self._background.spawn(self._repair.compare(list(self._audiences.values())))
            except Exception:
                logger.exception("A look at the watched tasks failed; the next one follows.")

    def _tick_outboxes(self, now: float) -> None:
        for outbox, subscription in list(self._outboxes.items()):
            if subscription is None:
                outbox.tick(now, "", 0)
            else:
                outbox.tick(now, *subscription.held)

    async def _subscribe_late(self) -> None:
        """Redis was away when the viewer came."""
        for audience in [one for one in self._audiences.values() if not one.subscribed]:
            if self._audiences.get(audience.topic.task_id) is not audience:
                continue  # its last socket has left meanwhile
            audience.joined = asyncio.create_task(self._subscribe(audience))
            await asyncio.wait([audience.joined])
            if not audience.subscribed:
                return


_hubs: dict[asyncio.AbstractEventLoop, Hub] = {}


def hubs() -> list[Hub]:
    """The hubs of this process, one for each event loop that watches anything."""
    return list(_hubs.values())


def get_hub() -> Hub:
    """The hub of the running event loop."""
    loop = asyncio.get_running_loop()
    hub = _hubs.get(loop)
    if hub is None:
        for old in [one for one in _hubs if one.is_closed()]:
            del _hubs[old]
        hub = _hubs[loop] = Hub()
    return hub
