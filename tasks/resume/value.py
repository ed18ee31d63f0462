"""What may be a checkpoint: a small JSON value that every database can hold."""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import repeat
from typing import TypeAlias, cast

from progress.types import JSON
from tasks.runs.message import storable

from .errors import CheckpointError

#: Bytes of JSON that one checkpoint may have.
MAX_CHECKPOINT = 64 * 1024
#: Bytes of JSON that all checkpoints of a run may have together: they are stored as one.
MAX_ALL = 256 * 1024
#: Characters of a name.
MAX_NAME = 100
#: A whole number between them is JSON in every language, and needs no look.
LEAST, MOST = -(2**63), 2**63
#: Characters of a text that is surely below `MAX_CHECKPOINT`; and of each in a dict of `FEW`.
SHORT, SHORT_OF_FEW = 4_096, 128
FEW = 16

#: What was saved, apart from the task's own: a value; or, in a tuple, its JSON, which is read when it is needed.
Kept: TypeAlias = "JSON | tuple[str]"

_encode, _decode = json.JSONEncoder(allow_nan=False).encode, json.JSONDecoder().decode
_INFINITY = float("inf")


def checked(value: object) -> JSON:
    """`value` as its JSON will be read again, apart from the caller's own. Raises `CheckpointError`."""
    return read(kept(value))


def kept(value: object) -> Kept:
    """`value` as it is now, for `read`; a task may change its own afterwards. Raises `CheckpointError`.

    Called in inner loops: what is small and flat is copied, and of all else the JSON is made.
    """
    if type(value) is dict:
        if len(value) <= FEW and _are_flat(value.items()):
            return value.copy()
    elif type(value) is str:
        if len(value) < SHORT and value.isascii() and "\x00" not in value:
            return value
    elif type(value) is int:
        if LEAST < value < MOST:
            return value
    elif type(value) is list:
        if len(value) <= FEW and _are_flat(zip(repeat(""), value)):
            return value.copy()
    elif type(value) is float:
        if -_INFINITY < value < _INFINITY:
            return value
    elif value is None or value is True or value is False:
        return value
    try:
        text = _encode(value)
    except RecursionError:
        raise CheckpointError("A checkpoint must be JSON, but this one contains itself, or is too deep.") from None
    except TypeError as error:
        raise CheckpointError(f"A checkpoint must be JSON: {error}.") from None
    except ValueError as error:
        raise CheckpointError(f"A checkpoint must be JSON: {error} (NaN, infinity and circles are none).") from None
    if len(text) > MAX_CHECKPOINT:
        raise CheckpointError(f"A checkpoint may have {MAX_CHECKPOINT:,} bytes of JSON, but has {len(text):,}.")
    if "\\" not in text:  # nothing that is written with one: no NUL, no half of a character
        return (text,)
    try:
        return storable(text)
    except ValueError as error:
        raise CheckpointError(f"A checkpoint must be JSON that can be stored: {error}.") from None


def read(value: Kept) -> JSON:
    """The value that `kept` has kept."""
    return cast(JSON, _decode(value[0])) if type(value) is tuple else cast(JSON, value)


#: Keys that may be stored: looking one up is cheaper than looking at it.
_good_keys: set[object] = {""}
MAX_GOOD_KEYS = 1_000


def _are_flat(items: Iterable[tuple[object, object]]) -> bool:
    """True if each key and each value is what its JSON would be, and short."""
    for key, one in items:
        if type(one) is str:
            if len(one) > SHORT_OF_FEW or not one.isprintable():
                return False
        elif type(one) is int:
            if not LEAST < one < MOST:
                return False
        elif type(one) is float:
            if not -_INFINITY < one < _INFINITY:
                return False
        elif one is not None and one is not True and one is not False:
            return False
        if key not in _good_keys and not _is_good_key(key):
            return False
    return True


def _is_good_key(key: object) -> bool:
    if type(key) is not str or len(key) > SHORT_OF_FEW or not key.isprintable():
        return False
    if len(_good_keys) < MAX_GOOD_KEYS:
        _good_keys.add(key)
    return True


def checked_name(name: object) -> str:
    """`name`, if it can be one. Raises `CheckpointError`."""
    if not isinstance(name, str):
        raise CheckpointError(f"The name of a checkpoint must be a text, but got {type(name).__name__}.")
    if len(name) > MAX_NAME:
        raise CheckpointError(f"The name of a checkpoint may have {MAX_NAME} characters, but has {len(name)}.")
    if checked(name) != name:  # pragma: no cover - a text that is JSON is itself
        raise CheckpointError("The name of a checkpoint must be a text.")
    return str(name)
