"""What a process keeps from task to task, where Celery and kombu make it anew for each.

Celery closes every database connection before and after each task: connecting was a third of what a claim cost. kombu
makes a Redis client for each message. A setting that nobody has set is looked for in Django's settings each time.
"""

from __future__ import annotations

import gc
import logging
from typing import Any

from celery import Celery, signals
from django.conf import settings
from django.db import close_old_connections, connections
from kombu.transport.redis import Channel

from .types import RedisChannel, Worker

logger = logging.getLogger(__name__)

#: Pools in which a task has a greenlet of its own, and with it connections of its own: those end with it.
GREENLETS = ("gevent", "eventlet")


@signals.worker_before_create_process.connect
def _share_memory(**_: object) -> None:
    # A garbage collection of the child writes to all that it looks at, and what is written to is not shared with the
    # parent any more. What is there before the fork it does not look at: a process takes 24 MB of its own and not 57.
    if not gc.get_freeze_count():
        gc.collect()
    gc.freeze()


@signals.worker_init.connect
def _keep_connections(sender: Worker, **_: object) -> None:
    pool = sender.pool_cls if isinstance(sender.pool_cls, str) else sender.pool_cls.__module__
    if any(word in pool for word in GREENLETS):
        return
    for alias in connections:
        options = connections.settings[alias]
        if options["ENGINE"] == "django.db.backends.sqlite3":
            options["CONN_MAX_AGE"] = None  # a file: there is no server that could have closed it
        elif options["ENGINE"].endswith(".postgresql") and "pool" not in options["OPTIONS"]:
            # A connection that was cut, or has gone silent, is noticed by the claim, which asks once more.
            options["CONN_HEALTH_CHECKS"] = False
    for fixup in sender.app._fixups:
        if hasattr(fixup, "worker_fixup"):
            # Called before and after each task. (After a fork `_close_database` still closes what was inherited.)
            fixup.worker_fixup.close_database = _close_old


def _close_old(**_: object) -> None:
    """Those that are broken, or older than their `CONN_MAX_AGE`."""
    close_old_connections()


def keep_defaults(app: Celery) -> None:
    """Celery's defaults of what is not set are found at the first look: each start asks for a dozen."""
    conf: Any = app.conf
    assert conf.task_default_queue  # looks at the settings, if nobody has yet
    live = ("eager",)  # tests set these while they run
    conf.changes.update(
        {
            key: conf[key]
            for key in conf.maps[-1]
            if not any(word in key for word in live)
            and key not in conf.changes
            and not hasattr(settings, f"CELERY_{key.upper()}")
        }
    )


_create_client = RedisChannel._create_client


def _kept_client(channel: Channel, asynchronous: bool = False) -> object:
    """kombu makes a client for each message: a third of what it costs to send one. It has no state but its pool."""
    if asynchronous:
        return _create_client(channel, asynchronous=True)
    kept = channel.__dict__.get("_tasks_client")
    if kept is None or kept.connection_pool is not channel.pool:
        kept = channel.__dict__["_tasks_client"] = _create_client(channel)
    return kept


RedisChannel._create_client = _kept_client
