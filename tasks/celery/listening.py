"""Whoever waits for an end hears of it at once: the live record's last word travels through Redis anyway.

One subscription connection a process, for all of its threads. It is a wake-up, never the truth: whoever was woken looks
into the database. Whoever begins to wait is woken by the answer to its own SUBSCRIBE as well, so an end between the
first look and the subscription is not missed; nor is one while the connection was lost: that is subscribed anew.
While Redis is away the caller looks every half second, as without this.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Protocol, TypedDict, cast

import redis
from channels.layers import get_channel_layer
from django.conf import settings

from progress.layer import ProgressChannelLayer
from progress.record import group_name
from progress.redis import make_client

logger = logging.getLogger(__name__)

#: Seconds for which nobody asks a Redis that did not answer.
REST = 5.0
#: Seconds without anybody who waits after which the connection is closed.
IDLE = 30.0
#: Channels in one SUBSCRIBE.
AT_ONCE = 1_000


class Heard(TypedDict):
    """What comes out of a subscription: "subscribe", "unsubscribe", or a "message" with its data."""

    type: str
    channel: bytes | str
    data: bytes


class Subscription(Protocol):
    """Redis' PubSub, which has no types."""

    def subscribe(self, *channels: str) -> object: ...

    def unsubscribe(self, *channels: str) -> object: ...

    def get_message(self, *, timeout: float) -> Heard | None: ...

    def close(self) -> None: ...


class Ears:
    """The process's subscription. Its thread lives while somebody waits, and a while longer."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[str, set[threading.Event]] = {}
        self._pubsub: Subscription | None = None
        self._thread: threading.Thread | None = None
        self._rest_until = 0.0
        self._layer = cast(ProgressChannelLayer, get_channel_layer())

    @contextmanager
    def listening(self, task_ids: Iterable[str]) -> Iterator[threading.Event]:
        """An event that is set when one of the tasks may have ended. Never raises for a Redis that is away."""
        event = threading.Event()
        channels = [self._layer.group_channel(group_name(task_id)) for task_id in task_ids]
        self._add(channels, event)
        try:
            yield event
        finally:
            self._remove(channels, event)

    def _add(self, channels: list[str], event: threading.Event) -> None:
        with self._lock:
            for channel in channels:
                self._waiting.setdefault(channel, set()).add(event)
            if time.monotonic() < self._rest_until:
                return
            try:
                if self._pubsub is None:
                    client = make_client(settings.PROGRESS_REDIS_URL)
                    subscription: Callable[[], Subscription] = client.pubsub  # it has no types
                    self._pubsub = subscription()
                    channels = list(self._waiting)
                for at in range(0, len(channels), AT_ONCE):
                    self._pubsub.subscribe(*channels[at : at + AT_ONCE])
            except (redis.RedisError, OSError) as error:
                self._give_up(error)
                return
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._read, name="tasks-ends", daemon=True)
                self._thread.start()

    def renew(self) -> None:
        """Hear again, after Redis was away. For whoever has waited for a while."""
        if self._pubsub is None:
            self._add([], threading.Event())

    def _remove(self, channels: list[str], event: threading.Event) -> None:
        with self._lock:
            left = []
            for channel in channels:
                events = self._waiting.get(channel, set())
                events.discard(event)
                if not events and self._waiting.pop(channel, None) is not None:
                    left.append(channel)
            if self._pubsub is None or not left:
                return
            try:
                for at in range(0, len(left), AT_ONCE):
                    self._pubsub.unsubscribe(*left[at : at + AT_ONCE])
            except (redis.RedisError, OSError) as error:
                self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        logger.debug("Ends are looked for, not heard, while Redis is away: %s", error)
        self._rest_until = time.monotonic() + REST
        pubsub, self._pubsub = self._pubsub, None
        if pubsub is not None:
            with suppress(redis.RedisError, OSError):
                pubsub.close()

    def _read(self) -> None:
        idle_since = time.monotonic()
        while True:
            with self._lock:
                pubsub = self._pubsub
                if self._waiting:
                    idle_since = time.monotonic()
                elif time.monotonic() - idle_since > IDLE and pubsub is not None:
                    self._pubsub = None
                    pubsub.close()
                    pubsub = None
                if pubsub is None:
                    self._thread = None
                    return
            try:
                message = pubsub.get_message(timeout=1.0)
            except Exception as error:  # also of a connection that another thread has given up
                with self._lock:
                    if self._pubsub is pubsub:
                        self._give_up(error)
                continue
            if message is not None and self._is_news(message):
                channel = message["channel"]
                with self._lock:
                    events = list(self._waiting.get(channel.decode() if isinstance(channel, bytes) else channel, ()))
                for event in events:
                    event.set()

    def _is_news(self, message: Heard) -> bool:
        if message["type"] == "subscribe":
            return True
        if message["type"] != "message":
            return False
        try:
            return bool(self._layer.deserialize(message["data"]).get("final"))
        except Exception:
            return True  # it cannot be read: look


_ears: Ears | None = None
_making = threading.Lock()


def ears() -> Ears:
    """This process's."""
    global _ears
    with _making:
        if _ears is None:
            _ears = Ears()
        return _ears


def _forget() -> None:
    global _ears, _making
    _ears, _making = None, threading.Lock()


if hasattr(os, "register_at_fork"):
    # Neither a thread nor its half of a connection survives a fork.
    os.register_at_fork(after_in_child=_forget)
