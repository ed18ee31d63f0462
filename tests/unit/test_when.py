"""The times of entries: days of 23 and 25 hours, the ends of months, 29 February, every zone's midnight."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from itertools import islice, pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from celery.schedules import crontab

from tasks.celery.schedules import when_of
from tasks.schedules.entry import Rules
from tasks.schedules.when import Every, newest, times
from tasks.schedules.words import in_words

pytestmark = pytest.mark.slow

BERLIN = "Europe/Berlin"


def at(text: str, zone: str = BERLIN) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone))


def coming(given: object, after: str, count: int, zone: str = BERLIN, relative: bool = False) -> list[str]:
    """The next `count` times, by the clock on the wall and with what it is ahead of UTC."""
    begin = at(after, zone)
    when = when_of(given, relative=relative, rules=Rules(timezone=zone))
    return [f"{one.astimezone(ZoneInfo(zone)):%m-%d %H:%M %z}" for one in islice(times(when, begin, begin), count)]


TIMES: dict[str, tuple[Any, list[str]]] = {
    "02:30 on the day without one": (
        (crontab(minute=30, hour=2), "2027-03-27 12:00", 3),
        ["03-28 03:30 +0200", "03-29 02:30 +0200", "03-30 02:30 +0200"],
    ),
    "02:30 on the day with two": (
        (crontab(minute=30, hour=2), "2027-10-30 12:00", 3),
        ["10-31 02:30 +0200", "11-01 02:30 +0100", "11-02 02:30 +0100"],
    ),
    "02:30 and 03:30 where both are one moment": (
        (crontab(minute=30, hour="2,3"), "2027-03-28 00:00", 3),
        ["03-28 03:30 +0200", "03-29 02:30 +0200", "03-29 03:30 +0200"],
    ),
    "02:30 and 03:00 change places": (
        (crontab(minute="0,30", hour="2,3"), "2027-03-28 00:00", 3),
        ["03-28 03:00 +0200", "03-28 03:30 +0200", "03-29 02:00 +0200"],
    ),
    "every half hour through the day without an hour": (
        (crontab(minute="*/30"), "2027-03-28 01:00", 3),
        ["03-28 01:30 +0100", "03-28 03:00 +0200", "03-28 03:30 +0200"],
    ),
    "every half hour through the hour that comes twice": (
        (crontab(minute="*/30"), "2027-10-31 01:30", 5),
        ["10-31 02:00 +0200", "10-31 02:30 +0200", "10-31 02:00 +0100", "10-31 02:30 +0100", "10-31 03:00 +0100"],
    ),
    "a day that begins at one o'clock": (
        (crontab(minute=0, hour=0), "2018-11-03 12:00", 2, "America/Sao_Paulo"),
        ["11-04 01:00 -0200", "11-05 00:00 -0200"],
    ),
    "clocks that are set by half an hour": (
        (crontab(minute="15"), "2027-04-04 00:30", 3, "Australia/Lord_Howe"),
        ["04-04 01:15 +1100", "04-04 02:15 +1030", "04-04 03:15 +1030"],
    ),
    "the 31st": (
        (crontab(minute=0, hour=9, day_of_month=31), "2027-01-31 10:00", 3),
        ["03-31 09:00 +0200", "05-31 09:00 +0200", "07-31 09:00 +0200"],
    ),
    "29 February": (
        (crontab(minute=0, hour=0, day_of_month=29, month_of_year=2), "2027-01-01 00:00", 2),
        ["02-29 00:00 +0100", "02-29 00:00 +0100"],
    ),
    "29 February on a Sunday": (
        (crontab(minute=0, hour=0, day_of_month=29, month_of_year=2, day_of_week="sun"), "2033-01-01 00:00", 1),
        ["02-29 00:00 +0100"],
    ),
    "Friday the 13th: both kinds of day must fit": (
        (crontab(minute=0, hour=12, day_of_month=13, day_of_week=5), "2026-11-01 00:00", 2),
        ["11-13 12:00 +0100", "08-13 12:00 +0200"],
    ),
    "weekdays": (
        (crontab(minute=30, hour=6, day_of_week="mon-fri"), "2026-11-26 07:00", 3),
        ["11-27 06:30 +0100", "11-30 06:30 +0100", "12-01 06:30 +0100"],
    ),
    "a number of seconds, from when it was first seen": (
        (90, "2026-11-26 07:00", 2),
        ["11-26 07:01 +0100", "11-26 07:03 +0100"],
    ),
    "a timedelta that is relative begins at the full hour": (
        (timedelta(hours=2), "2026-11-26 07:20", 2, BERLIN, True),
        ["11-26 09:00 +0100", "11-26 11:00 +0100"],
    ),
    "relative days keep their midnight when the clocks change": (
        (timedelta(days=1), "2027-03-27 07:20", 3, BERLIN, True),
        ["03-28 00:00 +0100", "03-29 00:00 +0200", "03-30 00:00 +0200"],
    ),
    "a plain day has 24 hours": (
        (timedelta(days=1), "2027-03-27 07:20", 2),
        ["03-28 08:20 +0200", "03-29 08:20 +0200"],
    ),
}


@pytest.mark.parametrize("case", TIMES)
def test_the_next_times(case):
    asked, told = TIMES[case]
    assert coming(*asked) == told


@pytest.mark.parametrize(
    "zone", [BERLIN, "America/Sao_Paulo", "Australia/Lord_Howe", "Asia/Kolkata", "Antarctica/Troll"]
)
@pytest.mark.parametrize("given", [crontab(minute="*/20"), crontab(minute="5,50", hour="0-4"), crontab(hour="*/2")])
def test_through_a_whole_year_times_only_grow_and_are_the_same_wherever_one_begins(given, zone):
    when = when_of(given, rules=Rules(timezone=zone))
    begin = at("2027-01-01 00:00", zone)
    for first, second in pairwise(islice(times(when, begin, begin), 4000)):
        assert first < second
        assert when.next(first + (second - first) / 2, begin) == second


def test_the_newest_of_many_is_found_without_a_look_at_all():
    begin, end = at("2020-01-01 00:00"), at("2027-01-01 00:00") + timedelta(seconds=0.5)
    began = time.process_time()
    assert newest(Every(timedelta(seconds=1)), begin, end, begin) == at("2027-01-01 00:00")
    assert newest(when_of(crontab(), rules=Rules(timezone=BERLIN)), begin, end, begin) == at("2027-01-01 00:00")
    rare = when_of(crontab(0, 0, day_of_month=29, month_of_year=2), rules=Rules(timezone=BERLIN))
    assert newest(rare, begin, end, begin) == at("2024-02-29 00:00")
    assert newest(rare, end, end + timedelta(days=300), begin) is None
    assert time.process_time() - began < 2


WORDS = {
    "every weekday at 06:30, UTC": crontab(minute=30, hour=6, day_of_week="mon-fri"),
    "every day at 04:20, UTC": crontab(minute=20, hour=4),
    "every minute, UTC": crontab(),
    "every 15 minutes, UTC": crontab(minute="*/15"),
    "at minute 5 of every hour, UTC": crontab(minute=5),
    "every 10 minutes from 08:00 to 17:59, UTC": crontab(minute="*/10", hour="8-17"),
    "every Monday and Sunday at 00:00, UTC": crontab(minute=0, hour=0, day_of_week="sun,mon"),
    "every Saturday and Sunday at 00:00 and 12:00, UTC": crontab(minute=0, hour="0,12", day_of_week="sat,sun"),
    "on the 1st and 15th of every month at 03:00, UTC": crontab(minute=0, hour=3, day_of_month="1,15"),
    "on the 29th of February at 00:00, UTC": crontab(minute=0, hour=0, day_of_month=29, month_of_year=2),
    "every Friday that is the 13th at 12:00, UTC": crontab(minute=0, hour=12, day_of_month=13, day_of_week=5),
    "every day in July at 12:00, UTC": crontab(minute=0, hour=12, month_of_year=7),
    "every 90 seconds": 90,
    "every minute": timedelta(minutes=1),
    "every 2 hours": timedelta(hours=2),
    "every 0.5 seconds": 0.5,
}


@pytest.mark.parametrize("told", WORDS)
def test_times_in_words(told):
    assert in_words(when_of(WORDS[told])) == told
