"""What may be a checkpoint: a small JSON value that every database can hold."""

from __future__ import annotations

import json
from typing import cast

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
#: Characters of a text that is surely below `MAX_CHECKPOINT`.
SHORT = 4_096

_encode, _decode = json.JSONEncoder(allow_nan=False).encode, json.JSONDecoder().decode


def checked(value: object) -> JSON:
    """`value` as its JSON will be read again, apart from the caller's own. Raises `CheckpointError`."""
    if type(value) is str:
        if len(value) < SHORT and value.isascii() and "\x00" not in value:
            return value
    elif type(value) is int:
        if LEAST < value < MOST:
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
        return cast(JSON, _decode(text))
    try:
        return storable(text)
    except ValueError as error:
        raise CheckpointError(f"A checkpoint must be JSON that can be stored: {error}.") from None


def checked_name(name: object) -> str:
    """`name`, if it can be one. Raises `CheckpointError`."""
    if not isinstance(name, str):
        raise CheckpointError(f"The name of a checkpoint must be a text, but got {type(name).__name__}.")
    if len(name) > MAX_NAME:
        raise CheckpointError(f"The name of a checkpoint may have {MAX_NAME} characters, but has {len(name)}.")
    if checked(name) != name:  # pragma: no cover - a text that is JSON is itself
        raise CheckpointError("The name of a checkpoint must be a text.")
    return str(name)
