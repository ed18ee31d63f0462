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
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import redis
import redis.asyncio
from channels.db import database_sync_to_async
from channels.layers import get_channel_layer
from django.conf import settings
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from .batch import Batch
from .layer import ProgressChannelLayer
from .messages import FINAL_STATES, TaskState, dumps, snapshot
from .outbox import Outbox, Subscription
from .record import AsyncRecord, Held, Since, group_name
from .source import Source, Viewer, Visit, get_source, merge

logger = logging.getLogger(__name__)

#: Seconds between two looks at what waits, and at who still reads.
TICK = 1.0
#: Seconds between two comparisons of what was told with what Redis holds.
COMPARE_EVERY = 2.0
#: Seconds after a join until the first comparison: `group_add` returns before Redis has subscribed once in 400 times.
COMPARE_AFTER_JOIN = 0.2
#: Seconds of silence after which the database is asked too: the worker may have recorded an end and died untold.
ASK_AFTER_SILENCE = 4.0
#: Sockets served in one go; then other work of the event loop gets a turn.
FAN_OUT_SLICE = 250

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
        self._record = AsyncRecord(
            redis.asyncio.Redis.from_url(
                settings.PROGRESS_REDIS_URL,
                socket_timeout=1.0,
                socket_connect_timeout=0.5,
                retry=Retry(NoBackoff(), 1),
                health_check_interval=10,
            )
        )
        # One thread with one database connection: visits come in batches, so a second would only wait for the first.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="progress-source")
        self._admissions: Batch[Visit, tuple[Viewer, TaskState | None]] = Batch(self._admit_many)
        self._reads: Batch[tuple[str, Since], Held] = Batch(self._record.read_many)
        self._topics: dict[str, Topic] = {}
        self._outboxes: dict[Outbox, Subscription | None] = {}
        self._channel: str | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._start_lock = asyncio.Lock()

    # --- at the door --------------------------------------------------------------------------------------------------

    async def admit(self, visit: Visit) -> tuple[Viewer, TaskState | None]:
        """Who it is, and the state of the task they want to see if it is theirs."""
        return await self._admissions.ask(visit)

    async def states(self, viewer: Viewer, task_ids: Sequence[str]) -> dict[str, TaskState]:
        """The states of those tasks that `viewer` may watch."""
        found: dict[str, TaskState] = await self._in_thread(self.source.states, viewer, task_ids)
        return found

    async def cancel(self, viewer: Viewer, task_id: str) -> bool:
        """Ask to cancel `task_id` for `viewer`."""
        return bool(await self._in_thread(self.source.cancel, viewer, task_id))

    async def _admit_many(self, visits: Sequence[Visit]) -> Sequence[tuple[Viewer, TaskState | None]]:
        answers: Sequence[tuple[Viewer, TaskState | None]] = await self._in_thread(self.source.admit, visits)
        return answers

    async def _in_thread(self, function: Any, *args: Any) -> Any:
        return await database_sync_to_async(function, thread_sensitive=False, executor=self._thread)(*args)

    def open(self, outbox: Outbox) -> None:
        """Look after a socket: pings, and the end of one that nobody reads."""
        self._outboxes[outbox] = None

    def lost(self, subscription: Subscription) -> None:
        """A socket was too slow for its log lines: give it a snapshot when it reads again."""
        topic = self._topics.get(subscription.task_id)
        if topic is not None:
            self._spawn(self._send_snapshot(topic, subscription, Since(subscription.epoch, subscription.seq)))

    def close(self, outbox: Outbox, subscriptions: Sequence[Subscription]) -> None:
        """The socket is gone."""
        self._outboxes.pop(outbox, None)
        for subscription in subscriptions:
            self.leave(subscription)

    # --- join and leave -----------------------------------------------------------------------------------------------

    async def join(self, outbox: Outbox, stored: TaskState, since: Since) -> Subscription:
        """Subscribe, read, send the snapshot; from then on every newer frame follows."""
        await self._start()
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
        await asyncio.shield(topic.joined)
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
        if self._channel is None:
            return
        try:
            async with asyncio.timeout(2):
                await self._layer.group_add(group_name(topic.task_id), self._channel)
        except (redis.RedisError, OSError, TimeoutError) as error:
            logger.debug("Could not subscribe to %s yet: %s", topic.task_id, error)
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
        """Read the record, send it as a snapshot, then what arrived while it was being read."""
        held = await self._read(topic, since)
        if subscription.outbox.closed or subscription not in topic.subscriptions:
            return
        state = self._take(topic, held)
        self._give(subscription, held, _snapshot_text(topic, held, state), state)
        newer = [one for one in topic.recent if one["seq"] > held.seq] if topic.epoch == held.epoch else []
        if not newer:
            return
        if newer[0]["seq"] > held.seq + 1:
            topic.hole = held.seq if topic.hole is None else min(topic.hole, held.seq)
            self._spawn(self._repair(topic))
            return
        for message in newer:
            if message["kind"] != "log":
                subscription.outbox.put_frame(subscription, message["seq"], message["text"], message["final"])
            elif subscription.wants_log:
                subscription.outbox.put_frame(subscription, message["seq"], message["text"])

    async def _read(self, topic: Topic, since: Since) -> Held:
        """The record; while Redis is away, what this process heard last."""
        try:
            held = await self._reads.ask((topic.task_id, since))
        except (redis.RedisError, OSError) as error:
            logger.debug("The record of %s cannot be read: %s", topic.task_id, error)
            if since.epoch == topic.epoch and since.seq < topic.seq:
                # Log lines that the reader lacks are in Redis alone: the first comparison that works brings them.
                topic.hole = since.seq if topic.hole is None else min(topic.hole, since.seq)
            held = Held()
        if held.epoch:
            return held
        same = since.epoch == topic.epoch and bool(topic.epoch)
        return Held(epoch=topic.epoch, seq=topic.seq, changing=topic.live, recovered=same)

    def _take(self, topic: Topic, held: Held) -> TaskState:
        """The state to show for what the record holds, remembered as told."""
        state = merge(topic.stored, held.changing)
        if topic.epoch != held.epoch or topic.seq <= held.seq:
            if topic.epoch != held.epoch:
                topic.recent.clear()
            if (topic.epoch, topic.seq) != (held.epoch, held.seq):
                topic.changed_at = self._loop.time()
            topic.epoch, topic.seq, topic.live = held.epoch, held.seq, held.changing
            topic.told = _telling(state)
        return state

    def _give(self, subscription: Subscription, held: Held, text: str, state: TaskState) -> None:
        """Put a snapshot into the socket's way out, in the place of older news."""
        subscription.epoch, subscription.seq, subscription.ready = held.epoch, held.seq, True
        subscription.update = None
        subscription.outbox.put_frame(subscription, held.seq, text, state.get("state") in FINAL_STATES)

    # --- what the layer brings ----------------------------------------------------------------------------------------

    async def _start(self) -> None:
        async with self._start_lock:
            if self._channel is not None:
                return
            try:
                async with asyncio.timeout(2):
                    self._channel = await self._layer.new_channel()
            except (redis.RedisError, OSError, TimeoutError) as error:
                logger.debug("No channel yet: %s", error)
                return
            finally:
                if not self._tasks:
                    self._spawn(self._ticks())
            self._spawn(self._receive(self._channel))

    async def _receive(self, channel: str) -> None:
        while True:
            messages = await self._layer.receive_many(channel)
            for topic in {message["task_id"]: None for message in messages}:
                try:
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
            logs = []  # they would stand before those that were missed; the repair brings all of them in order
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
            if subscription.ready and subscription.wants_log and subscription.seq < message["seq"]:
                subscription.outbox.put_frame(subscription, message["seq"], message["text"])

    async def _offer_update(self, topic: Topic, message: dict[str, Any]) -> None:
        seq, text, end, epoch = message["seq"], message["text"], message["final"], message["epoch"]
        event = {"type": "websocket.send", "text": text}
        subscriptions = list(topic.subscriptions)
        for start in range(0, len(subscriptions), FAN_OUT_SLICE):
            if start:
                await asyncio.sleep(0)
            for subscription in subscriptions[start : start + FAN_OUT_SLICE]:
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
                if not self._topics:
                    continue
                await self._subscribe_late()
                await self._ask_source(now)
                if now >= next_compare:
                    next_compare = now + COMPARE_EVERY - TICK / 2
                    await self._compare(list(self._topics.values()))
            except Exception:
                logger.exception("A look at the watched tasks failed; the next one follows.")

    def _tick_outboxes(self, now: float) -> None:
        for outbox, subscription in list(self._outboxes.items()):
            if subscription is None:
                outbox.tick(now, "", int(now))
            else:
                outbox.tick(now, subscription.epoch, subscription.seq)

    async def _subscribe_late(self) -> None:
        """Redis was away when the viewer came."""
        late = [topic for topic in self._topics.values() if not topic.subscribed]
        if late and self._channel is None:
            await self._start()
        for topic in late:
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
            positions = await self._record.positions([topic.task_id for topic in topics])
        except (redis.RedisError, OSError) as error:
            logger.debug("Redis cannot be compared with: %s", error)
            return
        for topic, seen, (epoch, seq) in zip(topics, before, positions, strict=True):
            missed = epoch == topic.epoch and seq > topic.seq and seen == topic.seq
            if topic.hole is not None or missed or (epoch and epoch != topic.epoch):
                await self._repair(topic)

    async def _repair(self, topic: Topic) -> None:
        """Send every socket of `topic` a snapshot with all that it missed."""
        if topic.repairing:
            return
        topic.repairing = True
        try:
            floor = topic.seq if topic.hole is None else topic.hole
            topic.hole = None
            held = await self._read(topic, Since(topic.epoch, floor))
            if (held.epoch, held.seq) == (topic.epoch, topic.seq) or held.epoch != topic.epoch or held.seq > topic.seq:
                state = self._take(topic, held)
            else:
                state = merge(topic.stored, held.changing)  # newer frames came in the meantime, and go out as well
            text = _snapshot_text(topic, held, state)
            for subscription in list(topic.subscriptions):
                if not subscription.ready:
                    continue
                if subscription.epoch == held.epoch and subscription.seq < floor and subscription.wants_log:
                    # A slow socket that lacks more than the others: its own gap, its own snapshot.
                    since = Since(subscription.epoch, subscription.seq)
                    self._spawn(self._send_snapshot(topic, subscription, since))
                else:
                    self._give(subscription, held, text, state)
        finally:
            topic.repairing = False

    def _spawn(self, coroutine: Any) -> None:
        task = asyncio.ensure_future(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._done)

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


def _snapshot_text(topic: Topic, held: Held, state: TaskState) -> str:
    return dumps(snapshot(topic.task_id, held.epoch, held.seq, state, held.log, recovered=held.recovered))


_hubs: dict[asyncio.AbstractEventLoop, Hub] = {}


def get_hub() -> Hub:
    """The hub of the running event loop."""
    loop = asyncio.get_running_loop()
    hub = _hubs.get(loop)
    if hub is None:
        for old in [one for one in _hubs if one.is_closed()]:
            del _hubs[old]
        hub = _hubs[loop] = Hub()
    return hub
