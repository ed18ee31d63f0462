"""What is true of a task this moment, outside the event loop: its stored state with what its worker has published."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import redis

from .held import Held, Since
from .messages import TaskState
from .record import get_record
from .state import merge

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Now:
    """The whole state, and the live record that it was made with; `reached` is False while Redis is away."""

    task: TaskState
    held: Held
    reached: bool = True


def now(stored: TaskState, *, log: bool = False) -> Now:
    """`stored` as it is now, with the log lines that are held where they are wanted."""
    try:
        held, reached = get_record().read(stored["id"], Since(log=log)), True
    except (redis.RedisError, OSError) as error:
        logger.debug("The record of %s cannot be read: %s", stored["id"], error)
        held, reached = Held(), False
    return Now(merge(stored, held.changing), held, reached)
