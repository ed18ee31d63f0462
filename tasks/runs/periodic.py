"""Which entry of a schedule starts what is accepted here."""

from __future__ import annotations

import contextvars
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

_entry: contextvars.ContextVar[tuple[str | None, datetime | None]] = contextvars.ContextVar(
    "tasks_entry", default=(None, None)
)


@contextmanager
def started_by(entry: str, due: datetime | None) -> Iterator[None]:
    """What is accepted within is a run of `entry`, for its time `due`; None: staff has started it by hand."""
    token = _entry.set((entry, due))
    try:
        yield
    finally:
        _entry.reset(token)


def current() -> tuple[str | None, datetime | None]:
    """The entry and its time; (None, None) outside `started_by`."""
    return _entry.get()
