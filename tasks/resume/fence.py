"""A fence in which a checkpoint is written with the effect: neither is ever ahead of the other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tasks.runs import fence

from .attempt import current_book


@contextmanager
def fenced() -> Iterator[None]:
    """One transaction, only for the attempt that holds the run.

    `checkpoint.save` within it is part of it: a process that dies at any instruction neither repeats nor skips what is
    written here to the database of the runs. Raises `progress.Cancelled` in an attempt that was overtaken. Outside a
    task it is a transaction.
    """
    book = current_book()
    with fence.fenced() if book is None else book.fence():
        yield
