"""A queryset as a source: asked for what comes after a key, a page at a time."""

from __future__ import annotations

import datetime
import decimal
import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeGuard, cast

from django.core.exceptions import FieldDoesNotExist
from django.db.models import F, Field, Model, Q, QuerySet, UniqueConstraint
from django.db.models.expressions import OrderBy
from django.db.models.query import (
    FlatValuesListIterable,
    ModelIterable,
    NamedValuesListIterable,
    ValuesIterable,
    ValuesListIterable,
)

from progress.types import JSON

from .errors import NotResumable

#: Rows that are fetched at once: a cursor that stays open for the whole loop would not outlive a lost connection.
PAGE = 1_000
#: (name of a field, True where the greatest comes first)
Order = list[tuple[str, bool]]

BY_KEY = 'Order it by a unique key: .order_by("pk").'


class Rows:
    """Rows after a key. Raises `NotResumable` for a queryset that is not ordered by a unique key."""

    keyed = True
    missing = 0

    def __init__(self, rows: QuerySet[Model, object]) -> None:
        if rows.query.combinator:
            raise NotResumable(f"A {rows.query.combinator} of querysets cannot be asked what comes after a row.")
        self._rows = rows
        self._order = _order_of(rows)
        self._fields = [_field(rows, name) for name, _ in self._order]
        self._read = _reader(rows, self._fields)
        self._limit: int | None = None
        if rows.query.is_sliced:
            self._limit = None if rows.query.high_mark is None else rows.query.high_mark - rows.query.low_mark

    def size(self) -> float | None:
        """Only the database knows."""
        return None

    def length(self) -> float | None:
        """Counted by the database."""
        return int(self._rows.count())

    def key(self, item: object) -> JSON:
        """The values that it is ordered by."""
        return [_as_json(value) for value in self._read(item)]

    def after(self, done: int, last: object) -> Iterator[object]:
        """Page by page; each page is asked for when it is wanted."""
        key = last if done else None
        while True:
            rows = self._page(key, done)
            yield from rows
            if len(rows) < PAGE:
                return
            key, done = self.key(rows[-1]), done + len(rows)

    def _page(self, key: object, done: int) -> Sequence[object]:
        rows, wanted = self._rows._chain(), PAGE  # type: ignore[attr-defined]  # a copy; all() of a slice as well
        if self._limit is not None:
            wanted = min(PAGE, self._limit - done)
            if wanted <= 0:
                return []
        offset = rows.query.low_mark if key is None else 0
        rows.query.clear_limits()
        if key is not None:
            rows = rows.filter(self._beyond(key))
        return list(rows[offset : offset + wanted])

    def _beyond(self, key: object) -> Q:
        """Later in the order than `key`: greater in the first field, or the same there and greater in the next."""
        if not isinstance(key, list) or len(key) != len(self._fields):
            raise NotResumable(f"The checkpoint {key!r} is no key of this queryset: its order is another one."[:300])
        values = [field.to_python(value) for field, value in zip(self._fields, key, strict=True)]
        found, same = Q(), Q()
        for (name, descending), value in zip(self._order, values, strict=True):
            found |= same & Q(**{f"{name}__{'lt' if descending else 'gt'}": value})
            same &= Q(**{name: value})
        return found


def _order_of(rows: QuerySet[Model, object]) -> Order:
    """What it is ordered by. Raises `NotResumable` unless that tells each row from every other."""
    query = rows.query
    if query.extra_order_by:
        raise NotResumable(f"A queryset with extra(order_by=…) cannot be asked what comes after a row. {BY_KEY}")
    options = rows.model._meta
    given = query.order_by or (options.ordering if query.default_ordering else ())
    if not given:
        raise NotResumable(f"The queryset of {rows.model.__name__} has no order. {BY_KEY}")
    order: Order = []
    for one in given:
        name, descending = _name(one)
        field = _field(rows, name)
        if field.null:
            raise NotResumable(f"The queryset is ordered by {name}, which may be NULL. {BY_KEY}")
        if field.is_relation and name not in ("pk", field.attname):
            raise NotResumable(f"The queryset is ordered by the relation {name}. {BY_KEY}")
        order.append((name, descending == query.standard_ordering))
        if field.unique or field.primary_key:
            return order  # what follows decides nothing
    names = {_field(rows, name).name for name, _ in order}
    together = [set(one) for one in options.unique_together]
    together += [set(one.fields) for one in options.constraints if _is_total(one)]
    if not any(one and one <= names for one in together):
        said = ", ".join(name for name, _ in order)
        raise NotResumable(f"The queryset is ordered by {said}, which several rows may have in common. {BY_KEY}")
    return order


def _is_total(constraint: object) -> TypeGuard[UniqueConstraint]:
    """True if it tells every row from every other."""
    return isinstance(constraint, UniqueConstraint) and constraint.condition is None and bool(constraint.fields)


def _name(one: object) -> tuple[str, bool]:
    """(field, descending) of a part of an order. Raises `NotResumable` for anything but a field of the model."""
    if isinstance(one, OrderBy) and isinstance(one.expression, F):
        return _name_of(one.expression), one.descending
    if isinstance(one, F):
        return _name_of(one), False
    if isinstance(one, str) and one != "?" and "__" not in one:
        return one.lstrip("-"), one.startswith("-")
    raise NotResumable(f"The queryset is ordered by {one!r}, which is no field of its own. {BY_KEY}"[:300])


def _name_of(one: F) -> str:
    return str(vars(one)["name"])


def _field(rows: QuerySet[Model, object], name: str) -> Field[object, object]:
    options = rows.model._meta
    if name in rows.query.annotations:
        raise NotResumable(f"The queryset is ordered by {name}, which is computed. {BY_KEY}")
    found: object
    try:
        found = options.pk if name == "pk" else options.get_field(name)
    except FieldDoesNotExist:
        found = next((one for one in options.concrete_fields if one.attname == name), None)
    if not isinstance(found, Field) or not found.concrete or found.many_to_many:
        raise NotResumable(f"The queryset is ordered by {name}, which is no field of its own. {BY_KEY}")
    return found


def _reader(rows: QuerySet[Model, object], fields: list[Field[object, object]]) -> Callable[[Any], Sequence[object]]:
    """What reads the key from a row of this queryset. Raises `NotResumable` where the row does not have it."""
    kind = rows._iterable_class
    if issubclass(kind, ModelIterable):
        return lambda item: [getattr(item, field.attname) for field in fields]
    query = rows.query
    columns = [*query.extra_select, *query.values_select, *query.annotation_select]
    places = []
    for field in fields:
        names = {field.name, field.attname} | ({"pk"} if field.primary_key else set())
        found = next((at for at, column in enumerate(columns) if column in names), None)
        if found is None:
            raise NotResumable(f"The rows must have {field.name}, by which they are ordered: add it to values(…).")
        places.append(found)
    if issubclass(kind, FlatValuesListIterable):
        return lambda item: [item]
    if issubclass(kind, ValuesIterable):
        return lambda item: [item[columns[at]] for at in places]
    if issubclass(kind, NamedValuesListIterable):
        return lambda item: [getattr(item, columns[at]) for at in places]
    if issubclass(kind, ValuesListIterable):
        given = list(getattr(rows, "_fields", ()) or columns)
        order = [given.index(columns[at]) for at in places]
        return lambda item: [item[at] for at in order]
    raise NotResumable(f"The rows of a {kind.__name__} cannot be asked what comes after one of them.")


def _as_json(value: object) -> JSON:
    """A key as JSON, from which its field makes it again."""
    if isinstance(value, (bool, int, str)):
        return cast(JSON, value)
    if isinstance(value, float):
        return value
    if isinstance(value, (datetime.datetime, datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, (uuid.UUID, decimal.Decimal)):
        return str(value)
    raise NotResumable(f"A {type(value).__name__} cannot be remembered as a key: order the queryset by another one.")
