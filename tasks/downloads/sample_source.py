"""A source of reports to try and to test with: the same figures for the same seller and day, over real HTTP.

Served only where SAMPLE_SOURCE=1. What goes wrong is switched on in the address, as shares from 0 to 1, or by one of
the seller ids below: `/sample-source/{seller_id}/{day}.csv?latency=0.3&error_500=0.2&error_429=0.1&broken=0.05`.
"""

from __future__ import annotations

import csv
import io
import random
import time
from datetime import date

from django.http import HttpRequest, HttpResponse

from .report import COLUMNS

#: Switches, and what each does. `latency` is in seconds, the others are shares.
SWITCHES = {
    "latency": "waits before it answers",
    "error_500": "answers 500",
    "error_429": "answers 429 with Retry-After: 1",
    "broken": "spoils a row",
    "missing": "answers 404",
}
#: Sellers that have a switch on, so that everybody can see what happens then.
SELLERS: dict[str, dict[str, float]] = {
    "SLOW": {"latency": 2.0},
    "FLAKY": {"error_500": 0.2, "error_429": 0.1},
    "BROKEN": {"broken": 0.05},
    "PATCHY": {"missing": 0.1},
    "MISSING": {"missing": 1.0},
}
#: Seconds that the latency may be.
MAX_LATENCY = 60.0
#: Products of a seller; on a day it sells some of them.
CATALOGUE = 80

THINGS = ("Lamp", "Kettle", "Backpack", "Headset", "Notebook", "Chair", "Bottle", "Blanket", "Charger", "Mug")
KINDS = ("Classic", "Mini", "Pro", "Travel", "Kids", "Outdoor", "Studio", "Eco")


def report(request: HttpRequest, seller_id: str, day: str) -> HttpResponse:
    """The report of one seller and day as CSV."""
    try:
        switches = {
            **SELLERS.get(seller_id, {}),
            **{name: float(request.GET[name]) for name in SWITCHES if name in request.GET},
        }
        when = date.fromisoformat(day)
    except ValueError:
        return HttpResponse("No such report.\n", status=404, content_type="text/plain")
    time.sleep(min(max(switches.get("latency", 0.0), 0.0), MAX_LATENCY))
    if random.random() < switches.get("error_500", 0.0):
        return HttpResponse("Something broke.\n", status=500, content_type="text/plain")
    if random.random() < switches.get("error_429", 0.0):
        return HttpResponse("Too fast.\n", status=429, content_type="text/plain", headers={"Retry-After": "1"})
    always = random.Random(f"{seller_id} {day}")  # unlike the errors, the figures are the same at every try
    if always.random() < switches.get("missing", 0.0):
        return HttpResponse("No such seller.\n", status=404, content_type="text/plain")
    return HttpResponse(as_csv(seller_id, when, switches.get("broken", 0.0)), content_type="text/csv; charset=utf-8")


def as_csv(seller_id: str, day: date, broken: float = 0.0) -> str:
    """The report's text; a share of `broken` of its rows is not as it should be."""
    text = io.StringIO()
    lines = csv.writer(text)
    lines.writerow(COLUMNS)
    spoil = random.Random(f"{seller_id} {day} broken")
    for row in rows(seller_id, day):
        lines.writerow(["", "?", *row[2:]] if spoil.random() < broken else row)
    return text.getvalue()


def rows(seller_id: str, day: date) -> list[list[str | int]]:
    """The figures, in the order of the report's columns. More on weekends; now and then a day without any sale."""
    luck = random.Random(f"{seller_id} {day}")
    if luck.random() < 0.03:
        return []
    catalogue = random.Random(seller_id)
    prices = [catalogue.randint(199, 19_900) for _ in range(CATALOGUE)]  # in cents
    share = 0.75 if day.weekday() >= 5 else 0.55
    found: list[list[str | int]] = []
    for number, price in enumerate(prices):
        if luck.random() > share:
            continue
        units = int(luck.expovariate(0.3))
        views = units * luck.randint(8, 40) + luck.randint(0, 60)
        thing, kind = THINGS[number % len(THINGS)], KINDS[number // len(THINGS)]
        found.append(
            [
                *(day.isoformat(), f"{thing} {kind}", f"Store {seller_id}", f"Brand {number % 7 + 1}", "Home & Living"),
                *(f"{seller_id}-{number:03}", units, f"{units * price / 100:.2f}", views),
            ]
        )
    return found
