"""The times of an entry, without a clock and without a database: `next(after, anchor)`.

A day of 23 or 25 hours: an entry with hours of its own fires once a day, at its first 02:30, and where there is no
02:30 at the moment that it would have been without the change (03:30). One for every hour goes by real time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Protocol

#: 29 February 2096 is followed by that of 2104; on a given weekday it comes within 40 years.
FURTHEST = timedelta(days=41 * 366)
#: No zone sets its clocks by more.
MOST_SHIFT = timedelta(hours=3)
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)


class When(Protocol):
    """The times of one entry."""

    @property
    def zone(self) -> tzinfo:
        """The time zone in which it is meant, and shown."""

    def next(self, after: datetime, anchor: datetime) -> datetime | None:
        """The first time later than `after`; None where none will come. `anchor`: when the entry was first seen."""

    def key(self) -> str:
        """The same text for the same times, in every process."""


@dataclass(frozen=True, slots=True)
class Cron:
    """Celery's crontab: all five must match, both kinds of day included. Weekdays count from Sunday, 0."""

    minutes: frozenset[int]
    hours: frozenset[int]
    weekdays: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    zone: tzinfo = field(default=UTC)

    def next(self, after: datetime, anchor: datetime) -> datetime | None:
        """See `When.next`."""
        if not (self.minutes and self.hours):
            return None
        return self._by_the_hour(after) if len(self.hours) == 24 else self._by_the_day(after)

    def key(self) -> str:
        """See `When.key`."""
        parts = (self.minutes, self.hours, self.weekdays, self.days, self.months)
        return f"cron {' '.join(','.join(map(str, sorted(part))) for part in parts)} {self.zone}"

    def _by_the_hour(self, after: datetime) -> datetime | None:
        at = after.astimezone(UTC).replace(second=0, microsecond=0) + MINUTE
        while True:
            local = at.astimezone(self.zone)
            if not self._fits(local.date()):
                day = self._day(local.date() + DAY)
                if day is None:
                    return None
                at = max(at + MINUTE, datetime.combine(day, time(), self.zone).astimezone(UTC))
                continue
            if local.minute in self.minutes:
                return at
            later = min((minute for minute in self.minutes if minute > local.minute), default=60)
            at += MINUTE * (later - local.minute)

    def _by_the_day(self, after: datetime) -> datetime | None:
        local = after.astimezone(self.zone).replace(tzinfo=None)
        day = self._day(local.date() - DAY)
        while day is not None:
            found: list[datetime] = []
            for hour in sorted(self.hours):
                begins = datetime.combine(day, time(hour))
                if begins + timedelta(hours=1) + MOST_SHIFT < local:
                    continue
                if found and begins - MOST_SHIFT > found[0].astimezone(self.zone).replace(tzinfo=None):
                    break
                times = (begins.replace(minute=minute, tzinfo=self.zone) for minute in sorted(self.minutes))
                found += [at for at in (one.astimezone(UTC) for one in times) if at > after]
            if found:
                return min(found)
            day = self._day(day + DAY)
        return None

    def _fits(self, day: date) -> bool:
        return day.month in self.months and day.day in self.days and day.isoweekday() % 7 in self.weekdays

    def _day(self, day: date) -> date | None:
        """That day, or the first after it, that fits."""
        last = day + FURTHEST
        while day < last:
            if day.month not in self.months:
                day = (day.replace(day=1) + timedelta(days=32)).replace(day=1)
            elif self._fits(day):
                return day
            else:
                day += DAY
        return None


@dataclass(frozen=True, slots=True)
class Every:
    """At equal distances, counted from when the entry was first seen; `relative`: from the full day, hour or minute.

    Days that are relative keep their time of day when the clocks change.
    """

    span: timedelta
    relative: bool = False
    zone: tzinfo = field(default=UTC)

    def next(self, after: datetime, anchor: datetime) -> datetime | None:
        """See `When.next`."""
        if not self.relative:
            return self._count(anchor, after)
        begins = self._full(anchor.astimezone(self.zone))
        if self.span < DAY:
            return self._count(begins, after)
        wall = begins.replace(tzinfo=None)
        times = (after.astimezone(self.zone).replace(tzinfo=None) - wall) // self.span
        while True:
            at = (wall + times * self.span).replace(tzinfo=self.zone).astimezone(UTC)
            if at > after:
                return at
            times += 1

    def key(self) -> str:
        """See `When.key`."""
        return f"every {self.span.total_seconds()} {'relative' if self.relative else ''} {self.zone}"

    def _count(self, begins: datetime, after: datetime) -> datetime:
        begins = begins.astimezone(UTC)
        return begins + ((after - begins) // self.span + 1) * self.span

    def _full(self, at: datetime) -> datetime:
        """Celery rounds down to the largest unit that the span has: 90 minutes begin at a full hour."""
        at = at.replace(microsecond=0)
        if self.span >= DAY:
            return at.replace(hour=0, minute=0, second=0)
        if self.span >= timedelta(hours=1):
            return at.replace(minute=0, second=0)
        return at.replace(second=0) if self.span >= MINUTE else at


@dataclass(frozen=True, slots=True)
class Between:
    """Another's times, of which none comes before `begin`, and none at or after `end`.

    `saved`: when they were written; they count from then, and what did not fire before is not made up for.
    """

    of: When
    begin: datetime | None = None
    end: datetime | None = None
    saved: datetime | None = None

    @property
    def zone(self) -> tzinfo:
        """See `When.zone`."""
        return self.of.zone

    def next(self, after: datetime, anchor: datetime) -> datetime | None:
        """See `When.next`."""
        if self.begin is not None and after < self.begin:
            after = self.begin - timedelta(microseconds=1)
        at = self.of.next(after, anchor)
        return at if at is not None and (self.end is None or at < self.end) else None

    def key(self) -> str:
        """See `When.key`."""
        return f"{self.of.key()} {self.begin} {self.end} {self.saved}"


def times(when: When, after: datetime, anchor: datetime) -> Iterator[datetime]:
    """All times later than `after`, in their order."""
    at = when.next(after, anchor)
    while at is not None:
        yield at
        at = when.next(at, anchor)


def newest(when: When, after: datetime, until: datetime, anchor: datetime) -> datetime | None:
    """The last time later than `after` and not later than `until`, however many lie between."""
    back = MINUTE
    while True:
        begin = max(after, until - back)
        found = None
        for at in times(when, begin, anchor):
            if at > until:
                break
            found = at
        if found is not None or begin <= after:
            return found
        back *= 4
