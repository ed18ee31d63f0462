"""A `celery beat` beside the workers: what the sweep fires it does not send, whatever its scheduler."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Protocol

from celery import signals
from celery.beat import ScheduleEntry

from tasks.schedules.entry import entries

from .types import TaskRequest

logger = logging.getLogger(__name__)

NEEDLESS = "No `celery beat` is needed here: the workers fire %s, and this process sends none of their ticks."


class Scheduler(Protocol):
    """What a beat asks for its entries, and sends them with."""

    apply_async: Callable[..., object]

    def reserve(self, entry: ScheduleEntry) -> object:
        """Pass over it until it is due again."""


class Beat(Protocol):
    """Celery's service."""

    scheduler: Scheduler


@signals.beat_init.connect
def leave_to_the_sweep(sender: Beat, **_: object) -> None:
    """From now on this process sends only entries that no worker knows."""
    scheduler, known = sender.scheduler, set(entries())
    send = scheduler.apply_async

    def apply_async(entry: ScheduleEntry, *args: object, **kwargs: object) -> object:
        if entry.name in known:
            if kwargs.get("advance", True):
                scheduler.reserve(entry)
            logger.debug("%s is left to the workers.", entry.name)
            return None
        return send(entry, *args, **kwargs)

    scheduler.apply_async = apply_async
    logger.warning(NEEDLESS, ", ".join(sorted(known)) or "every entry that they know")


def is_of_a_beat(request: TaskRequest) -> bool:
    """True for a message that another program's beat sent for an entry of ours: django-celery-beat says which."""
    name = request.get("periodic_task_name")
    return bool(name) and name in entries()
