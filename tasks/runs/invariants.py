"""What must hold of all runs at any time: rows against rows, queues, beats, and what was told.

Nothing is moved here: the sweep repairs, this says whether it did. Each rule is one bounded question and is tried on
its own. What cannot be answered now is said to be unknown, and never taken for good.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal, cast

from django.db.models import Count, Exists, F, IntegerField, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.utils import timezone

from progress.held import Since
from progress.messages import Changing
from progress.record import get_record
from tasks.models import CLAIMABLE, FINAL, State, TaskGroup, TaskRun

from . import waiting
from .barrier import UNKNOWN
from .beats import DEAD_AFTER
from .engine import get_engine
from .missing import OVERTAKEN_BY
from .state import changing

#: Nothing is held, or unheard of, this long after the last thing that it waits for has ended.
FREED_WITHIN = timedelta(seconds=15)
#: A run that is due is sent, and a lost message is sent again, within this long while broker and worker are there.
SENT_WITHIN = timedelta(seconds=10)
#: The attempt of a dead worker, or of a dead process, is given to another within this long.
MISSED_WITHIN = timedelta(seconds=15)
#: Rows that one rule names.
MOST = 50
#: Of each state, the newest runs whose live record is compared with the row.
COMPARED = 100
#: Queues that are counted.
QUEUES = 50
#: Seconds between two looks of `lasting`.
LOOK_EVERY = 0.5


@dataclass(frozen=True, slots=True)
class Violation:
    """A rule that is broken by `ids`: runs, groups or queues. `sentence` says how."""

    rule: str
    ids: tuple[str, ...]
    sentence: str

    def __str__(self) -> str:
        named = ", ".join(repr(one) for one in self.ids[:5])
        more = f" and {len(self.ids) - 5} more" if len(self.ids) > 5 else ""
        return f"{self.rule}: {self.sentence} ({named}{more})"


@dataclass(frozen=True, slots=True)
class Report:
    """The violations of one look; and of each rule that could not be judged, why."""

    violations: list[Violation] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)


class CannotSay(Exception):
    """Whoever was asked did not answer; the text says who."""


#: What a rule finds: an id, and what is wrong with it.
Found = Iterator[tuple[str, str]]


def check() -> list[Violation]:
    """The violations of one look. What lasts for a moment by design (between two beats) may be among them."""
    return look().violations


def lasting(seconds: float) -> Report:
    """What was broken in every look for `seconds`; returns as soon as nothing is left."""
    report = look()
    until = time.monotonic() + seconds  # from here on: on a slow machine as well there is a second look
    while report.violations and time.monotonic() < until:
        time.sleep(LOOK_EVERY)
        report = _both(report, look())
    return report


def look() -> Report:
    """Ask every rule once."""
    report = Report()
    for name, rule in RULES.items():
        ids: dict[str, list[str]] = {}
        try:
            for pk, sentence in rule():
                ids.setdefault(sentence, []).append(pk)
        except Exception as error:
            report.unknown.append(f"{name}: {error}" if isinstance(error, CannotSay) else f"{name}: {error!r}"[:300])
        report.violations.extend(Violation(name, tuple(some), sentence) for sentence, some in ids.items())
    return report


def _both(before: Report, now: Report) -> Report:
    """What is broken now and was before. A rule that cannot be judged now is broken as it was."""
    known = {(one.rule, pk) for one in before.violations for pk in one.ids}
    silent = {text.partition(":")[0] for text in now.unknown}
    kept = [one for one in before.violations if one.rule in silent]
    for one in now.violations:
        if one.rule not in silent and (ids := tuple(pk for pk in one.ids if (one.rule, pk) in known)):
            kept.append(Violation(one.rule, ids, one.sentence))
    return Report(kept, now.unknown)


# --- rows against rows ------------------------------------------------------------------------------------------------


def _held() -> Found:
    before = timezone.now() - FREED_WITHIN
    run = TaskRun.objects.filter(pk=OuterRef("after")).exclude(pk=OuterRef("pk"))
    lives = run.filter(~Q(state__in=FINAL) | Q(finished_at__gt=before))
    group = TaskGroup.objects.filter(pk=OuterRef("after"), done=False)
    # A chord further down a chain: its group is stored when its turn comes, its parts are held until then.
    part = TaskRun.objects.filter(~Q(state__in=FINAL) | Q(finished_at__gt=before), group_id=OuterRef("after"))
    part = part.exclude(held=True, after=OuterRef("after"))  # a body that says it is one
    held = TaskRun.objects.filter(held=True, state=State.PENDING, accepted_at__lt=before)
    stuck = held.filter(Q(after=None) | (~Exists(lives) & ~Exists(group) & ~Exists(part)))
    for pk in stuck.order_by().values_list("pk", flat=True)[:MOST]:
        yield pk, "It is held, but what it waits for has ended, or is gone."


def _followed() -> Found:
    # Without the states, which are FINAL: SQLite would read the index of all that ever ended (0.5 s of a million).
    late = TaskRun.objects.filter(unfollowed=True, finished_at__lt=timezone.now() - FREED_WITHIN)
    for pk in late.order_by().values_list("pk", flat=True)[:MOST]:
        yield pk, "It has ended, but what waits for it has not heard it."


def _open_groups() -> QuerySet[TaskGroup]:
    before = timezone.now() - FREED_WITHIN
    groups = TaskGroup.objects.filter(done=False, body__isnull=False, untracked=False, created_at__lt=before)
    return groups.filter(left__lt=UNKNOWN // 2)


def _completed() -> Found:
    before = timezone.now() - FREED_WITHIN
    parts = TaskRun.objects.filter(group_id=OuterRef("pk")).exclude(held=True, after=OuterRef("pk"))
    open_part = parts.filter(~Q(state__in=FINAL) | Q(finished_at__gt=before))
    ended = _open_groups().filter(~Exists(open_part), Exists(parts))
    for pk in ended.order_by("created_at").values_list("pk", flat=True)[:MOST]:
        yield pk, "All parts of the group have ended, but not what waits for them has begun."


def _counted() -> Found:
    rows = TaskRun.objects.filter(group_id=OuterRef("pk")).exclude(held=True, after=OuterRef("pk"))
    parts = rows.order_by().values("group_id")
    going = parts.filter(~Q(state__in=FINAL) | Q(unfollowed=True))
    groups = (
        _open_groups()
        .order_by("-created_at")
        .annotate(
            parts=_count(parts),
            going=_count(going),
        )
    )
    for pk, members, left, parts_there, still in groups.values_list("pk", "members", "left", "parts", "going")[:MOST]:
        if left != still and _size(members) == parts_there:
            yield pk, f"The group waits for {left} parts, but {still} have not ended."


def _count(rows: QuerySet[TaskRun, object]) -> Coalesce:
    counted = rows.annotate(number=Count("pk")).values("number")
    return Coalesce(Subquery(counted, output_field=IntegerField()), 0)


def _size(members: object) -> int | None:
    """How many tasks are in `GroupResult.as_tuple()`, those of inner groups included; None for what is none."""
    try:
        (_, _), inner = cast("tuple[tuple[object, object], list[object] | None]", members)
        return 1 if inner is None else sum(_size(one) or 0 for one in inner)
    except (TypeError, ValueError):
        return None


# --- rows against queues ----------------------------------------------------------------------------------------------


def _looked() -> waiting.Pulse:
    now = waiting.pulse()
    if not now.reachable:
        raise CannotSay("Redis does not say who works.")
    if not now.broker:
        raise CannotSay("The broker does not answer.")
    return now


def _due() -> QuerySet[TaskRun]:
    """Waiting runs that were due `SENT_WITHIN` ago."""
    before = timezone.now() - SENT_WITHIN
    due = TaskRun.objects.filter(waiting.due(before), accepted_at__lt=before)
    return due.filter(Q(expires=None) | Q(expires__gt=timezone.now()))


def _sent() -> Found:
    unsent = list(_due().filter(sent_at=None).order_by().values_list("pk", flat=True)[:MOST])
    if unsent and not any(worker.alive for worker in _looked().workers):
        raise CannotSay("No worker is running, so nobody sends what was not sent.")
    for pk in unsent:
        yield pk, "It is due, and broker and worker are there, but it was not sent."


def _message() -> Found:
    """In a queue that is served: as many messages are there as runs wait for one, where that can be told."""
    sent = _due().filter(sent_at__lt=timezone.now() - SENT_WITHIN)
    for engine, queue in _queues(sent):
        now = _looked()
        if not now.serves(queue, engine):
            continue  # it waits for a worker, and says so
        here = sent.filter(engine=engine, queue=queue)
        messages = _messages(engine, queue)
        newest = _newest_claimed(engine, queue)
        with_workers = {pk for worker in now.workers if not worker.dead for pk in (*worker.reserved, *worker.active)}
        suspects = here
        if messages:
            if newest is None:
                continue
            suspects = here.filter(accepted_at__lt=newest - OVERTAKEN_BY, sent_at__lt=newest - OVERTAKEN_BY)
        missing = here.count() - messages
        found = suspects.order_by("accepted_at").values_list("pk", flat=True)[: MOST + len(with_workers)]
        for pk in [pk for pk in found if pk not in with_workers][: max(0, min(missing, MOST))]:
            yield pk, "It was sent, but no message of it is left, and others were begun."


def _copies() -> Found:
    """Never more messages than runs that wait for one, or were ended while they waited."""
    mine = Q(state__in=CLAIMABLE, held=False) & (Q(sent_at__isnull=False) | waiting.due(timezone.now()))
    queues = _queues(TaskRun.objects.filter(mine))
    living = [worker for worker in _looked().workers if worker.alive]
    queues += sorted({(worker.engine, name) for worker in living for name in worker.queues} - set(queues))
    for engine, queue in queues[:QUEUES]:
        here = TaskRun.objects.filter(mine, engine=engine, queue=queue)
        before = here.count()
        messages = _messages(engine, queue)
        most = max(before, here.count())
        if messages > most:
            most += _withdrawn(engine, queue, messages - most)
        if messages > most:
            yield queue, f"{messages} messages are in the queue, but {most} runs have one there."


def _withdrawn(engine: str, queue: str, wanted: int) -> int:
    """How many runs, `wanted` at most, have ended while their message may still be in the queue."""
    ended = TaskRun.objects.filter(engine=engine, queue=queue, state__in=FINAL, sent_at__isnull=False)
    ended = ended.filter(Q(attempt=0) | Q(started_at__lt=F("sent_at")))
    newest = _newest_claimed(engine, queue)
    if newest is not None:
        ended = ended.filter(sent_at__gt=newest - OVERTAKEN_BY)
    return len(ended.order_by("-accepted_at").values_list("pk", flat=True)[:wanted])


def _newest_claimed(engine: str, queue: str) -> datetime | None:
    claimed = TaskRun.objects.filter(engine=engine, queue=queue, attempt__gt=0, eta=None).order_by("-accepted_at")
    return claimed.values_list("accepted_at", flat=True).first()


def _queues(runs: QuerySet[TaskRun]) -> list[tuple[str, str]]:
    """Each with its engine."""
    return list(runs.order_by().values_list("engine", "queue").distinct()[:QUEUES])


def _messages(engine: str, queue: str) -> int:
    try:
        return get_engine(engine).count(queue)
    except Exception as error:
        raise CannotSay(f"The broker does not say how long the queue {queue[:100]!r} is: {error}"[:300]) from error


# --- rows against workers, and against what was told ------------------------------------------------------------------


def _started() -> Found:
    """STARTED: a worker lives, and says that it is at it."""
    old = TaskRun.objects.filter(state=State.STARTED, started_at__lt=timezone.now() - MISSED_WITHIN)
    rows = list(old.order_by("started_at").values_list("pk", "attempt", "worker")[: 10 * MOST])
    if not rows:
        return
    workers = {worker.id: worker for worker in _looked().workers}
    if not any(worker.alive for worker in workers.values()):
        raise CannotSay("No worker is running, so nobody looks for those that died.")
    count = 0
    for pk, attempt, name in rows:
        worker = workers.get(name)
        if worker is not None:
            silent = worker.silent_for - DEAD_AFTER
            if silent < MISSED_WITHIN.total_seconds() and (silent > 0 or pk in worker.active):
                continue
        if not TaskRun.objects.filter(pk=pk, attempt=attempt, state=State.STARTED).exists():
            continue  # it went on since
        what = "says that it is not at it" if worker is not None and not worker.dead else "is dead"
        yield pk, f"It is STARTED, but its worker {what}."
        count += 1
        if count == MOST:
            return


def _told() -> Found:
    """A live record that tells an end tells the one that is recorded."""
    before = timezone.now() - FREED_WITHIN
    for state in State:
        rows = TaskRun.objects.filter(state=state).order_by("-accepted_at")
        if state in FINAL:
            rows = rows.filter(finished_at__lt=before)
        told = _told_ends(list(rows.values_list("pk", flat=True)[:COMPARED]))
        for run in TaskRun.objects.filter(pk__in=told).defer("message", "traceback"):
            said, right = told[run.pk], changing(run)
            if said.get("attempt", 0) < run.attempt:
                continue  # of an attempt before: the row wins
            what: Literal["result", "error"] = "result" if run.state == State.SUCCESS else "error"
            if said["state"] != run.state:
                yield run.pk, f"{said['state']} was told, but {run.state} is recorded."
            elif said.get(what) != right[what]:
                yield run.pk, f"Another {what} was told than is recorded."


def _told_ends(ids: list[str]) -> dict[str, Changing]:
    try:
        record = get_record()
        told = {pk: record.read(pk, Since(log=False)).changing for pk in ids}
    except Exception as error:
        raise CannotSay(f"Redis does not say what was told: {error}"[:300]) from error
    return {pk: said for pk, said in told.items() if said.get("state") in FINAL}


#: The rules by name. Kept by whom: docs/RELIABILITY.md.
RULES: dict[str, Callable[[], Found]] = {
    "held": _held,
    "followed": _followed,
    "completed": _completed,
    "counted": _counted,
    "sent": _sent,
    "message": _message,
    "copies": _copies,
    "started": _started,
    "told": _told,
}
