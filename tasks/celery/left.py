"""How an attempt was left, as Celery and its pool say it."""

from __future__ import annotations

import re
import traceback

from celery.exceptions import WorkerLostError

from tasks.models import Attempt
from tasks.runs import Left, plain
from tasks.runs.attempts import said_code
from tasks.runs.deaths import one

from .errors import describe, text_of

#: How billiard's pool says in a WorkerLostError how a process has ended.
_STATUS = re.compile(r"\b(?:signal (?P<signal>\d{1,3})|exitcode (?P<code>-?\d{1,5}))\b")


def by_retry(error: object) -> Left:
    """By `self.retry(exc=error)`; Celery gives the text of it where it has no more."""
    if error is None:
        return Left(Attempt.How.RETRIED)
    trace = "".join(traceback.format_exception(error)) if isinstance(error, BaseException) else ""
    told = describe(error) if isinstance(error, BaseException) else {"type": "Retry", "message": plain(str(error))}
    return Left(Attempt.How.RETRIED, {"type": told["type"], "message": told["message"]}, trace)


def by_death(error: object) -> Left:
    """With its process, of which the parent knows how it has ended."""
    code: int | None = None
    if isinstance(error, WorkerLostError):
        found = _STATUS.search(text_of(error))
        if found is not None:
            code = -int(found["signal"]) if found["signal"] else int(found["code"])
    elif isinstance(error, SystemExit):
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
    told = said_code(code)
    return Left(Attempt.How.LOST, one(f"Its process died: {told}." if told else ""), code=code)
