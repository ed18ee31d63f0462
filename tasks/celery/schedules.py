"""CELERY_BEAT_SCHEDULE, and what `app.add_periodic_task` adds to it, as entries that any worker's sweep fires."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from functools import partial

from celery import current_app
from celery.beat import BeatLazyFunc, ScheduleEntry
from celery.schedules import BaseSchedule, crontab, maybe_schedule, schedule, solar
from django.db import transaction

from tasks.runs import periodic
from tasks.schedules.entry import MAX_NAME, Entry, Rules, Tick, rules_of, zone
from tasks.schedules.when import Cron, Every, When
from tasks.schedules.words import in_words

from .routing import queue_of
from .start import is_tracked
from .types import Args, CelerySchedule, Kwargs, Option, Options

#: What Celery's own `ScheduleEntry` takes.
FIELDS = frozenset({"task", "schedule", "args", "kwargs", "options", "relative"})
#: What its instances have beside; of no use here.
OF_BEAT = frozenset({"name", "app", "last_run_at", "total_run_count"})
#: A shorter interval is not one for a sweep each second.
SHORTEST = timedelta(seconds=0.1)


class CelerySource:
    """See `schedules.entry.Source`."""

    stored = False

    def version(self) -> object:
        """It changes where code adds an entry to the app's configuration."""
        return [(name, id(entry)) for name, entry in current_app.conf.beat_schedule.items()]

    def entries(self) -> list[Entry]:
        """Each entry of the app's `beat_schedule`."""
        return [entry_of(str(name), given) for name, given in current_app.conf.beat_schedule.items()]


def entry_of(name: str, given: object) -> Entry:
    """One entry as Celery documents it. What is wrong with it is its `problem`, in a sentence."""
    fields: dict[str, Option] = {}
    if isinstance(given, ScheduleEntry):
        fields = dict(vars(given))
    elif isinstance(given, Mapping):
        fields = dict(given)
    task = str(fields.get("task") or "")
    shown = name[:MAX_NAME]
    try:
        _check(name, given, fields)
        rules = rules_of(name)
        when = when_of(fields["schedule"], relative=bool(fields.get("relative")), rules=rules)
    except (TypeError, ValueError) as error:
        return Entry(shown, task, "", refuse, None, problem=str(error)[:500])
    args, kwargs = fields.get("args") or (), fields.get("kwargs") or {}
    options: Options = dict(fields.get("options") or {})
    return tracked_entry(shown, task, when, rules, args, kwargs, options)


def tracked_entry(
    name: str,
    task: str,
    when: When,
    rules: Rules,
    args: Args,
    kwargs: Kwargs,
    options: Options,
    fired: Callable[[datetime], object] = lambda due: None,
) -> Entry:
    """An entry of a task that is looked up by its name."""
    begin = partial(_start, task, args, kwargs, options)
    found = current_app.tasks.get(task)
    if found is None:
        return Entry(name, task, in_words(when), begin, when, rules, f"No task is called {task}: is it renamed?")
    return Entry(name, task, in_words(when), begin, when, rules, queue=queue_of(found, options), fired=fired)


def _check(name: str, given: object, fields: Mapping[str, object]) -> None:
    if not isinstance(given, (Mapping, ScheduleEntry)):
        raise TypeError(f"it must be a dict with task and schedule, but got {given!r}.")
    if len(name) > MAX_NAME:
        raise ValueError(f"its name may have {MAX_NAME} characters, but has {len(name)}.")
    if unknown := sorted(str(key) for key in set(fields) - FIELDS - OF_BEAT):
        raise ValueError(f"it may have {', '.join(sorted(FIELDS))}, but got {', '.join(unknown)}.")
    for key in ("task", "schedule"):
        if not fields.get(key):
            raise ValueError(f"it must have a {key}.")
    kinds: tuple[tuple[str, type | tuple[type, ...], str], ...] = (
        ("task", str, "a task's name"),
        ("args", (list, tuple), "a list or tuple"),
        ("kwargs", Mapping, "a dict"),
        ("options", Mapping, "a dict"),
    )
    for key, kind, told in kinds:
        value = fields.get(key)
        if value is not None and not isinstance(value, kind):
            raise TypeError(f"{key} must be {told}, but got {value!r}.")


def when_of(given: object, *, relative: bool = False, rules: Rules | None = None, may_be_over: bool = False) -> When:
    """The times of a number of seconds, a timedelta or one of Celery's schedules. Raises TypeError or ValueError."""
    if isinstance(given, (int, float)) and not isinstance(given, bool):
        try:
            given = timedelta(seconds=given)
        except (OverflowError, ValueError) as error:
            raise ValueError(f"schedule must be a number of seconds, but got {given!r}.") from error
    if not isinstance(given, (timedelta, BaseSchedule)):
        raise TypeError(f"schedule must be seconds, a timedelta, crontab or solar, but got {given!r}.")
    found: CelerySchedule = maybe_schedule(given, relative)
    kind = type(found)
    where: tzinfo = zone(rules.timezone) if rules and rules.timezone else found.tz
    when: When
    if issubclass(kind, crontab):
        days, months = frozenset(found.day_of_month), frozenset(found.month_of_year)
        when = Cron(frozenset(found.minute), frozenset(found.hour), frozenset(found.day_of_week), days, months, where)
    elif kind is schedule:
        span = found.run_every
        if span is None or span < SHORTEST:
            raise ValueError(f"schedule must be {SHORTEST.total_seconds()} s or more, but got {given!r}.")
        when = Every(span, bool(found.relative), where)
    else:
        when = Asked(found, where)
    now = datetime.now(UTC)
    try:
        coming = when.next(now, now)
    except Exception as error:
        raise ValueError(f"schedule does not say when it comes next: {type(error).__name__}: {error}") from error
    if coming is None and not may_be_over:
        raise ValueError(f"schedule never comes: {given!r}.")
    return when


@dataclass(frozen=True)
class Asked:
    """A solar, or a schedule of somebody's own: its `remaining_estimate` is asked, with the clock at that moment."""

    of: CelerySchedule
    zone: tzinfo

    def next(self, after: datetime, anchor: datetime) -> datetime | None:
        """See `When.next`. Full seconds: what the sun does comes out a little different from each point of time."""
        at = self._ask(after)
        if isinstance(self.of, solar) and at - after < timedelta(minutes=1):
            at = self._ask(after + timedelta(minutes=1))  # the same event once more
        full = at.astimezone(UTC).replace(microsecond=0)
        full += timedelta(seconds=full < at)
        return full if full > after else None

    def _ask(self, after: datetime) -> datetime:
        asked = copy(self.of)
        asked.nowfun = lambda: after
        at: datetime = after + asked.remaining_estimate(after)
        return at

    def key(self) -> str:
        """See `When.key`."""
        return f"{type(self.of).__qualname__} {self.of!r} {self.zone}"

    def __str__(self) -> str:
        if isinstance(self.of, solar):
            return f"at {self.of.event.replace('_', ' ')}, latitude {self.of.lat}, longitude {self.of.lon}"
        return str(self.of)


def _start(name: str, args: Args, kwargs: Kwargs, options: Options, tick: Tick) -> object:
    task = current_app.tasks[name]
    given = tuple(_evaluated(value) for value in args)
    named = {key: _evaluated(value) for key, value in kwargs.items()}
    send: Callable[[], object] = partial(task.apply_async, given, named, task_id=tick.id, **_copied(options))
    if not is_tracked(task):  # no row to be stored with the tick: it goes out when the tick is
        transaction.on_commit(send, robust=True)
        return None
    with periodic.started_by(tick.entry, tick.due):
        return send()


def _copied(options: Options) -> Options:
    return {key: copy(value) for key, value in options.items()}


def _evaluated(value: Option) -> object:
    return value() if isinstance(value, BeatLazyFunc) else value


def refuse(tick: Tick) -> object:
    """The start of an entry that cannot be read."""
    raise ValueError(f"{tick.entry} cannot be read.")
