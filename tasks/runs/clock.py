"""A machine's clock may be set while runs wait: a number of seconds stays that number of seconds.

`eta` says when, by the clock of that moment. One that was given as a time means that time, whatever the clock says
now; one that was given as a `countdown`, and the pause before a next attempt, means a span.
"""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime, timedelta

from django.db.models import F, Q
from django.utils import timezone

from tasks.models import State, TaskRun

logger = logging.getLogger(__name__)

#: Seconds between two looks by which a clock must differ to have been set: one that is slewed moves by far less.
NOTICED = 2.0
#: Clocks of two machines do not differ by this much: what happens only then happened before a clock was set back.
FUTURE = timedelta(seconds=5)
#: What waits till then keeps its time: no database goes far beyond the year 9999.
NEVER = datetime(9000, 1, 1, tzinfo=UTC)


def long_ago(field: str, age: timedelta) -> Q:
    """Rows whose `field` is at least `age` ago; also those of a time that has yet to come, by a clock that was set."""
    now = timezone.now()
    return Q(**{f"{field}__lt": now - age}) | Q(**{f"{field}__gt": now + FUTURE})


class Countdowns:
    """The spans that wait in the database. Those of messages are kept by their worker's own timer."""

    def __init__(self) -> None:
        self._seen = ahead()

    def forget(self) -> None:
        """Somebody else looks after them: what the clock did until now is dealt with."""
        self._seen = ahead()

    def keep(self) -> None:
        """Move the times of what waits for a span by what the clock was moved."""
        now = ahead()
        by = timedelta(seconds=now - self._seen)
        if abs(by.total_seconds()) >= NOTICED:
            waiting = TaskRun.objects.filter(sent_at=None)
            spans = waiting.filter(state=State.PENDING, eta__lt=NEVER, message__options__has_key="countdown")
            pauses = waiting.filter(state=State.RETRY, next_retry_at__isnull=False)
            count = spans.update(eta=F("eta") + by) + pauses.update(next_retry_at=F("next_retry_at") + by)
            logger.warning("The clock was set by %s; so were the times of %s waiting runs.", by, count)
        self._seen = now


def ahead() -> float:
    """Seconds by which the clock is ahead of one that nobody sets, and that goes on while the machine sleeps."""
    return time.time() - time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))
