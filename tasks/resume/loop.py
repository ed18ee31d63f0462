"""`resumable`: a loop that an attempt after this one goes on with."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from typing import Any, TypeVar

import progress
from progress.reporter import Reporter
from progress.values import MAX_MESSAGE, MAX_UNIT, plain_text

from .attempt import current_book
from .book import Book, here
from .places import Place
from .source import Listed, Source, source_of
from .stopping import flag
from .value import checked_name

T = TypeVar("T")


def resumable(
    source: Iterable[T] | Callable[[Any], Iterable[T]],
    total: float | None = None,
    unit: str = "",
    name: str = "",
    *,
    message: str | None = None,
    key: Callable[[T], object] | None = None,
) -> Iterator[T]:
    """Yield from `source` and count, as `progress.track`; an attempt after this one goes on after the last one done.

    `source`: a sequence, or an iterable that gives the same order again; or what is asked "after what?": a queryset
    that is ordered by a unique key, or a function of the last item's `key` (None: from the first on). `name`: of this
    loop, where the task has several. Raises `NotResumable` for a source that cannot go on, `progress.Cancelled` and
    `Stopped` when the task shall end.
    """
    found: Source[T] = source_of(source, key)
    name = checked_name(name)
    book = current_book()
    if book is None:
        return progress.track(found.after(0, None), found.length() if total is None else total, unit, message)
    return _loop(book, found, source, total, unit, name, message)


def _loop(
    book: Book, source: Source[T], given: object, total: float | None, unit: str, name: str, message: str | None
) -> Iterator[T]:
    place = book.enter(name, given)
    try:
        reporter = book.reporter
        if place.ended:
            if source.size() not in (None, place.total) and place.total is not None:
                text = f"A loop that has ended is skipped, though its source has {source.size():,g} items now"
                reporter.write_line(f"{text}, and had {place.total:,g}.", "warning")
            return
        whole = source.length() if total is None else total
        size = source.size() if source.size() is not None else whole
        done, last = _find(place, source, size, reporter)
        place.keyed, place.total = source.keyed, size
        reporter.total = whole
        reporter.unit = plain_text(unit, MAX_UNIT) or reporter.unit
        if message is not None:
            reporter.message = plain_text(message, MAX_MESSAGE)
        reporter.current = done
        book.attend()
        key_of = source.key if source.keyed else None
        within = here().in_atomic_block
        items = source.after(done, last)
        if source.missing:
            text = f"The source has {done - source.missing:,} items, fewer than the {done:,} that were done."
            reporter.write_line(text, "warning")
        if place.inner:
            items = _of_its_inner_loops(place, items, key_of)
        for item in items:
            now = item if key_of is None else key_of(item)
            place.now = now
            yield item
            done += 1
            if within:
                book.move(place, (done, now))
            else:
                place.at = (done, now)
            if place.inner:
                place.inner = {}
            reporter.current = done
            if reporter.attention or flag[0]:
                book.attend()
        place.ended = not within
    finally:
        book.leave(place)


def _of_its_inner_loops(place: Place, items: Iterator[T], key_of: Callable[[T], object] | None) -> Iterator[T]:
    """The items; where the first is another one than that in which loops had begun, those begin anew."""
    first = list(islice(items, 1))
    for item in first:
        if place.item is not None and place.item != (item if key_of is None else key_of(item)):
            place.inner = {}
    return chain(first, items)


def _find(place: Place, source: Source[T], whole: float | None, reporter: Reporter) -> tuple[int, object]:
    """Where the loop goes on, in a source that may have changed since; says so where it has."""
    done, last = place.at
    if not done:
        return 0, None
    if place.keyed != source.keyed:
        reporter.write_line("The source is of another kind than in the attempt before: it is begun anew.", "warning")
        place.at, place.inner = (0, None), {}
        return 0, None
    before = place.total
    if before != whole and before is not None and whole is not None:
        how = "shrunk" if whole < before else "grown"
        where = "after the last that was done" if source.keyed else f"after item {done:,}, by its place"
        text = f"The source has {how} from {before:,g} to {whole:,g} items: the task goes on {where}."
        reporter.write_line(text, "warning")
        if place.item is None:  # nobody can say whether the loops within belong to what comes now
            place.inner = {}
    if isinstance(source, Listed) and last is not None:
        found = source.place_of(last, done)
        if found is not None and found != done:
            text = f"The last item that was done is now number {found:,}, not {done:,}: the task goes on after it."
            reporter.write_line(text, "warning")
            place.at = (found, last)
            return found, last
    return done, last
