"""When an entry fires, as people say it: "every weekday at 06:30, Europe/Berlin"."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta

from .when import Between, Cron, Every, When

DAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)
#: Times of day that are listed; more of them are told as minutes and hours.
LISTED = 6


def in_words(when: When) -> str:
    """A sentence without its full stop."""
    if isinstance(when, Every):
        return f"every {span(when.span)}"
    if isinstance(when, Cron):
        days, times, listed = _days(when), _times(when), len(when.hours) * len(when.minutes) <= LISTED
        told = f"{days}{times}" if listed or days != "every day" else times.strip()
        return f"{told}, {when.zone}"
    if isinstance(when, Between):
        begin, end = (f"{at:%Y-%m-%d %H:%M}" if at else "" for at in (when.begin, when.end))
        return in_words(when.of) + (f", from {begin}" if begin else "") + (f", until {end}" if end else "")
    return str(when)


def span(length: timedelta) -> str:
    """`90 s`, `5 minutes`, `hour`: what comes after "every"."""
    seconds = length.total_seconds()
    for name, size in (("week", 604800), ("day", 86400), ("hour", 3600), ("minute", 60), ("second", 1)):
        if seconds % size == 0:
            count = round(seconds / size)
            return name if count == 1 else f"{count:,} {name}s"
    return f"{seconds:g} seconds"


def _days(when: Cron) -> str:
    every_day = len(when.days) == 31
    weekdays = sorted(when.weekdays)
    if len(weekdays) == 7:
        told = "every day" if every_day else f"on the {_listed([_nth(day) for day in sorted(when.days)])}"
        if not every_day:
            told += " of every month" if len(when.months) == 12 else ""
    else:
        names = [DAYS[day] for day in [*weekdays[weekdays[0] == 0 :], *weekdays[: weekdays[0] == 0]]]
        told = {(1, 2, 3, 4, 5): "every weekday", (0, 6): "every Saturday and Sunday"}.get(tuple(weekdays), "")
        told = told or f"every {_listed(names)}"
        if not every_day:
            told += f" that is the {_listed([_nth(day) for day in sorted(when.days)])}"
    if len(when.months) < 12:
        told += f" {'of' if not every_day else 'in'} {_listed([MONTHS[month - 1] for month in sorted(when.months)])}"
    return told


def _times(when: Cron) -> str:
    hours, minutes = sorted(when.hours), sorted(when.minutes)
    if len(hours) * len(minutes) <= LISTED:
        return " at " + _listed([f"{hour:02}:{minute:02}" for hour in hours for minute in minutes])
    told = " "
    if len(minutes) == 60:
        told += "every minute"
    elif (step := _step(minutes, 60)) > 1:
        told += f"every {step} minutes"
    else:
        told += f"at minute {_listed([str(minute) for minute in minutes])}"
    if len(hours) == 24:
        return told if len(minutes) == 60 or _step(minutes, 60) > 1 else f"{told} of every hour"
    if (step := _step(hours, 24)) > 1:
        return f"{told} of every {_nth(step)} hour"
    if len(hours) > 2 and hours == list(range(hours[0], hours[-1] + 1)):
        return f"{told} from {hours[0]:02}:00 to {hours[-1]:02}:59"
    return f"{told} of the hours {_listed([f'{hour:02}' for hour in hours])}"


def _step(values: list[int], size: int) -> int:
    """5 for 0, 5, 10, … up to `size`; 0 where there is no such step."""
    if len(values) < 2 or values[0] != 0:
        return 0
    step = values[1]
    return step if values == list(range(0, size, step)) else 0


def _listed(words: Collection[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last


def _nth(number: int) -> str:
    ending = "th" if 10 <= number % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"
