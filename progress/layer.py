"""The channel layer: channels_redis' pub/sub layer, plus what a worker without an event loop and the hub need of it.

The pub/sub layer's format is private to channels_redis: a group's messages go to the Redis channel
`{prefix}__group__{group}`, and their payload is `serialize(message)`. This file is the only one that knows it;
`requirements.in` pins channels_redis 4.3, and `tests/live/test_layer.py` sends through both ends.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Mapping, Sequence

import redis
from channels_redis.pubsub import RedisPubSubChannelLayer
from django.conf import settings

from .listener import MAX_TEXT, Listener, Published, is_published
from .redis import make_client

logger = logging.getLogger(__name__)

#: Bytes of a message; a longer one is none of ours, and to deserialize it would hold up every socket.
MAX_BYTES = 4 * MAX_TEXT


class ProgressChannelLayer(RedisPubSubChannelLayer):
    """`RedisPubSubChannelLayer` with a synchronous `group_send` and a `Listener` for the hub.

    One Redis server (`hosts` with one entry) and no `symmetric_encryption_keys`: the record's Lua script writes the
    payload itself. `progress.checks` says so at start.
    """

    def __init__(self, hosts: Sequence[object] | None = None, prefix: str = "asgi", **options: object) -> None:
        super().__init__(hosts=hosts, prefix=prefix, **options)
        self.prefix = prefix
        first = (hosts or [{"address": "redis://localhost:6379"}])[0]
        # Sentinels have no address of one server: where the record is, the layer is.
        address = first.get("address") if isinstance(first, dict) else first
        self._url = str(address or settings.PROGRESS_REDIS_URL)
        self._client: redis.Redis | None = None

    def listener(self) -> Listener:
        """A new end of this layer, for the running event loop."""
        return _ChannelListener(self)

    def group_channel(self, group: str) -> str:
        """The Redis channel on which the messages of `group` travel."""
        return f"{self.prefix}__group__{group}"

    def sync_group_send(self, group: str, message: Mapping[str, object]) -> None:
        """`group_send` for code without an event loop: one PUBLISH on a kept connection. Raises `redis.RedisError`."""
        if self._client is None:
            self._client = make_client(self._url)
        self._client.publish(self.group_channel(group), self.serialize(message))

    def round_trip(self, timeout: float) -> float | None:
        """The seconds from a publish until it arrives; None when it does not within `timeout`. For health checks."""
        group = f"round-trip-{secrets.token_hex(8)}"
        began = time.monotonic()
        with make_client(self._url, socket_timeout=timeout, socket_connect_timeout=timeout) as client:
            pubsub = client.pubsub(ignore_subscribe_messages=False)
            pubsub.subscribe(self.group_channel(group))
            pubsub.get_message(timeout=timeout)  # the subscription is there
            message = {"type": "progress.round_trip"}
            client.publish(self.group_channel(group), self.serialize(message))
            came = pubsub.get_message(timeout=timeout)
            pubsub.close()
        if came is None or came["type"] != "message" or self.deserialize(came["data"]) != message:
            return None
        return time.monotonic() - began

    async def receive_many(self, channel: str) -> list[dict[str, object]]:
        """All messages that have arrived on `channel`: a reader who is behind sees at once how far.

        Waits for one; what cannot be deserialized is left out, so there may be none.
        """
        queue: asyncio.Queue[bytes] = self.channels[channel]
        arrived = [await queue.get()]
        # Let the receiver read what has reached the socket already, so that old news is known to be old.
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        while not queue.empty():
            arrived.append(queue.get_nowait())
        messages = []
        for data in arrived:
            try:
                if len(data) > MAX_BYTES:
                    raise ValueError(f"{len(data)} bytes")
                messages.append(self.deserialize(data))
            except Exception as error:  # another program's, by another serializer
                logger.debug("Left out a message that is not ours: %s: %s", type(error).__name__, error)
        return messages


class _ChannelListener:
    """A `Listener` over one channel of the layer."""

    def __init__(self, layer: ProgressChannelLayer) -> None:
        self._layer = layer
        self._channel = ""

    async def open(self) -> None:
        before, self._channel = self._channel, await self._layer.new_channel()
        self._layer.channels.pop(before, None)
        for channels in self._layer.groups.values():
            channels.discard(before)

    async def join(self, group: str) -> None:
        await self._layer.group_add(group, self._channel)

    async def leave(self, group: str) -> None:
        await self._layer.group_discard(group, self._channel)

    async def receive(self) -> list[Published]:
        return [message for message in await self._layer.receive_many(self._channel) if is_published(message)]


class _OncePerOutage(logging.Filter):
    """channels_redis writes a traceback a second while Redis is away; one line per half minute says as much."""

    def __init__(self) -> None:
        super().__init__()
        self._last = 0.0

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if not isinstance(error, (redis.RedisError, OSError)):
            return True
        if time.monotonic() - self._last < 30:
            return False
        self._last = time.monotonic()
        record.msg, record.args = f"The channel layer cannot reach Redis, will try again: {error}", ()
        record.exc_info = None
        record.levelno, record.levelname = logging.WARNING, "WARNING"
        return True


logging.getLogger("channels_redis.pubsub").addFilter(_OncePerOutage())
