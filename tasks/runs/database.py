"""A database that is locked or away for a while is waited for: the work is done, or about to begin."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from django.db import InterfaceError, OperationalError, connection

T = TypeVar("T")

#: Seconds for which a claim or an end is tried again before the attempt counts as lost.
RETRY_FOR = 30.0
#: Seconds between two tries.
PAUSE = 0.5

#: What a database says that is locked or away.
DatabaseAway = (OperationalError, InterfaceError)


def with_retries(call: Callable[[], T]) -> T:
    """What `call` returns. Raises what the database says after `RETRY_FOR` seconds."""
    until = time.monotonic() + RETRY_FOR
    while True:
        try:
            return call()
        except DatabaseAway:
            if time.monotonic() > until:
                raise
            connection.close()
            time.sleep(PAUSE)


class Patience:
    """Of a caller that waits for `timeout` seconds (None: without end), and for a database for `RETRY_FOR` of them."""

    def __init__(self, timeout: float | None) -> None:
        self._until = None if timeout is None else time.monotonic() + timeout
        self._away_since: float | None = None

    def left(self) -> float | None:
        """Seconds that are left; None without end."""
        return None if self._until is None else max(self._until - time.monotonic(), 0.0)

    def answered(self) -> None:
        """The database has answered."""
        self._away_since = None

    def pause(self) -> bool:
        """The database was away: wait a moment. False where another try would help nobody."""
        now = time.monotonic()
        self._away_since = now if self._away_since is None else self._away_since
        if connection.in_atomic_block or now - self._away_since > RETRY_FOR or self.left() == 0:
            return False
        connection.close()
        time.sleep(PAUSE)
        return True


def reconnect() -> bool:
    """Drop a connection that its server has closed, so that the next question makes a new one.

    False where that would help nobody: the connection is good, or in the middle of a transaction.
    """
    if connection.in_atomic_block or connection.connection is None or connection.is_usable():
        return False
    connection.close()
    return True
