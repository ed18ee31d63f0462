"""The worker's consumer, which lives through an outage of its broker and comes back soon after it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Any

import redis
from celery.worker import state
from celery.worker.consumer import Consumer
from django.db import connection
from kombu import Connection, Message
from kombu.transport.redis import Channel

from progress.messages import TaskError
from tasks import runs
from tasks.runs.worker import identity

from .request import in_parent
from .start import adopt_unknown
from .types import RedisChannel

logger = logging.getLogger(__name__)

#: Seconds between two tries to reach a broker that is away. Celery's own grow to 30: after an outage of a minute,
#: queued tasks waited for half of one more.
RETRY_START, RETRY_STEP, RETRY_MAX = 0.5, 0.5, 2.0
#: Seconds between two looks for messages while greenlets work. A consumer of kombu that holds as many as it may asks
#: Redis for none, and what is acknowledged meanwhile does not wake it: it slept for 2 s, however short the tasks were.
LOOK_EVERY = 0.05


class SoonBack(Consumer):
    """Celery's consumer with short pauses between its tries."""

    def ensure_connected(self, conn: Any) -> Connection:
        """Connect, however long it takes."""
        conn.ensure_connection = partial(
            conn.ensure_connection, interval_start=RETRY_START, interval_step=RETRY_STEP, interval_max=RETRY_MAX
        )
        connected = super().ensure_connected(conn)
        if self.hub is None:  # type: ignore[attr-defined]  # greenlets: all others are woken by their event loop
            connected.drain_events = partial(_drain, connected.drain_events)  # type: ignore[method-assign,assignment]
        return connected

    def on_unknown_task(self, body: object, message: Message, exc: Exception) -> None:
        """FAILURE, also of what waits for it: all that the message carries is stored first."""
        try:
            adopt_unknown(self.app, message)
        except Exception:
            logger.exception("A message of a task that nobody knows could not be stored.")
        with in_parent(str(message.headers.get("id"))):
            super().on_unknown_task(body, message, exc)

    def on_invalid_task(self, body: object, message: Message, exc: Exception) -> None:
        """FAILURE of a run whose message no worker can read: it would be sent again and again."""
        self._record_unreadable(message, exc)
        super().on_invalid_task(body, message, exc)

    def create_task_handler(self, *args: Any, **kwargs: Any) -> Callable[[Message], object]:
        """Celery's. What breaks it is thrown away: it would end this worker, and then every other one that gets it."""
        handle = super().create_task_handler(*args, **kwargs)
        away = (OSError, MemoryError, *self.connection_errors, *self.conninfo.channel_errors)  # type: ignore[attr-defined]

        def received(message: Message) -> object:
            try:
                return handle(message)
            except away:
                raise
            except Exception as error:
                logger.exception("A message that cannot be read is thrown away.")
                self._record_unreadable(message, error)
                message.reject_log_error(logger, self.connection_errors)  # type: ignore[attr-defined]
                return None

        return received

    @staticmethod
    def _record_unreadable(message: Message, error: Exception) -> None:
        try:
            task_id = (message.headers or {}).get("id")
            told: TaskError = {"type": "InvalidMessage", "message": runs.plain(str(error))[: runs.MAX_ERROR]}
            if isinstance(task_id, str):
                runs.end(task_id, "FAILURE", worker=identity(), error=told)
        except Exception:
            logger.exception("A message that cannot be read could not be recorded.")
        finally:
            connection.close()  # this is the parent of the pool: no process may inherit it


def _drain(drain_events: Callable[..., object], timeout: float | None = None) -> object:
    return drain_events(timeout=min(timeout or LOOK_EVERY, LOOK_EVERY) if state.reserved_requests else timeout)


_connparams = RedisChannel._connparams


def _connparams_or_error(channel: Channel, asynchronous: bool = False) -> object:
    # kombu 5.7 closes a lost connection, and then its channel gives back or acknowledges messages over it:
    # AttributeError: 'NoneType' object has no attribute 'hostname'. That ended the worker ("Unrecoverable error") when
    # Redis refused connections while a task ran. As a lost connection it is handled everywhere.
    if channel.connection is None or channel.connection.client is None:
        raise redis.ConnectionError("The broker's connection was closed.")
    return _connparams(channel, asynchronous)


RedisChannel._connparams = _connparams_or_error
