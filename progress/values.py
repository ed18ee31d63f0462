"""What a task reports, made fit to be sent: a task that says nonsense still runs. Standard library only."""

from __future__ import annotations

import math
from typing import Any

#: Characters of a message or log line; the rest is cut off, so that a task's memory in Redis has a bound.
MAX_MESSAGE = 500
MAX_UNIT = 50
MAX_LINE = 2_000


def finite(value: Any) -> float | None:
    """`value` as a finite number; None where it is none, and the bar says nothing."""
    try:
        number = float(value)
    except Exception:  # no number, an int beyond every float, an object of any make
        return None
    if type(value) is int and abs(value) < 2**63:
        return value
    return number if math.isfinite(number) else None


def share(current: float, total: float) -> float:
    """How much of `total` is done, from 0 to 1."""
    return min(max(current / total, 0.0), 1.0)


def plain_text(value: object, limit: int) -> str:
    """`value` as a text of at most `limit` characters."""
    try:
        text = str(value)
    except Exception:  # an object that cannot be written
        text = f"<{type(value).__name__}>"
    # A lone surrogate (a file name that is not UTF-8) cannot be sent as UTF-8, and no PostgreSQL text may hold NUL.
    text = text.replace("\x00", "\ufffd")
    text = text if text.isascii() else text.encode("utf-8", "replace").decode()
    return text if len(text) <= limit else text[: limit - 1] + "…"
