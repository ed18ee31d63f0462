"""What `resumable` goes through: things that give the same order again, and things that are asked "after what?"."""

from __future__ import annotations

import inspect
from collections.abc import (
    AsyncIterable,
    Callable,
    ItemsView,
    Iterable,
    Iterator,
    KeysView,
    Sequence,
    Set,
    Sized,
)
from itertools import islice
from typing import Generic, Protocol, TypeVar, cast

from django.db.models import Manager, QuerySet
from django.db.models.query import RawQuerySet

from progress.types import JSON
from progress.values import length_of

from .errors import NotResumable
from .value import checked

T = TypeVar("T")

SORTED = "Give a list, sorted(…) for example, or a queryset that is ordered by a unique key."


class Source(Protocol[T]):
    """`keyed`: it is asked "after what?" and names each item by a key; else by how many came before."""

    keyed: bool
    #: Of the items that were done before, how many are not there any more; known once `after` was called.
    missing: int

    def size(self) -> float | None:
        """How many items there are in all, where it is known without a question."""

    def length(self) -> float | None:
        """How many items there are in all; None where nobody knows."""

    def key(self, item: T) -> JSON:
        """What a keyed source is asked with once `item` is done."""

    def after(self, done: int, last: object) -> Iterator[T]:
        """What comes after the first `done` items, the last of which is remembered as `last`."""


class _Counted(Generic[T]):
    """Where an item is, is how many came before it."""

    keyed = False
    missing = 0

    def length(self) -> float | None:
        """As far as it says so itself."""
        return self.size()

    def size(self) -> float | None:
        """As far as it says so itself."""
        raise NotImplementedError

    def key(self, item: T) -> JSON:
        """It has none."""
        raise NotImplementedError


class Listed(_Counted[T]):
    """A sequence: a slice of it."""

    def __init__(self, items: Sequence[T]) -> None:
        self._items = items

    def size(self) -> float | None:
        """Its own."""
        return len(self._items)

    def after(self, done: int, last: object) -> Iterator[T]:
        """From that place on."""
        if not done:
            return iter(self._items)
        self.missing = max(done - len(self._items), 0)
        try:
            rest: Sequence[T] = self._items[done:]
            return iter(rest)
        except TypeError:  # one that has no slices
            return (self._items[at] for at in range(done, len(self._items)))

    def place_of(self, last: object, done: int) -> int | None:
        """How many items are done, by where the last of them is now; None where it is not to be found."""
        for at in (done - 1, *range(len(self._items))):
            if 0 <= at < len(self._items) and type(self._items[at]) is type(last) and self._items[at] == last:
                return int(at + 1)
        return None


class Repeated(_Counted[T]):
    """Any other iterable: what was done is gone through again, and skipped."""

    def __init__(self, items: Iterable[T]) -> None:
        self._items = items
        self._size = length_of(items)

    def size(self) -> float | None:
        """As far as it says so itself."""
        return self._size

    def after(self, done: int, last: object) -> Iterator[T]:
        """The rest."""
        items = iter(self._items)
        self.missing = done - sum(1 for _ in islice(items, done))
        return items


class Asked(Generic[T]):
    """A function that is asked what comes after the last one that was done: after None, from the first on."""

    keyed = True
    missing = 0

    def __init__(self, ask: Callable[[object], Iterable[T]], key: Callable[[T], object] | None) -> None:
        self._ask = ask
        self._key = key

    def size(self) -> float | None:
        """It does not say."""
        return None

    length = size

    def after(self, done: int, last: object) -> Iterator[T]:
        """Its answer."""
        answer = self._ask(last if done else None)
        try:
            return iter(answer)
        except TypeError:
            raise NotResumable(
                f"A function given to resumable must return what can be gone through, but returned {answer!r}."[:300]
            ) from None

    def key(self, item: T) -> JSON:
        """What it is asked with when this item is done."""
        try:
            return checked(item if self._key is None else self._key(item))
        except TypeError as error:
            if self._key is not None:
                raise
            raise NotResumable(
                f"resumable cannot ask what comes after a {type(item).__name__}: give key=…, a function that makes "
                f"JSON of an item. {error}"
            ) from error


def source_of(given: object, key: Callable[[T], object] | None = None) -> Source[T]:
    """What `resumable` was given, as a source. Raises `NotResumable` for what cannot go on where it was."""
    if isinstance(given, Manager):
        given = given.all()
    if isinstance(given, QuerySet):
        from .queryset import Rows

        return cast("Source[T]", Rows(given))
    _refuse(given)
    if isinstance(given, Sequence):
        return Listed(given)
    if isinstance(given, Iterable):
        return Repeated(given)
    if callable(given):
        return Asked(given, key)
    raise NotResumable(
        f"resumable takes a sequence, an iterable, a queryset or a function, but got a {type(given).__name__}."
    )


def _refuse(given: object) -> None:
    if isinstance(given, RawQuerySet):
        raise NotResumable(f"The order of a raw query is unknown. {SORTED}")
    if isinstance(given, Set) and not isinstance(given, (KeysView, ItemsView)):
        raise NotResumable(f"A set has no order that comes again. {SORTED}")
    if isinstance(given, AsyncIterable):
        raise NotResumable(f"resumable cannot go through an asynchronous {type(given).__name__}. {SORTED}")
    if isinstance(given, Iterator):
        _refuse_iterator(given)
    elif callable(given) and not isinstance(given, Iterable) and not _takes_one(given):
        raise NotResumable(
            "A function given to resumable is called with one argument: the key of the last item that is done, or None."
        )


def _refuse_iterator(given: object, depth: int = 0) -> None:
    """An iterator comes once: it must be at its beginning, and so must those that it is made of."""
    begun = NotResumable(
        f"The {type(given).__name__} was begun already, so nobody knows what came before. Make it anew in the call: "
        "resumable(rows(path))."
    )
    if inspect.isgenerator(given):
        if inspect.getgeneratorstate(given) != inspect.GEN_CREATED:
            raise begun
        return
    if type(given) is type(iter(set())):
        raise NotResumable(f"A set has no order that comes again. {SORTED}")
    if hasattr(given, "tell"):
        try:
            at = given.tell()
        except (OSError, ValueError):  # a pipe
            return
        if at:
            raise begun
        return
    if type(given).__module__ != "builtins" or depth > 10:
        return
    try:
        made = given.__reduce__()
    except TypeError:
        return
    if not isinstance(made, tuple) or len(made) < 2:
        return
    make, parts, *state = made
    if make is reversed and state and isinstance(parts[0], Sized) and state[0] != len(parts[0]) - 1:
        raise begun
    if make is iter and state and isinstance(state[0], int) and state[0] > 0:
        raise begun
    for part in parts:
        if isinstance(part, Iterator):
            _refuse_iterator(part, depth + 1)


def _takes_one(given: Callable[..., object]) -> bool:
    try:
        inspect.signature(given).bind(None)
    except TypeError:
        return False
    except ValueError:  # one of C, that does not say
        return True
    return True
