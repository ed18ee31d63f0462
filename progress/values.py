"""What a task reports, made fit to be sent: a task that says nonsense still runs. Standard library only."""

from __future__ import annotations

import math
from operator import length_hint
from typing import Any, cast

from .types import JSON

#: Characters of a message or log line; the rest is cut off, so that a task's memory in Redis has a bound.
MAX_MESSAGE = 500
MAX_UNIT = 50
MAX_LINE = 2_000
#: Levels of a value that is no plain JSON; what lies deeper becomes a text.
MAX_DEPTH = 50
#: Bits of a whole number that is written as one; a longer one may not even become a text.
MAX_BITS = 1_024


def finite(value: Any) -> float | None:
    """`value` as a finite number; None where it is none, and the bar says nothing."""
    try:
        number = float(value)
    except Exception:  # no number, an int beyond every float, an object of any make
        return None
    if type(value) is int and abs(value) < 2**63:
        return value
    return number if math.isfinite(number) else None


def length_of(iterable: object) -> float | None:
    """How many items `iterable` says that it has; None where it does not."""
    try:
        length = length_hint(iterable, -1)
    except Exception:  # its `__len__` fails
        return None
    return length if length >= 0 else None


def whole_number(value: object) -> int:
    """`value` as a count; 0 where it is none."""
    number = finite(value)
    return int(number) if number is not None and 0 <= number < 2**53 else 0


def share(current: float, total: float) -> float:
    """How much of `total` is done, from 0 to 1."""
    return min(max(current / total, 0.0), 1.0)


def plain_text(value: object, limit: int) -> str:
    """`value` as a text of at most `limit` characters, that can be stored and sent anywhere."""
    try:
        text = str.__str__(str(value))  # a subclass that its `__str__` gave is none from here on
    except Exception:  # an object that cannot be written
        text = f"<{type(value).__name__}>"
    text = text if len(text) <= limit else text[: limit - 1] + "…"
    # No PostgreSQL text may hold NUL.
    return utf8(text.replace("\x00", "\ufffd"))


def utf8(text: str) -> str:
    """`text` with each lone surrogate replaced (a file name that is not UTF-8): none can be sent as UTF-8."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def plain_json(value: object, above: tuple[int, ...] = ()) -> JSON:
    """`value` as something that `json.dumps` writes and every reader takes: what is no JSON becomes a text.

    `above` are the ids of the containers around it: what contains itself, or lies too deep, becomes a text.
    """
    kind = type(value)
    if value is None or kind is bool or (type(value) is int and value.bit_length() < MAX_BITS):
        return cast(JSON, value)
    if kind is float:
        return finite(value)
    if type(value) is str:
        return utf8(value.replace("\x00", "\ufffd"))
    if len(above) == MAX_DEPTH or id(value) in above:
        return f"<{kind.__name__}>"
    above = (*above, id(value))
    try:
        if isinstance(value, dict):
            return {plain_text(key, MAX_LINE): plain_json(one, above) for key, one in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [plain_json(one, above) for one in value]
    except Exception:  # a container that cannot be read
        return f"<{kind.__name__}>"
    return plain_text(value, MAX_LINE)
