"""What is asked of the broker itself, whichever it is."""

from __future__ import annotations

from typing import Any

from amqp.exceptions import NotFound
from celery import current_app
from django.conf import settings
from kombu import Connection
from kombu.transport.redis import Channel as RedisChannel

from tasks.runs.ask import LastAnswer

#: Seconds between two looks whether it answers, and those that the first of all waits.
LOOK_EVERY = 1.0
LOOK_PATIENCE = 0.5


def ping(timeout: float) -> None:
    """Return when the broker has answered; raises what its client raises when it has not after about `timeout` s."""
    with current_app.connection_for_write(connect_timeout=timeout) as connection:
        connection.connect()  # Redis: with a PING; RabbitMQ: a whole handshake


def count(queue: str) -> int:
    """How many messages wait in `queue`, of every priority. Raises what its client raises when it cannot say."""
    with current_app.connection_for_read() as connection:
        connection.connect()  # raises at once, where a channel alone would wait for a broker without end
        return _count(connection, queue)


def _count(connection: Any, queue: str) -> int:
    with connection.channel() as channel:
        if isinstance(channel, RedisChannel):
            # Not a passive declaration: kombu 5.7 asks EXISTS without the prefix of the keys, and says 404 for a queue
            # that is full.
            return int(channel._size(queue))
        try:
            return int(channel.queue_declare(queue=queue, passive=True).message_count)
        except NotFound:
            return 0  # an AMQP broker has said that there is no such queue


def answers() -> bool:
    """True if the broker answered just now. Never raises, and waits half a second at most, the first time.

    Only where it is not the Redis that the workers beat into: that one is looked at already.
    """
    return not is_separate() or _look.answer()


def is_separate() -> bool:
    """True if messages travel through another server than everything else."""
    return bool(settings.BROKER_URL != settings.REDIS_URL)


class _Line:
    """One connection, kept from look to look: a broker writes each that comes and goes into its log."""

    def __init__(self) -> None:
        self._connection: Connection | None = None

    def answers(self) -> bool:
        if self._connection is None:
            self._connection = current_app.connection_for_write(connect_timeout=LOOK_PATIENCE)
        try:
            self._connection.connect()
            _count(self._connection, current_app.conf.task_default_queue)
        except Exception:  # whatever its client raises: it is no answer
            connection, self._connection = self._connection, None
            connection.collect()
            return False
        return True


_look = LastAnswer("tasks-broker", _Line().answers, every=LOOK_EVERY, seconds=LOOK_PATIENCE)
