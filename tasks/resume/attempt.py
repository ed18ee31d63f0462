"""Which book is the running task's: opened by the engine when it begins an attempt, or when it is first asked for."""

from __future__ import annotations

import logging
from functools import cache

from progress.messages import Reached
from progress.record import get_record
from progress.reporter import Reporter
from progress.resumed import bar_of, is_behind
from progress.threads import reporter_here
from progress.types import JSON
from tasks.models import TaskRun
from tasks.runs import checkpoints

from .book import Book
from .pen import get_pen

logger = logging.getLogger(__name__)


def begin(run: TaskRun, reporter: Reporter, version: JSON = 1) -> Book:
    """The book of this attempt. `version`: the task's `checkpoint_version`; a checkpoint of another one is ignored.

    Call it before the reporter is opened: the bar begins where the attempt before was.
    """
    fits = cache(lambda: checkpoints.fits_of(run))
    at = checkpoints.at_of(run.checkpoint_at)
    reached = checkpoints.reached(run.checkpoint_at)
    if at is not None and (at["fits"] != fits() or at.get("version") != version):
        other = f"checkpoint_version {at.get('version')!r}, and now it is {version!r}"
        what = other if at["fits"] == fits() else "other arguments"
        text = f"Its checkpoint is left, and the task begins anew: it was stored with {what}."
        logger.warning("%s: %s", run, text)
        reporter.write_line(text, "warning")
        reached = None
    if reached is not None:
        reporter.write_line(f"Resumed at {_text(reached)}, attempt {run.attempt}.")
        reporter.resume(reached, _shown(run, reached))
    book = Book(reporter, reached, version, fits)
    reporter.book = book
    return book


def end(reporter: Reporter) -> None:
    """The attempt is over: nothing more is written for it."""
    if isinstance(reporter.book, Book):
        get_pen().remove(reporter.book)
        reporter.book = None


def settle(reporter: Reporter | None) -> None:
    """The task's function was left, but not with its result: write what it has saved before its run moves on."""
    if reporter is not None and isinstance(reporter.book, Book):
        reporter.book.flush()


def current_book() -> Book | None:
    """The book of the running task; None outside of one."""
    reporter = reporter_here()
    if reporter is None or not reporter.task_id:
        return None
    book = reporter.book
    if not isinstance(book, Book):
        run = TaskRun.objects.filter(pk=reporter.task_id).first()
        if run is None:
            return None
        book = begin(run, reporter)
    book.open()
    get_pen().add(book)
    return book


def _text(reached: Reached) -> str:
    if reached["percent"] is not None:
        return f"{reached['percent']:.0f} %"
    if reached["current"] is not None:
        return f"{reached['current']:,g} {reached['unit']}".strip()
    return "its checkpoint"


def _shown(run: TaskRun, reached: Reached) -> Reached:
    """Where viewers saw the bar last: the attempt before may have come further than its checkpoint."""
    try:
        shown = bar_of(get_record().read(run.pk).changing or {})
    except Exception:  # Redis is away
        return reached
    ahead = shown["total"] == reached["total"] and not is_behind(shown, reached)
    return shown if ahead else reached
