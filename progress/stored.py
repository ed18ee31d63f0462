"""What Redis gives back, made fit to be shown: a record may be of another version, or broken. Standard library only.

One that is no record at all is as if there were none: the row is shown, and no other task notices.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from typing import Final, cast, get_args

from .messages import LEVELS, Changing, Level, LogLine, State
from .steps import MAX_STEPS
from .types import JSON
from .values import MAX_LINE, MAX_MESSAGE, MAX_UNIT, finite, plain_json, plain_text

STATES: Final = frozenset(get_args(State))
STEP_STATES: Final = frozenset({"running", "done", "failed"})


def parse_changing(text: str | bytes) -> Changing:
    """The changing part that `text` holds, without fields that are none; empty where it is no such thing."""
    found = _object(text)
    state, attempt = found.get("state"), found.get("attempt")
    if not (isinstance(state, str) and state in STATES and _is_count(attempt)):
        return {}
    known = {key: FIELDS[key](value) for key, value in found.items() if key in FIELDS}
    return cast(Changing, {"state": state, "attempt": attempt, **known})


def parse_line(text: str | bytes) -> LogLine | None:
    """The log line that `text` holds; None where it is none."""
    return _line(_object(text))


def parse_lines(text: str) -> list[LogLine]:
    """The log lines of the frame `text`."""
    lines = _object(text).get("lines")
    found = [_line(one) for one in lines if isinstance(one, dict)] if isinstance(lines, list) else []
    return [line for line in found if line is not None]


def _line(found: dict[str, JSON]) -> LogLine | None:
    n, level = found.get("n"), found.get("level")
    if not _is_count(n) or "text" not in found:
        return None
    known = isinstance(level, str) and level in LEVELS
    return {
        "n": cast(int, n),
        "ts": finite(found.get("ts")) or 0.0,
        "level": cast(Level, level) if known else "info",
        "text": plain_text(found["text"], MAX_LINE),
    }


def _object(text: str | bytes) -> dict[str, JSON]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value < 2**53


def _number(value: JSON) -> float | None:
    return None if isinstance(value, str | bool) else finite(value)


def _text(limit: int) -> Callable[[JSON], str]:
    return lambda value: plain_text(value, limit) if isinstance(value, str) else ""


def _steps(value: JSON) -> list[dict[str, JSON]]:
    steps = [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
    return [
        {
            "name": plain_text(one.get("name", ""), MAX_MESSAGE),
            "state": one["state"] if one.get("state") in tuple(STEP_STATES) else "running",
            "seconds": _number(one.get("seconds")),
            "depth": one["depth"] if _is_count(one.get("depth")) else 0,
            "percent": _number(one.get("percent")),
        }
        for one in steps[-MAX_STEPS:]
    ]


def _waiting(value: JSON) -> JSON:
    known = isinstance(value, dict) and isinstance(value.get("reason"), str)
    return plain_json(value) if known else None


def _reached(value: JSON) -> JSON:
    if not isinstance(value, dict):
        return None
    numbers: dict[str, JSON] = {name: _number(value.get(name)) for name in ("current", "total", "percent")}
    return {**numbers, "unit": _text(MAX_UNIT)(value.get("unit"))}


def _time(value: JSON) -> JSON:
    try:
        return value if isinstance(value, str) and datetime.fromisoformat(value).tzinfo is not None else None
    except ValueError:
        return None


def _error(value: JSON) -> JSON:
    if not isinstance(value, dict):
        return None
    return {key: plain_text(value.get(key, ""), MAX_LINE) for key in ("type", "message")}


#: What makes a field of a stored record fit to be shown.
FIELDS: Final[dict[str, Callable[[JSON], object]]] = {
    **dict.fromkeys(("current", "total", "percent", "rate", "eta"), _number),
    "unit": _text(MAX_UNIT),
    "message": _text(MAX_MESSAGE),
    "step": lambda value: plain_text(value, MAX_MESSAGE) if isinstance(value, str) else None,
    "steps": _steps,
    **dict.fromkeys(("tries", "lost", "step_number", "missing"), lambda value: value if _is_count(value) else 0),
    "waiting": _waiting,
    "cancel_requested": lambda value: value is True,
    "ts": lambda value: _number(value) or 0.0,
    "result": lambda value: plain_json(value),
    "result_omitted": lambda value: value is True,
    "error": _error,
    **dict.fromkeys(("resumed_from", "go_on_from"), _reached),
    "advanced_at": _time,
    "quiet_after": _number,
}
