"""What an entry has to do now: pure, of its times and what was done."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice

from .entry import Entry
from .when import newest, times

#: A tick that is later than this was missed: nobody was there. Below, it is only late, and fires in any case.
MISSED_AFTER = timedelta(seconds=15)
#: With catch_up "none" the newest tick of an outage still fires when it is no later than two sweeps.
ON_TIME = timedelta(seconds=2.5)
#: What was done lies so far in the future only by a clock that was set back.
FUTURE = timedelta(seconds=5)
#: Ticks of one entry that fire in one look; the others follow with the next.
MOST = 100
#: Missed ticks are counted up to this.
MOST_COUNTED = 10_000


@dataclass(frozen=True, slots=True)
class Verdict:
    """`fire`, in their order; then all up to `until` is done with. `missed`: how many of those do not fire."""

    fire: tuple[datetime, ...] = ()
    until: datetime | None = None
    missed: int = 0


def decide(entry: Entry, last: datetime, anchor: datetime, now: datetime) -> Verdict:
    """What to do with the times after `last`, up to which everything is done with."""
    when = entry.when
    if when is None:
        return Verdict()
    if last > now + FUTURE:
        return Verdict(until=now)  # a clock was set back: what did fire has its run, and none is stored twice
    first = when.next(last, anchor)
    if first is None or entry.fires_at(first) > now:
        return Verdict()
    if now - entry.fires_at(first) <= MISSED_AFTER or entry.rules.catch_up == "all":
        ticks = []
        for at in islice(times(when, last, anchor), MOST):
            if entry.fires_at(at) > now:
                break
            ticks.append(at)
        return Verdict(tuple(ticks), ticks[-1])
    until = newest(when, last, now, anchor) or first
    if entry.fires_at(until) > now:  # by its jitter: the one before is the newest whose time has come
        until = newest(when, last, until - timedelta(microseconds=1), anchor) or first
    count = 0
    for at in islice(times(when, last, anchor), MOST_COUNTED):
        if at > until:
            break
        count += 1
    if entry.rules.catch_up == "none" and now - entry.fires_at(until) > ON_TIME:
        return Verdict((), until, count)
    return Verdict((until,), until, count - 1)
