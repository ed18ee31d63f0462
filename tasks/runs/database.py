"""A database that is locked or away for a while is waited for: the work is done, or about to begin."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from django.db import InterfaceError, OperationalError, connection, connections

T = TypeVar("T")

#: Seconds for which a claim or an end is tried again before the attempt counts as lost.
RETRY_FOR = 30.0
#: Seconds between two tries.
PAUSE = 0.5

#: PostgreSQL's word for a lock that was waited for in vain.
LOCK_NOT_AVAILABLE = "55P03"
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


def keep_connections() -> None:
    """Let the connections of a worker's processes and threads outlive a task: making one is a third of a claim.

    Not where a task has a greenlet of its own, and with it connections of its own: those end with it.
    """
    for alias in connections:
        options = connections.settings[alias]
        if options["ENGINE"] == "django.db.backends.sqlite3":
            options["CONN_MAX_AGE"] = None  # a file: there is no server that could have closed it
        elif options["ENGINE"].endswith(".postgresql") and "pool" not in options["OPTIONS"]:
            # A connection that was cut, or has gone silent, is noticed by the claim, which asks once more.
            options["CONN_HEALTH_CHECKS"] = False


#: Seconds for which the sweep waits for a row that somebody has locked; it comes again.
LOCK_WAIT = 1


def unless_locked(move: Callable[[], object]) -> bool:
    """Make `move`; False where somebody holds its row: one that is frozen in a fence holds up nobody else."""
    if connection.vendor != "postgresql":  # SQLite has one lock for everybody
        move()
        return True
    with connection.cursor() as cursor:  # of the session, not of a transaction: what is told must be committed
        cursor.execute(f"SET lock_timeout = '{LOCK_WAIT}s'")
    try:
        move()
    except OperationalError as error:
        if getattr(error.__cause__, "sqlstate", "") != LOCK_NOT_AVAILABLE:
            raise
        return False
    finally:
        if connection.connection is not None:
            with connection.cursor() as cursor:
                cursor.execute("SET lock_timeout = DEFAULT")
    return True


class Patience:
    """Of a caller that waits for `timeout` seconds (None: without end), and for a database for `RETRY_FOR` of them."""

    def __init__(self, timeout: float | None) -> None:
        self._until = None if timeout is None else time.monotonic() + timeout

    def left(self) -> float | None:
        """Seconds that are left; None without end."""
        return None if self._until is None else max(self._until - time.monotonic(), 0.0)

    def ask(self, question: Callable[[], T]) -> T:
        """The answer. Raises what a database says that stays away, or is asked within a transaction."""
        away_since: float | None = None
        while True:
            try:
                return question()
            except DatabaseAway:
                now = time.monotonic()
                away_since = now if away_since is None else away_since
                if connection.in_atomic_block or now - away_since > RETRY_FOR or self.left() == 0:
                    raise
                connection.close()
                time.sleep(PAUSE)


def reconnect() -> bool:
    """Drop a connection that its server has closed, so that the next question makes a new one.

    False where that would help nobody: the connection is good, or in the middle of a transaction.
    """
    if connection.in_atomic_block or connection.connection is None or connection.is_usable():
        return False
    connection.close()
    return True
