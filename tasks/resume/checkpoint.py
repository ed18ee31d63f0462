"""`checkpoint.save` and `checkpoint.load`: how far the running task is, in its own words."""

from __future__ import annotations

from threading import get_ident
from typing import TypeVar, cast

from progress.active import _current

from .attempt import current_book
from .book import Book
from .stopping import flag
from .value import LEAST, MOST, Kept, checked_name, kept

T = TypeVar("T")

#: `progress.active.current` without a Python call of its own: `save` is called in the inner loops of tasks.
_reporter = _current.get


def save(value: object, name: str = "") -> None:
    """Remember `value` (JSON, up to 64 kB) as it is now under `name`: an attempt after this one gets it from `load`.

    It is written once a second, at the end of a step and at the end of the attempt; in `fenced()` with what is written
    there. Raises `CheckpointError` for what cannot be stored, `progress.Cancelled` and `Stopped` when the task shall
    end. Does nothing outside a task.
    """
    saved: Kept = value if type(value) is int and LEAST < value < MOST else kept(value)
    reporter = _reporter()
    if reporter is not None:
        book: Book | None = reporter.book  # type: ignore[assignment]  # a cast is a call
        if (
            book is not None
            and name in book.saved
            and not (book.connection.in_atomic_block or reporter.attention or flag[0])
            and book.thread == get_ident()
        ):
            book.saved[name] = saved
            return
    name = checked_name(name)
    found = current_book()
    if found is not None:
        found.save(name, saved)


def load(default: T = None, name: str = "") -> T:  # type: ignore[assignment]  # None fits every T that is not given
    """What this run saved last under `name`, in this attempt or one before it; `default` where it has not."""
    name = checked_name(name)
    book = current_book()
    return default if book is None else cast(T, book.load(name, default))
