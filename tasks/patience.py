"""A database that is locked or away for a while is waited for: the work is done, or about to begin."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from django.db import InterfaceError, OperationalError, connection

T = TypeVar("T")

#: Seconds for which a claim or an end is tried again before the attempt counts as lost.
PATIENCE = 30.0
#: Seconds between two tries.
PAUSE = 0.5

#: What a database says that is locked or away.
DatabaseAway = (OperationalError, InterfaceError)


def patiently(call: Callable[[], T]) -> T:
    """What `call` returns. Raises what the database says after `PATIENCE` seconds."""
    until = time.monotonic() + PATIENCE
    while True:
        try:
            return call()
        except DatabaseAway:
            if time.monotonic() > until:
                raise
            connection.close()
            time.sleep(PAUSE)
