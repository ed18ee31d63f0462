"""Arguments, results and errors of Huey tasks as JSON in a row, and back.

Huey pickles what it is given. A row is read by people, pages and databases, so here it is JSON, with a tag for what
JSON does not know. What has no tag is refused at the start, by name.
"""

from __future__ import annotations

import base64
import importlib
import json
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import cast
from uuid import UUID

from huey.utils import SKIPPED, Error

from progress.messages import TaskError
from progress.types import JSON
from tasks.runs.message import MAX_ERROR, plain

TYPE, VALUE = "__type__", "__value__"


class NotEncodable(TypeError):
    """A value that no row can hold."""


class RaisedElsewhere(Exception):
    """An exception of a task whose class cannot be made here again."""


#: Of each type: its tag, and the value as JSON. The first that fits counts: a datetime is a date as well.
_WAYS: list[tuple[type, str, Callable[[object], JSON]]] = [
    (datetime, "datetime", lambda value: cast(datetime, value).isoformat()),
    (date, "date", lambda value: cast(date, value).isoformat()),
    (time, "time", lambda value: cast(time, value).isoformat()),
    (timedelta, "timedelta", lambda value: cast(timedelta, value).total_seconds()),
    (Decimal, "decimal", str),
    (UUID, "uuid", str),
    (bytes, "bytes", lambda value: base64.b64encode(cast(bytes, value)).decode()),
    (Error, "failed", lambda value: encode(cast(Error, value).metadata)),
    (tuple, "tuple", lambda value: [encode(one) for one in cast("tuple[object, ...]", value)]),
    (frozenset, "frozenset", lambda value: [encode(one) for one in cast("frozenset[object]", value)]),
    (set, "set", lambda value: [encode(one) for one in cast("set[object]", value)]),
    (type(SKIPPED), "skipped", lambda value: None),
    (BaseException, "exception", lambda value: _parts(cast(BaseException, value))),
]
_BACK: dict[str, Callable[[JSON], object]] = {
    "datetime": lambda value: datetime.fromisoformat(str(value)),
    "date": lambda value: date.fromisoformat(str(value)),
    "time": lambda value: time.fromisoformat(str(value)),
    "timedelta": lambda value: timedelta(seconds=cast(float, value)),
    "decimal": lambda value: Decimal(str(value)),
    "uuid": lambda value: UUID(str(value)),
    "bytes": lambda value: base64.b64decode(str(value)),
    "failed": lambda value: Error(decode(value)),
    "tuple": lambda value: tuple(_each(value)),
    "frozenset": lambda value: frozenset(_each(value)),
    "set": lambda value: set(_each(value)),
    "skipped": lambda value: SKIPPED,
    "exception": lambda value: _made(cast("dict[str, JSON]", value)),
    "dict": lambda value: {decode(key): decode(one) for key, one in cast("list[list[JSON]]", value)},
}


def encode(value: object) -> JSON:
    """`value` as JSON. Raises `NotEncodable`, which names its type."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, list):
        return [encode(one) for one in value]
    if isinstance(value, dict):
        if all(isinstance(key, str) for key in value) and TYPE not in value:
            return {key: encode(one) for key, one in value.items()}
        return {TYPE: "dict", VALUE: [[encode(key), encode(one)] for key, one in value.items()]}
    for kind, tag, way in _WAYS:
        if isinstance(value, kind):
            return {TYPE: tag, VALUE: way(value)}
    raise NotEncodable(f"a {type(value).__module__}.{type(value).__qualname__} cannot be stored")


def dumps(value: object) -> str:
    """`encode`, as a JSON text. Raises `NotEncodable`."""
    try:
        return json.dumps(encode(value))
    except (TypeError, ValueError) as error:
        raise NotEncodable(str(error)) from error


def decode(stored: JSON) -> object:
    """What `encode` was given. Raises ValueError for a tag that nobody has written."""
    if isinstance(stored, list):
        return _each(stored)
    if not isinstance(stored, dict):
        return stored
    if TYPE not in stored:
        return {key: decode(one) for key, one in stored.items()}
    try:
        return _BACK[str(stored[TYPE])](stored.get(VALUE))
    except (KeyError, TypeError) as error:
        raise ValueError(f"no value of the type {stored[TYPE]!r}") from error


def _each(stored: JSON) -> list[object]:
    return [decode(one) for one in cast("list[JSON]", stored)]


def describe(error: BaseException) -> TaskError:
    """What a row says of an exception: its type and message for viewers, and what makes it anew."""
    name = plain(type(error).__name__)
    try:
        text = plain(str(error) or name)[:MAX_ERROR]
    except Exception:
        text = f"({name}, whose text cannot be made)"
    return cast(TaskError, {"type": name, "message": text, "raised": _parts(error)})


def _parts(error: BaseException) -> JSON:
    try:
        shown = plain(repr(error))[:MAX_ERROR]
    except Exception:
        shown = type(error).__name__
    args: list[JSON] = []
    for one in error.args:
        try:
            args.append(encode(one))
        except Exception:
            args.append(plain(repr(type(one))))
    cls = type(error)
    return {"module": plain(cls.__module__), "name": plain(cls.__qualname__), "args": args, "repr": shown}


def _made(parts: dict[str, JSON]) -> BaseException:
    """The exception, of its own class where that can be made of its arguments."""
    try:
        cls = importlib.import_module(str(parts["module"]))
        for name in str(parts["name"]).split("."):
            cls = getattr(cls, name)
        if isinstance(cls, type) and issubclass(cls, BaseException):
            return cls(*_each(parts["args"]))
    except Exception:
        pass
    return RaisedElsewhere(str(parts.get("repr")))


def shown(error: JSON) -> str:
    """What Huey's `TaskException` says of the error of a row: the exception as Python shows it."""
    if not isinstance(error, dict):
        return "unknown error"
    raised = error.get("raised")
    if isinstance(raised, dict):
        return str(raised.get("repr"))
    return f"{error.get('type')}({error.get('message')!r})"


def raised(error: JSON) -> BaseException:
    """The exception of a row's error."""
    parts = error.get("raised") if isinstance(error, dict) else None
    return _made(parts) if isinstance(parts, dict) else RaisedElsewhere(shown(error))
