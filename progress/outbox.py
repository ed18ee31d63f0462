"""What one socket has still to be sent, and what it may be sent: the newest state, never a queue of old ones.

Two bounds, because a web server may buffer for a slow reader without one (Daphne does):
- while the server's `send` is busy, updates replace each other in a slot and log lines wait in a bounded queue;
- `WINDOW` bytes may be under way that the browser has not acknowledged with a `pong`.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import deque
from collections.abc import Callable, Coroutine, Sequence

from .eager import begin
from .messages import CloseCode, Error, Feed, dumps, ping
from .types import Event, Send

logger = logging.getLogger(__name__)

#: Bytes that may be under way to a socket. 128 kB are some 400 updates, twenty seconds of a busy bar.
WINDOW = 128 * 1024
#: Bytes after which a ping goes out early, so that a healthy reader's window never fills.
PING_AFTER = WINDOW // 4
#: Frames of one task (log lines, snapshots) that wait for a busy socket; more are read again from the record.
MAX_WAITING = 200
#: Seconds between pings; browsers hide the protocol's own, and proxies close silent sockets.
PING_INTERVAL = 15.0
#: Seconds without a pong, or with a full window, after which a socket is closed.
PATIENCE = 30.0


class Subscription:
    """One socket's interest in one task: `seq` is the newest frame handed to the server."""

    __slots__ = ("before", "epoch", "lacks", "outbox", "queue", "ready", "seq", "task_id", "update", "wants_log")

    def __init__(self, outbox: Outbox, task_id: str, *, wants_log: bool) -> None:
        self.outbox = outbox
        self.task_id = task_id
        self.wants_log = wants_log
        #: False until the first snapshot is out, and while frames were lost that only the record still has.
        self.ready = False
        self.epoch = ""
        self.seq = 0
        #: While a snapshot waits: its text, and the epoch and seq that the browser holds until it has it.
        self.before: tuple[str, str, int] | None = None
        #: Log lines after this `seq` are missing, and are still to be sent (None: none are).
        self.lacks: int | None = None
        #: Frames that must not be skipped, in order: (seq, text, is it the end?).
        self.queue: deque[tuple[int, str, bool]] = deque()
        #: The newest update, which replaces the one before it.
        self.update: tuple[int, str, bool] | None = None

    @property
    def held(self) -> tuple[str, int]:
        """The epoch and seq that the browser has once it has read what is under way: at least that says its `pong`."""
        return (self.epoch, self.seq) if self.before is None else self.before[1:]

    def next(self) -> tuple[int, str, bool] | None:
        """Take the frame with the smallest `seq`."""
        update = self.update
        if self.queue and (update is None or self.queue[0][0] <= update[0]):
            return self.queue.popleft()
        self.update = None
        return update


class Outbox:
    """One socket's way out. `lost` is called with a subscription whose frames overflowed, once there is room again."""

    __slots__ = (
        "_acked",
        "_busy",
        "_full_since",
        "_lost",
        "_newest",
        "_now",
        "_pending",
        "_ping",
        "_pinged_at",
        "_send",
        "_starved",
        "closed",
        "closes_at_end",
        "on_closed",
        "sent",
    )

    def __init__(self, send: Send, lost: Callable[[Subscription], None], *, closes_at_end: bool) -> None:
        self._send = send
        self._lost = lost
        self.closes_at_end = closes_at_end
        self.closed = False
        self.on_closed: Callable[[], None] | None = None
        self.sent = 0  # bytes handed to the server
        self._acked = 0  # of these, known to be read
        self._busy: asyncio.Task[None] | None = None
        self._pending: dict[Subscription, None] = {}  # an ordered set
        self._starved: dict[Subscription, None] = {}  # those that get a snapshot once there is room
        self._ping: tuple[int, int, float] | None = None  # of the unanswered ping: seq, `sent`, when
        self._newest = 0  # the largest seq that went out: a browser that claims to hold more has not read
        self._now = self._pinged_at = asyncio.get_running_loop().time()  # as of the last tick
        self._full_since: float | None = None

    # --- sending ------------------------------------------------------------------------------------------------------

    @property
    def free(self) -> bool:
        """True if a frame can go out at once."""
        return self._busy is None and not self._pending and self.has_room and not self.closed

    @property
    def has_room(self) -> bool:
        """False while a window is under way that nobody has acknowledged."""
        return self.sent - self._acked < WINDOW

    def put_update(self, subscription: Subscription, seq: int, text: str, event: Event, end: bool) -> None:
        """Send the newest state now, or keep it in the place of the one before. `event` is the ready ASGI message."""
        if self.closed:
            return
        if self._busy is None and not self._pending and self.sent - self._acked < WINDOW:
            subscription.seq = seq
            if seq > self._newest:
                self._newest = seq
            self._hand_over(event, len(text))
            self._ask_early(subscription)
            if end and self.closes_at_end:
                self.close(CloseCode.FINISHED)
        elif subscription.update is None or subscription.update[0] < seq:
            subscription.update = (seq, text, end)
            self._pending[subscription] = None

    def put_frame(self, subscription: Subscription, seq: int, text: str, end: bool = False) -> None:
        """Send a frame that must not be skipped, after those that wait."""
        if self.closed:
            return
        if len(subscription.queue) >= MAX_WAITING:
            self.starve(subscription)
            return
        subscription.queue.append((seq, text, end))
        self._pending[subscription] = None
        self._pump()

    def put_snapshot(
        self, subscription: Subscription, epoch: str, seq: int, text: str, end: bool, earlier: Sequence[str] = ()
    ) -> None:
        """Send a snapshot, in the place of older news; from then on the socket is told what follows it.

        Of one in several frames `text` is the last, and `earlier` are those before it.
        """
        subscription.before = (text, *subscription.held)
        subscription.epoch, subscription.seq, subscription.ready = epoch, seq, True
        subscription.update = None
        if len(subscription.queue) >= MAX_WAITING:
            self.starve(subscription)
            return
        subscription.queue.extend((seq, one, False) for one in earlier)
        subscription.queue.append((seq, text, end))
        if not self.closed:
            self._pending[subscription] = None
            self._pump()

    def starve(self, subscription: Subscription) -> None:
        """Drop what waits for `subscription`: it gets one snapshot, made when it reads again."""
        if subscription.lacks is not None:
            subscription.seq = min(subscription.seq, subscription.lacks)
            subscription.lacks = None
        if subscription.before is not None:  # the snapshot that waited brought lines that are dropped with it
            _, subscription.epoch, subscription.seq = subscription.before
            subscription.before = None
        subscription.queue.clear()
        subscription.update = None
        subscription.ready = False
        self._pending.pop(subscription, None)
        if not self.closed:
            self._starved[subscription] = None

    def put_answer(self, frame: Error | Feed) -> bool:
        """Send a small frame outside any task: an error, a feed. False where it was dropped: nobody reads."""
        if self.closed or not self.has_room:
            return False
        text = dumps(frame)
        self._hand_over({"type": "websocket.send", "text": text}, len(text))
        return True

    def forget(self, subscription: Subscription) -> None:
        """Send nothing more of this task."""
        self._pending.pop(subscription, None)
        self._starved.pop(subscription, None)

    def close(self, code: int) -> None:
        """Close the socket, after what is under way."""
        if self.closed:
            return
        self.closed = True
        self._pending.clear()
        self._starved.clear()
        self._drive({"type": "websocket.close", "code": code})
        if self.on_closed is not None:
            self.on_closed()

    def gone(self) -> None:
        """The browser is away."""
        self.closed = True
        self._pending.clear()
        self._starved.clear()
        if self._busy is not None:
            self._busy.cancel()

    def _pump(self) -> None:
        """Send what waits, as long as the socket takes it at once."""
        while self._pending and self._busy is None and self.has_room and not self.closed:
            subscription = next(iter(self._pending))
            frame = subscription.next()
            if frame is None:
                del self._pending[subscription]
                continue
            seq, text, end = frame
            subscription.seq = max(subscription.seq, seq)
            if subscription.before is not None and text is subscription.before[0]:
                subscription.before = None
            self._newest = max(self._newest, seq)
            self._hand_over({"type": "websocket.send", "text": text}, len(text))
            self._ask_early(subscription)
            if end and self.closes_at_end:
                self.close(CloseCode.FINISHED)
        if self._starved and self._busy is None and self.has_room and not self.closed:
            starved, self._starved = self._starved, {}
            for subscription in starved:
                self._lost(subscription)

    def _hand_over(self, event: Event, size: int) -> None:
        self.sent += size
        self._drive(event)

    def _drive(self, event: Event) -> None:
        """Call the server's `send`, after the one before it."""
        if self._busy is not None:
            self._busy = asyncio.create_task(self._after(self._busy, self._send(event)))
            self._busy.add_done_callback(self._free_again)
            return
        try:
            self._busy = begin(self._send(event))
        except Exception as error:
            self._fail(error)
            return
        if self._busy is not None:
            self._busy.add_done_callback(self._free_again)

    def _fail(self, error: BaseException) -> None:
        """The server could not send: the connection is gone, or it refuses the frame. Then the browser comes again."""
        if self.closed:
            return
        if not isinstance(error, OSError):
            logger.warning("A frame could not be sent: %s: %s", type(error).__name__, error)
        self.close(CloseCode.UNAVAILABLE)

    @staticmethod
    async def _after(first: asyncio.Task[None], second: Coroutine[object, None, None]) -> None:
        await asyncio.wait([first])
        await second

    def _free_again(self, task: asyncio.Task[None]) -> None:
        if task is not self._busy:
            return
        self._busy = None
        if task.cancelled():
            return
        if (error := task.exception()) is not None:
            self._fail(error)
            return
        self._pump()

    # --- is anybody reading? ------------------------------------------------------------------------------------------

    def tick(self, now: float, epoch: str, seq: int) -> None:
        """Called every second: ping when it is time, close when nobody answers."""
        self._now = now
        if self.closed:
            return
        full = not self.has_room
        if not full:
            self._full_since = None
        elif self._full_since is None:
            self._full_since = now
        elif now - self._full_since > PATIENCE:
            self.close(CloseCode.TOO_SLOW)
            return
        if self._ping is not None:
            if not full and now - self._ping[2] > PATIENCE:
                self.close(CloseCode.NO_PONG)
        elif now - self._pinged_at > PING_INTERVAL or self.sent - self._acked > PING_AFTER:
            self._ask(now, epoch, seq)

    def _ask_early(self, subscription: Subscription) -> None:
        """Ping as soon as much is under way: waiting for the next tick would hold a busy log to a window a second."""
        if self._ping is None and self.sent - self._acked > PING_AFTER:
            if self.closes_at_end:
                self._ask(self._now, *subscription.held)
            else:
                self._ask(self._now, "", 0)

    def _ask(self, now: float, epoch: str, seq: int) -> None:
        if self.closes_at_end:
            self._newest = max(self._newest, seq)
        else:  # many tasks, many numbers: one that nobody guesses, to be sent back as it is
            self._newest = seq = secrets.randbelow(2**31)
        text = dumps(ping(epoch, seq))
        self._pinged_at = now
        self._ping = (seq, self.sent, now)
        self._hand_over({"type": "websocket.send", "text": text}, len(text))

    def holds(self, seq: int) -> None:
        """The browser came back with `seq` of the same record, so it may claim that much."""
        self._newest = max(self._newest, seq)

    def pong(self, seq: int) -> bool:
        """The browser has applied frames up to `seq`: what was sent before that ping is read. False if it answers none.

        A `seq` that never went out is a guess, and gives no room: only a reader knows which numbers came.
        """
        if self._ping is None or not self._ping[0] <= seq <= self._newest:
            return False
        self._acked = self._ping[1]
        self._ping = None
        self._full_since = None  # it reads; that the window is full again at once is no sign of the contrary
        self._pump()
        return True
