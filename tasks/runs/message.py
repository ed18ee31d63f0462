"""What may be stored of a message, a result and an error: JSON that every database and every page can hold."""

from __future__ import annotations

import json
import re
from typing import cast

from progress.types import JSON

from .engine import NotAccepted

#: Bytes of JSON that a task's arguments and options may have: they travel through the broker and are stored in a row.
MAX_MESSAGE = 256 * 1024
#: Bytes of JSON that a result may have.
MAX_RESULT = 1024 * 1024
#: Characters of an error's message and of its traceback that are kept.
MAX_ERROR = 2_000
MAX_TRACEBACK = 20_000

_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")


def storable(text: str) -> JSON:
    """The value of a JSON text, if every database can hold it.

    Raises ValueError for NaN, infinity, NUL and half a character (a lone surrogate: a file name that is not UTF-8 has
    some).
    """

    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is not JSON")

    value: JSON = json.loads(text, parse_constant=refuse)
    if _NUL.search(text):
        raise ValueError("a text may not contain the character NUL")
    if "\\ud" in text or "\\uD" in text or not text.isascii():
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise ValueError("a text may not contain half a character (a lone surrogate)") from None
    return value


def stored_message(task_name: str, text: str) -> dict[str, JSON]:
    """The message in a JSON text. Raises `NotAccepted` for what no database holds and for what is too large."""
    try:
        message = cast(dict[str, JSON], storable(text))
    except ValueError as error:
        raise NotAccepted(f"The arguments of {task_name} must be JSON: {error}") from error
    if len(text) > MAX_MESSAGE:
        raise NotAccepted(
            f"The arguments of {task_name} may have {MAX_MESSAGE:,} bytes of JSON, but have {len(text):,}."
        )
    return message


def plain(text: str) -> str:
    """`text` as every database can hold it: no NUL, no half of a character."""
    return text.replace("\x00", "�").encode("utf-8", "replace").decode()


def sayable(value: JSON) -> JSON:
    """A JSON value of a row as every page and frame can carry it: halves of characters, and NUL, are replaced."""
    if value is None or isinstance(value, (bool, int, float)):
        return value
    text = json.dumps(value, ensure_ascii=False)
    spoken = _NUL.sub(lambda found: found[0][:-6] + "�", plain(text))
    return value if spoken == text else json.loads(spoken)
