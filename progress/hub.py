"""One subscription per web process and task, fanned out to its sockets.

    join first, then read, then apply what is newer

The channel layer is a wake-up, never the truth: it delivers at most once. So the hub compares, every `COMPARE_EVERY`
seconds and shortly after each join, what it has told with what is stored, and repairs with a snapshot.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections import Counter, deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import redis
from channels.db import database_sync_to_async
from channels.layers import get_channel_layer
from django.conf import settings

from .batch import Batch
from .feeds import Feeds
from .layer import ProgressChannelLayer
from .messages import FINAL_STATES, TaskState, dumps, snapshot
from .outbox import Outbox, Subscription
from .record import AsyncRecord, Held, Since, group_name
from .redis import make_async_client
from .source import Handshake, Source, Viewer, get_source, merge

logger = logging.getLogger(__name__)

#: Seconds between two looks at what waits, and at who still reads.
TICK = 1.0
#: Seconds between two comparisons of what was told with what Redis holds.
COMPARE_EVERY = 2.0
#: Seconds after a join until the first comparison: `group_add` returns before Redis has subscribed once in 400 times.
COMPARE_AFTER_JOIN = 0.2
#: Seconds of silence after which the database is asked too: the worker may have recorded an end and died untold.
ASK_AFTER_SILENCE = 4.0
#: Seconds that a viewer waits for a Redis that hangs; for as long it is not asked again.
PATIENCE = 1.0
#: Sockets served in one go; then other work of the event loop gets a turn. With 250 news of newer frames waited so long
#: under Daphne that 1,000 viewers were shown states that were twice as old.
FAN_OUT_SLICE = 100

#: Seconds that a look into Redis may take; then what this process heard is shown.
READ_PATIENCE = 1.5
#: Looks in a row for a record that is not older than what arrived meanwhile.
MAX_READS = 3
#: Seconds after a recorded end in which the worker's last word is waited for, and between two looks.
UNTOLD, LOOK_AGAIN = 1.0, 0.05
#: Frames kept of each task for sockets that are joining: three seconds of a busy one.
RECENT = 64

ENVELOPE = frozenset({"v", "type", "task_id", "epoch", "seq"})
WAITING_STATES = frozenset({"PENDING", "RETRY"})


class Topic:
    """One task that somebody of this process watches."""

    __slots__ = (
        "_live",
        "changed_at",
        "epoch",
        "hole",
        "joined",
        "recent",
        "repairing",
        "seq",
        "stored",
        "subscribed",
        "subscriptions",
        "task_id",
        "told",
    )

    def __init__(self, task_id: str, stored: TaskState) -> None:
        self.task_id = task_id
        self.subscriptions: list[Subscription] = []
        self.joined: asyncio.Task[None] | None = None
        self.subscribed = False
        self.repairing = False
        self.stored = stored
        #: The newest frames, for a socket that reads the record while they arrive.
        self.recent: deque[dict[str, Any]] = deque(maxlen=RECENT)
        self._live: Any = {}  # the newest changing part; a str is the frame it has not been parsed from yet
        #: The newest frame that arrived, and the one after which frames were missed (None: none were).
        self.epoch = ""
        self.seq = 0
        self.hole: int | None = None
        #: What viewers were last told: (state, attempt, waiting, cancel_requested).
        self.told: tuple[Any, ...] = ()
        self.changed_at = 0.0

    @property
    def live(self) -> Any:
        """The newest changing part that arrived or was read; what is shown while Redis is away."""
        if isinstance(self._live, str):
            frame = json.loads(self._live)
            self._live = {key: value for key, value in frame.items() if key not in ENVELOPE}
        return self._live

    @live.setter
    def live(self, value: Any) -> None:
        self._live = value


class Hub:
    """Everything that one event loop has to do with live progress."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.source: Source = get_source()
        self._layer = cast(ProgressChannelLayer, get_channel_layer())
        self._record = AsyncRecord(make_async_client(settings.PROGRESS_REDIS_URL))
        # One thread with one database connection: visits come in batches, so a second would only wait for the first.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="progress-source")
        self._admissions: Batch[Handshake, tuple[Viewer, TaskState | None]] = Batch(self._admit_many)
        self._reads: Batch[tuple[str, Since], Held] = Batch(self._read_many)
        self.feeds = Feeds(self._look_at_feeds)
        self._topics: dict[str, Topic] = {}
        self._outboxes: dict[Outbox, Subscription | None] = {}
        #: Sockets of each visitor, and how many one may have in this process (0: as many as they like).
        self._visitors: Counter[str] = Counter()
        self._max_sockets = int(getattr(settings, "PROGRESS_MAX_SOCKETS", 0))
        #: Repairs since the start: news that the channel layer lost.
        self.repairs = 0
        self._channel: str | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._start_lock = asyncio.Lock()
        self._handing_out = asyncio.Lock()
        self._ticking: asyncio.Task[None] | None = None
        self._late: asyncio.Task[None] | None = None
        self._feeding: asyncio.Task[None] | None = None
        self._away_until = 0.0  # Redis let us wait in vain: until then nobody asks it

    @property
    def sockets(self) -> int:
        """How many sockets are open."""
        return len(self._outboxes)

    # --- at the door --------------------------------------------------------------------------------------------------

    async def admit(self, handshake: Handshake) -> tuple[Viewer, TaskState | None]:
        """Who it is, and the state of the task they want to see if it is theirs."""
        return await self._admissions.ask(handshake)

    def enter(self, viewer: Viewer, handshake: Handshake) -> str | None:
        """Count one more socket of this visitor: the name to `depart` with, or None when it is one too many."""
        visitor = self.source.counted_as(viewer, handshake) if self._max_sockets else ""
        if self._max_sockets and self._visitors[visitor] >= self._max_sockets:
            return None
        self._visitors[visitor] += 1
        return visitor

    def depart(self, visitor: str) -> None:
        """The socket that `enter` counted is gone."""
        self._visitors[visitor] -= 1
        if self._visitors[visitor] <= 0:
            del self._visitors[visitor]

    async def states(self, viewer: Viewer, task_ids: Sequence[str]) -> dict[str, TaskState]:
        """The states of those tasks that `viewer` may watch."""
        found: dict[str, TaskState] = await self._in_thread(self.source.states, viewer, task_ids)
        return found

    async def cancel(self, viewer: Viewer, task_id: str) -> bool:
        """Ask to cancel `task_id` for `viewer`."""
        return bool(await self._in_thread(self.source.cancel, viewer, task_id))

    async def _admit_many(self, handshakes: Sequence[Handshake]) -> Sequence[tuple[Viewer, TaskState | None]]:
        answers: Sequence[tuple[Viewer, TaskState | None]] = await self._in_thread(self.source.admit, handshakes)
        return answers

    async def _look_at_feeds(self, asked: Sequence[tuple[Viewer, str]]) -> Sequence[Any]:
        answers: Sequence[Any] = await self._in_thread(self.source.feeds, asked)
        return answers

    async def _in_thread(self, function: Any, *args: Any) -> Any:
        return await database_sync_to_async(function, thread_sensitive=False, executor=self._thread)(*args)

    def open(self, outbox: Outbox) -> None:
        """Look after a socket: pings, and the end of one that nobody reads."""
        self._outboxes[outbox] = None
        self._tick_on()

    def lost(self, subscription: Subscription) -> None:
        """A socket was too slow for its log lines and reads again: give it a snapshot."""
        topic = self._topics.get(subscription.task_id)
        if topic is not None:
            self._spawn(self._send_snapshot(topic, subscription, Since(subscription.epoch, subscription.seq)))

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
        if outbox.closes_at_end:
            self._outboxes[outbox] = subscription
        topic = self._topics.get(task_id)
        if topic is None:
            topic = self._topics[task_id] = Topic(task_id, stored)
            topic.changed_at = self._loop.time()
            topic.joined = asyncio.create_task(self._subscribe(topic))
        elif stored.get("attempt", 0) >= topic.stored.get("attempt", 0):
            topic.stored = stored
        topic.subscriptions.append(subscription)
        assert topic.joined is not None
        # Not `wait_for`: what is cancelled in the middle of connecting takes seconds to clean up behind itself.
        done, _ = await asyncio.wait([topic.joined], timeout=PATIENCE)
        if not done:
            self._away_until = self._loop.time() + PATIENCE
        await self._send_snapshot(topic, subscription, since)
        return subscription

    async def resync(self, subscription: Subscription, since: Since) -> None:
        """Send a snapshot again."""
        topic = self._topics.get(subscription.task_id)
        if topic is not None:
            await self._send_snapshot(topic, subscription, since)

    def leave(self, subscription: Subscription) -> None:
        """Tell this socket no more of the task; the last one out unsubscribes."""
        subscription.outbox.forget(subscription)
        topic = self._topics.get(subscription.task_id)
        if topic is None:
            return
        with contextlib.suppress(ValueError):
            topic.subscriptions.remove(subscription)
        if not topic.subscriptions:
            del self._topics[topic.task_id]
            self._spawn(self._unsubscribe(topic))

    async def _subscribe(self, topic: Topic) -> None:
        if self._loop.time() < self._away_until:
            return
        await self._start()
        if self._channel is None:
            return
        try:
            async with asyncio.timeout(PATIENCE):
                await self._layer.group_add(group_name(topic.task_id), self._channel)
        except (redis.RedisError, OSError, TimeoutError) as error:
            logger.debug("Could not subscribe to %s yet: %s", topic.task_id, error)
            self._away_until = self._loop.time() + PATIENCE
            return
        topic.subscribed = True
        self._loop.call_later(COMPARE_AFTER_JOIN, lambda: self._spawn(self._compare([topic])))

    async def _unsubscribe(self, topic: Topic) -> None:
        with contextlib.suppress(redis.RedisError, OSError, TimeoutError):
            if self._channel is not None and topic.task_id not in self._topics:
                await self._layer.group_discard(group_name(topic.task_id), self._channel)
        if topic.task_id in self._topics:  # somebody came while we were leaving
            await self._subscribe(self._topics[topic.task_id])

    async def _send_snapshot(self, topic: Topic, subscription: Subscription, since: Since) -> None:
        """Send one socket what is true now, with the log lines that it lacks; later, if it does not read."""
        if not subscription.outbox.has_room:
            # A hundred snapshots with their logs that wait for nobody are what takes a server's memory.
            if since.epoch != subscription.epoch:
                subscription.epoch, subscription.seq = since.epoch, since.seq
            subscription.seq = min(subscription.seq, since.seq)
            subscription.outbox.starve(subscription)
            return
        if subscription.lacks is not None and since.epoch == subscription.epoch:
            since = replace(since, seq=min(since.seq, subscription.lacks))
        held, complete = await self._settled(topic, since)
        if subscription.outbox.closed or subscription not in topic.subscriptions:
            return
        if held.epoch and since.epoch == held.epoch:
            subscription.outbox.holds(since.seq)
        if complete:
            subscription.lacks = None
        elif subscription.wants_log and subscription.lacks is None:
            subscription.lacks = since.seq if since.epoch == topic.epoch else 0
        if not any(other.ready and other is not subscription for other in topic.subscriptions):
            state = self._take(topic, held)
        else:
            # What this socket has read may be newer than what has arrived. It must not count as arrived: the frames up
            # to it, or the other epoch, are still to be handed out to all others.
            state = merge(topic.stored, held.changing)
            if held.epoch != topic.epoch:
                self._spawn(self._repair(topic))
        self._give(subscription, held, _snapshot_text(topic, held, state), state)

    async def _settled(self, topic: Topic, since: Since) -> tuple[Held, bool]:
        """`_current`, but where the end stands in the database and the worker is about to tell it, what it tells.

        With it come the last log lines, and after the end nobody looks any more.
        """
        until = self._loop.time() + UNTOLD
        while True:
            held, complete = await self._current(topic, since)
            if not complete or not since.log or not _is_untold(topic.stored, held) or self._loop.time() > until:
                return held, complete
            await asyncio.sleep(LOOK_AGAIN)

    async def _current(self, topic: Topic, since: Since) -> tuple[Held, bool]:
        """What is true now: the record, and what arrived while it was being read; never older than what was sent.

        False beside it when Redis cannot be read: log lines may be missing, and the next comparison brings them.
        """
        for _ in range(MAX_READS):
            try:
                held = await self._reads.ask((topic.task_id, since))
            except (redis.RedisError, OSError) as error:
                logger.debug("The record of %s cannot be read: %s", topic.task_id, error)
                break
            if not held.epoch:  # Redis has lost it, or there was never any: what this process heard is all there is
                return self._heard(topic, since), True
            if held.epoch != topic.epoch and _is_older(held.changing, topic.live):
                # Redis came back with a record of before: the numbers that were shown already stay.
                return replace(held, changing=topic.live), True
            if held.epoch != topic.epoch or held.seq >= topic.seq:
                return held, True
            newer = [message for message in topic.recent if message["seq"] > held.seq]
            if len(newer) == topic.seq - held.seq:
                return _with_newer(held, newer, topic, since), True
        topic.hole = topic.seq if topic.hole is None else topic.hole
        return self._heard(topic, since), False

    def _heard(self, topic: Topic, since: Since) -> Held:
        same = since.epoch == topic.epoch and bool(topic.epoch)
        return Held(epoch=topic.epoch, seq=topic.seq, changing=topic.live, recovered=same)

    async def _read_many(self, wanted: Sequence[tuple[str, Since]]) -> list[Held]:
        async with asyncio.timeout(READ_PATIENCE):
            return await self._record.read_many(wanted)

    def _take(self, topic: Topic, held: Held) -> TaskState:
        """The state to show for what the record holds, remembered as told."""
        state = merge(topic.stored, held.changing)
        if topic.epoch != held.epoch or topic.seq <= held.seq:
            if topic.epoch != held.epoch:
                topic.recent.clear()
                topic.hole = None
            if (topic.epoch, topic.seq) != (held.epoch, held.seq):
                topic.changed_at = self._loop.time()
            topic.epoch, topic.seq, topic.live = held.epoch, held.seq, held.changing
            topic.told = _telling(state)
        return state

    def _give(self, subscription: Subscription, held: Held, text: str, state: TaskState) -> None:
        """Put a snapshot into the socket's way out."""
        end = state.get("state") in FINAL_STATES
        subscription.outbox.put_snapshot(subscription, held.epoch, held.seq, text, end)

    # --- what the layer brings ----------------------------------------------------------------------------------------

    async def _start(self) -> None:
        async with self._start_lock:
            if self._channel is not None:
                return
            try:
                async with asyncio.timeout(PATIENCE):
                    self._channel = await self._layer.new_channel()
            except (redis.RedisError, OSError, TimeoutError) as error:
                logger.debug("No channel yet: %s", error)
                self._away_until = self._loop.time() + PATIENCE
                return
            self._spawn(self._receive(self._channel))

    def _tick_on(self) -> None:
        if self._ticking is None:
            self._ticking = asyncio.ensure_future(self._ticks())

    async def _receive(self, channel: str) -> None:
        while True:
            messages = await self._layer.receive_many(channel)
            for topic in {message["task_id"]: None for message in messages}:
                try:
                    async with self._handing_out:
                        await self._hand_out(topic, [one for one in messages if one["task_id"] == topic])
                except Exception:
                    logger.exception("A frame of %s could not be handed out.", topic)

    async def _hand_out(self, task_id: str, messages: list[dict[str, Any]]) -> None:
        topic = self._topics.get(task_id)
        if topic is None:
            return
        newest: dict[str, Any] | None = None
        logs: list[dict[str, Any]] = []
        for message in messages:
            if message["epoch"] != topic.epoch:
                # A new record: the first of this task, or one begun after Redis lost its data. Viewers need a snapshot.
                self._spawn(self._repair(topic))
                return
            if message["seq"] <= topic.seq:
                continue
            if message["seq"] > topic.seq + 1:
                topic.hole = topic.seq if topic.hole is None else topic.hole
            topic.seq = message["seq"]
            topic.recent.append(message)
            if message["kind"] == "log":
                logs.append(message)
            else:
                newest = message
                topic.live = message["text"]
        topic.changed_at = self._loop.time()
        if newest is not None:
            topic.told = ("final",) if newest["final"] else ()
        if topic.hole is not None:
            # Those after the hole would stand before those that were missed; the repair brings them all in order.
            for subscription in topic.subscriptions:
                if subscription.ready and subscription.lacks is None and subscription.seq < topic.seq:
                    subscription.lacks = topic.hole
            logs = [log for log in logs if log["seq"] <= topic.hole]
            self._spawn(self._repair(topic))
        for log in logs:
            if newest is None or log["seq"] < newest["seq"]:
                self._offer_log(topic, log)
        if newest is not None:
            await self._offer_update(topic, newest)
        for log in logs:
            if newest is not None and log["seq"] > newest["seq"]:
                self._offer_log(topic, log)

    def _offer_log(self, topic: Topic, message: dict[str, Any]) -> None:
        for subscription in list(topic.subscriptions):
            if not subscription.ready or not subscription.wants_log or subscription.seq >= message["seq"]:
                continue
            if subscription.lacks is None or subscription.lacks >= message["seq"]:
                subscription.outbox.put_frame(subscription, message["seq"], message["text"])

    async def _offer_update(self, topic: Topic, message: dict[str, Any]) -> None:
        seq, text, end, epoch = message["seq"], message["text"], message["final"], message["epoch"]
        event = {"type": "websocket.send", "text": text}
        subscriptions = list(topic.subscriptions)
        for start in range(0, len(subscriptions), FAN_OUT_SLICE):
            if start:
                await asyncio.sleep(0)
            for subscription in subscriptions[start : start + FAN_OUT_SLICE]:
                if end and subscription.lacks is not None and subscription.wants_log:
                    continue  # its end comes with the log lines that it lacks, before which the socket must not close
                if subscription.ready and subscription.seq < seq and subscription.epoch == epoch:
                    subscription.outbox.put_update(subscription, seq, text, event, end)

    # --- what nobody brought ------------------------------------------------------------------------------------------

    async def _ticks(self) -> None:
        next_compare = 0.0
        while True:
            await asyncio.sleep(TICK)
            now = self._loop.time()
            try:
                self._tick_outboxes(now)
                if self._feeding is None or self._feeding.done():
                    self._feeding = self._spawn(self.feeds.tick())
                if not self._topics:
                    continue
                if self._late is None or self._late.done():
                    self._late = asyncio.ensure_future(self._subscribe_late())
                await self._ask_source(now)
                if now >= next_compare:
                    next_compare = now + COMPARE_EVERY - TICK / 2
                    await self._compare(list(self._topics.values()))
            except Exception:
                logger.exception("A look at the watched tasks failed; the next one follows.")

    def _tick_outboxes(self, now: float) -> None:
        for outbox, subscription in list(self._outboxes.items()):
            if subscription is None:
                outbox.tick(now, "", 0)
            else:
                outbox.tick(now, subscription.epoch, subscription.seq)

    async def _subscribe_late(self) -> None:
        """Redis was away when the viewer came."""
        for topic in [topic for topic in self._topics.values() if not topic.subscribed]:
            await self._subscribe(topic)
            if not topic.subscribed:
                return

    async def _ask_source(self, now: float) -> None:
        """Look into the database for tasks that wait (why?) and for those that fell silent (ended untold?)."""
        asked = [
            topic
            for topic in self._topics.values()
            if (topic.told and topic.told[0] in WAITING_STATES) or now - topic.changed_at > ASK_AFTER_SILENCE
        ]
        asked = [topic for topic in asked if topic.stored.get("state") not in FINAL_STATES]
        if not asked:
            return
        states: dict[str, TaskState] = await self._in_thread(self.source.refresh, [one.task_id for one in asked])
        for topic in asked:
            stored = states.get(topic.task_id)
            if stored is None:
                continue
            topic.stored = stored
            topic.changed_at = now
            told = topic.told or _telling(topic.live)
            if told != ("final",) and _telling(merge(stored, topic.live)) != told:
                await self._repair(topic)

    async def _compare(self, topics: Sequence[Topic]) -> None:
        """Repair those of `topics` of which Redis holds something newer than what arrived, or another epoch."""
        topics = [topic for topic in topics if self._topics.get(topic.task_id) is topic]
        if not topics:
            return
        before = [topic.seq for topic in topics]
        try:
            async with asyncio.timeout(READ_PATIENCE):
                positions = await self._record.positions([topic.task_id for topic in topics])
        except (redis.RedisError, OSError) as error:
            logger.debug("Redis cannot be compared with: %s", error)
            return
        for topic, seen, (epoch, seq) in zip(topics, before, positions, strict=True):
            # More than was told: missed. Less: Redis came back with a record of before.
            missed = epoch == topic.epoch and seq != topic.seq and seen == topic.seq
            if missed and seq > topic.seq and self._handing_out.locked():
                continue  # behind, not without: what it lacks is on its way
            owed = topic.hole is not None or any(one.lacks is not None for one in topic.subscriptions)
            if owed or missed or (epoch and epoch != topic.epoch):
                await self._repair(topic)

    async def _repair(self, topic: Topic) -> None:
        """Send every socket of `topic` a snapshot with all that it missed."""
        if topic.repairing:
            return
        topic.repairing = True
        self.repairs += 1
        try:
            async with self._handing_out:  # not while half of the sockets are still to get what arrived
                # While there is a hole, log lines wait: those that were missed must stand before them.
                floor = topic.hole = topic.seq if topic.hole is None else topic.hole
            held, complete = await self._settled(topic, Since(topic.epoch, floor))
            if complete:
                topic.hole = None
            state = self._take(topic, held)
            text = _snapshot_text(topic, held, state)
            for subscription in list(topic.subscriptions):
                if not subscription.ready:
                    continue  # it is about to read for itself
                same = subscription.epoch == held.epoch
                ahead = same and subscription.seq > held.seq  # it has read for itself
                lacks = subscription.seq if subscription.lacks is None else subscription.lacks
                if same and subscription.wants_log and lacks < (held.seq if ahead else floor):
                    # It lacks more than the others: its own gap, its own snapshot.
                    subscription.lacks = lacks
                    self._spawn(self._send_snapshot(topic, subscription, Since(subscription.epoch, lacks)))
                    continue
                if ahead:
                    continue
                if complete:
                    subscription.lacks = None
                self._give(subscription, held, text, state)
        finally:
            topic.repairing = False

    def _spawn(self, coroutine: Any) -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = asyncio.ensure_future(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            logger.error("Work of the progress hub failed.", exc_info=task.exception())


def _telling(state: TaskState) -> tuple[Any, ...]:
    """What of a state must not differ from the database for longer than a few seconds."""
    waiting = state.get("waiting") or {}
    return (
        state.get("state"),
        state.get("attempt", 0),
        waiting.get("reason"),
        waiting.get("position"),
        bool(state.get("cancel_requested")),
    )


def _is_untold(stored: TaskState, held: Held) -> bool:
    """True if the task has ended just now, by the database, and its record does not say so yet."""
    if stored.get("state") not in FINAL_STATES or held.changing.get("state") in FINAL_STATES:
        return False
    finished_at = stored.get("finished_at") if stored.get("started_at") else None  # else no worker has anything to tell
    return bool(finished_at and datetime.now(UTC) - datetime.fromisoformat(finished_at) < timedelta(seconds=UNTOLD))


def _is_older(one: Any, other: Any) -> bool:
    """True if `one` was told before `other`, by the same attempt."""
    return bool(one.get("attempt") == other.get("attempt") and one.get("ts", 0) < other.get("ts", 0))


def _with_newer(held: Held, newer: Sequence[dict[str, Any]], topic: Topic, since: Since) -> Held:
    """The record as it is after the frames `newer`, which follow it without a gap."""
    changing = topic.live if any(message["kind"] != "log" for message in newer) else held.changing
    logs = [json.loads(message["text"]) for message in newer if message["kind"] == "log" and since.log]
    return replace(
        held, seq=topic.seq, changing=changing, log=held.log + [line for log in logs for line in log["lines"]]
    )


def _snapshot_text(topic: Topic, held: Held, state: TaskState) -> str:
    return dumps(snapshot(topic.task_id, held.epoch, held.seq, state, held.log, recovered=held.recovered))


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
