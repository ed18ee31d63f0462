"""Attempts that did not end their run themselves. `moves` keeps one in the transaction that ends it.

One that ends its run, as nearly every one does, is in the run's own row: for it nothing is asked and nothing written.
"""

from __future__ import annotations

import signal
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import cast

from django.db.models import F, QuerySet
from django.utils import timezone

from progress.active import current
from progress.held import Since
from progress.messages import AttemptState, Changing, Reached, TaskError, TaskState
from progress.record import get_record
from progress.types import JSON
from tasks.models import Attempt, State, TaskRun

from .message import MAX_TRACEBACK, plain, sayable
from .state import iso, shown_error

#: Of a run's attempts the newest that are shown.
MAX_SHOWN = 50
#: Characters of an error in a list of them.
MAX_ERROR_SHOWN = 300
#: What is kept of the last numbers.
NUMBERS = ("current", "total", "percent", "unit", "message", "step")


@dataclass(frozen=True, slots=True)
class Left:
    """How an attempt was left; `code` as `Attempt.code`."""

    how: Attempt.How
    error: TaskError | None = None
    traceback: str = ""
    code: int | None = None

    def cancelled(self) -> Left | None:
        """The same of an attempt that was to end: by force, or else in good order, and then its run says it all."""
        if self.how not in (Attempt.How.LOST, Attempt.How.HUNG):
            return None
        return replace(self, how=Attempt.How.KILLED)


def over(found: QuerySet[TaskRun], left: Left | None) -> Attempt | None:
    """The row of the attempt that holds the run `found`, to be kept when it is ended; None where none does."""
    run = found.filter(state=State.STARTED).first() if left is not None else None
    if run is None or left is None:
        return None
    numbers = _last_numbers(run)
    return Attempt(
        run=run,
        number=run.attempt,
        how=left.how,
        worker=run.worker,
        queue=run.queue,
        began=run.started_at,
        error=left.error and sayable(cast(JSON, left.error)),
        traceback=plain(left.traceback[-MAX_TRACEBACK:]),
        code=left.code,
        resumed_from=sayable(cast(JSON, numbers.get("resumed_from"))),
        numbers=sayable({name: cast(JSON, numbers[name]) for name in NUMBERS if name in numbers}),  # type: ignore[literal-required]
    )


def keep(attempt: Attempt | None) -> None:
    """Store it, within the transaction that has ended it. One that is there already was told before, and is right."""
    if attempt is not None:
        attempt.ended = timezone.now()
        Attempt.objects.bulk_create([attempt], ignore_conflicts=True)


def _last_numbers(run: TaskRun) -> Changing:
    """What the attempt itself has told: here, or else to the live record. Empty while Redis is away."""
    reporter = current()
    if reporter is not None and (reporter.task_id, reporter.attempt) == (run.pk, run.attempt):
        return reporter.state()
    with suppress(Exception):
        told = get_record().read(run.pk, Since(log=False)).changing
        if told.get("attempt") == run.attempt:
            return told
    return {}


# --- as people read them ----------------------------------------------------------------------------------------------


def rows_of(run: TaskRun) -> list[Attempt]:
    """The newest of them, the oldest first."""
    return list(run.left.order_by("-number")[:MAX_SHOWN])[::-1] if _may_have(run) else []


def with_attempts(found: Sequence[TaskRun], states: dict[str, TaskState]) -> dict[str, TaskState]:
    """`states` of `found`, each with its attempts: one query, or none where all are in their first."""
    rows: dict[str, list[AttemptState]] = {pk: [] for pk in states}
    some = [run.pk for run in found if _may_have(run)]
    if some:
        # Without the tracebacks, which are for staff, on the run's page.
        newest = Attempt.objects.filter(run__in=some, number__gte=F("run__attempt") - MAX_SHOWN)
        for row in newest.defer("traceback").order_by("number"):
            rows[row.run_id].append(public(row))
    for pk, state in states.items():
        state["attempts"] = rows[pk][-MAX_SHOWN:]
    return states


def _may_have(run: TaskRun) -> bool:
    if run.attempt > 1:
        return True
    return run.attempt == 1 and run.state != State.STARTED and run.state != State.SUCCESS


def public(row: Attempt) -> AttemptState:
    """What the run's viewers may read of it."""
    numbers = row.numbers if isinstance(row.numbers, dict) else {}
    return {
        "number": row.number,
        "how": row.how,
        "began_at": iso(row.began),
        "ended_at": iso(row.ended),
        "error": _short(row.error),
        "code": row.code,
        "resumed_from": reached(row.resumed_from),
        "reached": reached(numbers),
        "message": str(numbers.get("message") or ""),
    }


def reached(stored: object) -> Reached | None:
    """How far it was, where that was told."""
    if not isinstance(stored, dict):
        return None
    numbers = {name: stored.get(name) for name in ("current", "total", "percent")}
    if all(value is None for value in numbers.values()):
        return None
    return cast(Reached, {**numbers, "unit": stored.get("unit") or ""})


def said_code(code: int | None) -> str:
    """Such as "signal 9 (SIGKILL): out of memory?", "exit code 3"; "" where nobody knows."""
    if code is None:
        return ""
    if code >= 0:
        return f"exit code {code}"
    try:
        name = f" ({signal.Signals(-code).name})"
    except ValueError:
        name = ""
    memory = ": out of memory?" if -code == signal.SIGKILL else ""
    return f"signal {-code}{name}{memory}"


def _short(error: object) -> TaskError | None:
    shown = shown_error(error)
    return shown and {**shown, "message": shown["message"][:MAX_ERROR_SHOWN]}
