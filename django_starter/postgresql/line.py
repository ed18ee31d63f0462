"""A connection that notices that it has gone silent.

The kernel (keepalives, `tcp_user_timeout`) notices a machine that is gone. It does not notice a firewall, proxy or
server that still takes our packets and has nothing to say. So whoever has waited for `SILENT_AFTER` seconds asks the
server, over a new connection, whether it still works on the question: a slow query is waited for, a lost one is not.
"""

from __future__ import annotations

import select
import time
from collections.abc import Callable
from typing import TypeVar

import psycopg
from psycopg.abc import PQGen
from psycopg.conninfo import make_conninfo
from psycopg.pq import TransactionStatus
from psycopg.rows import TupleRow

#: Seconds without a byte after which the server is asked, and between two such questions.
SILENT_AFTER = 3.0
#: Seconds between two looks at how long that is: psycopg's own number.
LOOK_EVERY = 0.1
#: Seconds until it is asked once more, when it has said that it does not work on the question: its answer may just
#: have been on its way.
ON_ITS_WAY = 1.0
#: Seconds that the server may take to be reached, and to say so.
ANSWERS_WITHIN = 2
#: Seconds after which a line is given up on of which the server cannot say anything (it takes no more connections; a
#: pooler is in between, which has process numbers of its own).
GIVEN_UP_AFTER = 30.0

T = TypeVar("T")


class Line(psycopg.Connection[TupleRow]):
    """A connection to PostgreSQL, over which no answer is waited for that cannot come."""

    def wait(self, gen: PQGen[T], interval: float = LOOK_EVERY, timeout: float | None = None) -> T:
        """See psycopg. Raises OperationalError when the line has gone silent; it is closed then."""
        return super().wait(watched(gen, self._silent, SILENT_AFTER), interval, timeout)

    def is_cut(self) -> bool:
        """True if it is closed, or its server has closed it while nobody looked. Asks no server."""
        if self.closed:
            return True
        poll = select.poll()
        poll.register(self.pgconn.socket, select.POLLIN)
        return bool(poll.poll(0))  # nobody has asked, so what has come is its end (or a notice)

    def _silent(self, seconds: float) -> float:
        """It has been silent for `seconds`. After how many more to look again; raises when it is given up."""
        if self.pgconn.transaction_status != TransactionStatus.ACTIVE:
            return SILENT_AFTER  # nobody has asked anything: LISTEN waits for as long as it likes
        at_work = self._is_worked_on()
        if at_work:
            self._doubted = False
            return SILENT_AFTER
        if at_work is None and seconds < GIVEN_UP_AFTER:
            return SILENT_AFTER
        if at_work is False and not self._doubted:
            self._doubted = True
            return ON_ITS_WAY
        raise self._given_up(f"The connection has been silent for {seconds:.0f} s; it was closed.")

    _doubted = False

    def _given_up(self, why: str) -> psycopg.OperationalError:
        self.pgconn.finish()  # not close(): that belongs to a pool
        pool = getattr(self, "_pool", None)  # set by a pool alone
        if pool is not None:
            pool.drain()  # what was opened over the same cable is silent as well
        return psycopg.OperationalError(why)

    def _is_worked_on(self) -> bool | None:
        """Whether the server still works on our question; None when it cannot say."""
        info = self.info
        conninfo = make_conninfo(
            info.dsn,
            host=info.host,
            port=info.port,
            password=info.password or None,
            connect_timeout=ANSWERS_WITHIN,
        )
        try:
            with Question.connect(conninfo, autocommit=True) as question:
                sql = "SELECT state FROM pg_stat_activity WHERE pid = %s"
                found = question.execute(sql, [info.backend_pid]).fetchone()
        except psycopg.Error as error:
            if "FATAL" in str(error):
                return None  # it was reached, and lets nobody in
            raise self._given_up(f"The connection is silent, and the server cannot be reached: {error}") from error
        if found is None or found[0] is None:
            return None
        return bool(found[0] in ("active", "fastpath function call"))


class Question(psycopg.Connection[TupleRow]):
    """A connection that waits for `ANSWERS_WITHIN` seconds and no longer."""

    def wait(self, gen: PQGen[T], interval: float = LOOK_EVERY, timeout: float | None = None) -> T:
        """See psycopg."""
        return super().wait(watched(gen, self._late, float(ANSWERS_WITHIN)), interval, timeout)

    def _late(self, seconds: float) -> float:
        self.pgconn.finish()
        raise psycopg.OperationalError(f"The server did not answer within {seconds:.0f} s.")


def watched(gen: PQGen[T], silent: Callable[[float], float], after: float) -> PQGen[T]:
    """`gen`; while no byte comes, `silent` is called: after `after` seconds, then after as many as it says."""
    try:
        wanted = next(gen)
        since = time.monotonic()
        look_at = since + after
        while True:
            ready = yield wanted
            now = time.monotonic()
            if ready:
                since, look_at = now, now + after
            elif now >= look_at:
                look_at = time.monotonic() + silent(now - since)
            wanted = gen.send(ready)
    except StopIteration as end:
        answer: T = end.value
        return answer
