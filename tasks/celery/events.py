"""Celery's event of a start (`task-sent`), for as long as somebody hears it: Flower, or whoever else subscribes.

Publishing it costs as much as the message itself. Redis answers a PUBLISH with the number of those who hear it; after
a 0 nothing is published for `DEAF_FOR` seconds, so one who subscribes hears the starts from then on. (The events of
workers are always published: Flower, which asks for them every few seconds, would miss what began before.)
"""

from __future__ import annotations

import time
from typing import Any

from celery import current_app
from kombu.utils.json import dumps

from .types import RedisChannel

#: Seconds for which no event of a start is published after one that nobody heard.
DEAF_FOR = 2.0


class StartEvents:
    """Of this process, in the place of Celery's own dispatcher."""

    def __init__(self) -> None:
        self._deaf_until = float("-inf")
        #: The last one was.
        self.heard = False

    def publish(self, kind: str, fields: dict[str, object], producer: Any, **options: object) -> None:
        """As Celery's own. In a pipeline, whose answers say nothing, if the one before it was heard."""
        many = getattr(producer._batch_local, "current", None) is not None
        if self.heard if many else time.monotonic() >= self._deaf_until:
            amqp: Any = current_app.amqp
            amqp._event_dispatcher.publish(kind, fields, producer, **options)

    def heard_by(self, many: int) -> None:
        """How many heard what was published."""
        self.heard = many > 0
        self._deaf_until = float("-inf") if many else time.monotonic() + DEAF_FOR


start_events = StartEvents()

_put_fanout = RedisChannel._put_fanout


def _put_counted(channel: Any, exchange: str, message: object, routing_key: str, **kwargs: object) -> None:
    """kombu's, which does not say who heard it."""
    if routing_key != "task.sent" or kwargs.get("_publish_batch") is not None:
        _put_fanout(channel, exchange, message, routing_key, **kwargs)
        return
    payload = dumps(message)
    with channel.conn_or_acquire() as client:
        topics = channel._get_publish_topics(exchange, routing_key)
        start_events.heard_by(sum(client.publish(topic, payload) for topic in topics))


RedisChannel._put_fanout = _put_counted
