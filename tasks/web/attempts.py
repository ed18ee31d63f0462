"""All attempts of a run, as its page shows them: those that were left, and the one that its row speaks of."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from django.utils import timezone

from progress.format import duration
from progress.messages import Reached, TaskError, TaskState
from progress.texts import said_reached
from tasks.models import CLAIMABLE, Attempt, State, TaskRun
from tasks.runs import attempts
from tasks.runs.state import shown_error


@dataclass(frozen=True)
class Row:
    """A line of the table; `bar`: what the axis says of it, which draws that of the newest attempt itself."""

    number: int
    how: str
    said: str
    began: datetime | None
    ended: datetime | None
    error: TaskError | None = None
    traceback: str = ""
    code_text: str = ""
    resumed_at: str = ""
    reached_text: str = ""
    message: str = ""
    worker: str = ""
    queue: str = ""
    host: str = ""
    bar: str = ""
    now: datetime = field(default_factory=timezone.now)

    @property
    def took(self) -> str:
        """How long it ran, or has run."""
        if self.began is None:
            return ""
        return duration(max(((self.ended or self.now) - self.began).total_seconds(), 0.0))


def table_of(run: TaskRun, task: TaskState) -> list[Row]:
    """Every attempt, the first one first; nothing of a run that is in its first, or has ended in it by itself."""
    left = attempts.rows_of(run)
    rows = [_left(one) for one in left]
    if rows and rows[-1].number < run.attempt and run.state not in CLAIMABLE:
        rows.append(_newest(run, task))
    return rows


def _left(one: Attempt) -> Row:
    public = attempts.public(one)
    return Row(
        one.number,
        one.how,
        Attempt.How(one.how).label if one.how in Attempt.How.values else one.how,
        one.began,
        one.ended,
        error=public["error"],
        traceback=one.traceback,
        code_text=attempts.said_code(one.code),
        resumed_at=_said(public["resumed_from"]),
        reached_text=_said(public["reached"]),
        message=public["message"],
        worker=one.worker,
        queue=one.queue,
        host=one.host,
        bar=one.how.replace("_", " "),
    )


def _newest(run: TaskRun, task: TaskState) -> Row:
    state = State(run.state)
    return Row(
        run.attempt,
        state.value,
        state.label,
        run.started_at,
        run.finished_at,
        error=shown_error(run.error),
        resumed_at=_said(task.get("resumed_from")),
        reached_text=_said(attempts.reached(task)),
        message=task.get("message") or "",
        worker=run.worker,
        queue=run.queue,
        host=Attempt(worker=run.worker).host,
    )


def _said(far: Reached | None) -> str:
    return said_reached(far) if far else ""
