"""An entry: which task starts by itself, when, and by which rules. Engines register where theirs come from."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from typing import Literal, Protocol, TypeVar
from zoneinfo import ZoneInfo

from django.conf import settings

from .when import When

T = TypeVar("T")

logger = logging.getLogger(__name__)

#: Characters of an entry's name: it is stored with each of its runs.
MAX_NAME = 200


@dataclass(frozen=True, slots=True)
class Rules:
    """What TASKS_SCHEDULE_RULES says of one entry, by its name.

    `catch_up`: which of the times at which no worker was there are made up for. `overlap`: what is done at a time at
    which the entry's last run is still active. `jitter`: seconds by which a tick comes later at most, another number
    each time. `timezone`: instead of CELERY_TIMEZONE. `alert`: tell NOTIFY_URLS of missed ticks and failed runs.
    """

    catch_up: Literal["newest", "all", "none"] = "newest"
    overlap: Literal["beside", "skip", "wait"] = "beside"
    jitter: float = 0
    timezone: str = ""
    alert: bool = False


ALLOWED = {"catch_up": ("newest", "all", "none"), "overlap": ("beside", "skip", "wait")}


def rules_of(name: str) -> Rules:
    """The rules of the entry of that name. Raises ValueError that names the field, what is allowed, and what came."""
    every = getattr(settings, "TASKS_SCHEDULE_RULES", {})
    if not isinstance(every, Mapping):
        raise ValueError(f"TASKS_SCHEDULE_RULES must be a dict by the entry's name, but got {every!r}."[:300])
    given = every.get(name, {})
    if not isinstance(given, Mapping):
        raise ValueError(f"its rules must be a dict, but got {given!r}."[:300])
    known = [one.name for one in fields(Rules)]
    for key, value in given.items():
        if key not in known:
            raise ValueError(f"its rules may have {', '.join(known)}, but got {key!r}."[:300])
        if key in ALLOWED and value not in ALLOWED[key]:
            raise ValueError(f"{key} must be one of {', '.join(ALLOWED[key])}, but got {value!r}."[:300])
        if key == "jitter" and (isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1e6):
            raise ValueError(f"jitter must be a number of seconds from 0, but got {value!r}."[:300])
        if key == "alert" and not isinstance(value, bool):
            raise ValueError(f"alert must be True or False, but got {value!r}."[:300])
        if key == "timezone":
            zone(value)
    return Rules(**given)


def zone(name: object) -> ZoneInfo:
    """The time zone of that name. Raises ValueError."""
    try:
        return ZoneInfo(str(name))
    except (OSError, ValueError, LookupError) as error:
        raise ValueError(f"timezone must be one like Europe/Berlin, but got {name!r}."[:300]) from error


@dataclass(frozen=True, slots=True)
class Tick:
    """One time of one entry. `id`: of the run that it becomes; `due` is None for a run that staff starts by hand."""

    entry: str
    due: datetime | None
    id: str


@dataclass(frozen=True, slots=True)
class Entry:
    """`start` accepts the run of a tick, in the caller's transaction. `when` is None where it cannot be read.

    `problem`: why it cannot fire, in a sentence. `fired`: told after each tick.
    """

    name: str
    task: str
    words: str
    start: Callable[[Tick], object]
    when: When | None
    rules: Rules = field(default_factory=Rules)
    problem: str = ""
    queue: str = ""
    fired: Callable[[datetime], object] = lambda due: None

    @property
    def fingerprint(self) -> str:
        """Another one where its times differ."""
        return hashlib.sha256((self.when.key() if self.when else "").encode()).hexdigest()[:40]

    def fires_at(self, due: datetime) -> datetime:
        """`due` and its part of the jitter, the same in every process."""
        if not self.rules.jitter:
            return due
        digest = hashlib.sha256(f"{self.name}\n{due.isoformat()}".encode()).digest()
        return due + timedelta(seconds=self.rules.jitter * int.from_bytes(digest[:4], "big") / 2**32)


class Source(Protocol):
    """Where entries come from. `stored`: in the database, which the checks at a start do not ask."""

    stored: bool

    def version(self) -> object:
        """Another value when its entries may have changed; asked every few seconds."""

    def entries(self) -> list[Entry]:
        """All that are on, also those that cannot fire: with their problem."""


_sources: list[Source] = []


def register(source: Source) -> None:
    """From now on, the entries of `source` fire as well."""
    _sources.append(source)


def versions() -> list[object]:
    """Of all sources. One that cannot be asked stops no other, and is asked again."""
    return [_asked(source.version, object()) for source in _sources]


def entries(*, stored: bool = True) -> dict[str, Entry]:
    """Those of all sources, by name; of two of one name the first, so that one in the code is not overruled."""
    found: dict[str, Entry] = {}
    for source in _sources:
        if stored or not source.stored:
            none: list[Entry] = []
            for entry in _asked(source.entries, none):
                found.setdefault(entry.name, entry)
    return found


def _asked(ask: Callable[[], T], instead: T) -> T:
    try:
        return ask()
    except Exception as error:
        logger.warning("The entries of %s cannot be read: %s", getattr(ask, "__qualname__", ask), error)
        return instead
