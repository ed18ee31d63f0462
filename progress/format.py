"""Numbers and times as people read them; what is unknown becomes "". The twin of static/progress/format.js.

Both run tests/unit/format_cases.json.
"""

from __future__ import annotations

import math
from decimal import ROUND_HALF_UP, Decimal

#: A number and its unit stay on one line.
SPACE = "\u00a0"


def number(value: object) -> str:
    """12,345 and 3.1."""
    known = _known(value)
    if known is None:
        return ""
    return _digits(known, 0 if known.is_integer() or abs(known) >= 100 else 1)


def bytes_(value: object) -> str:
    """12.4 MB, of a thousand kB, as SI has it."""
    left = _known(value)
    if left is None:
        return ""
    units = ("B", "kB", "MB", "GB", "TB")
    at = 0
    while abs(left) >= (999.95 if at else 1000) and at < len(units) - 1:  # 999.95 would be written 1,000.0
        left, at = left / 1000, at + 1
    return _digits(left, 1 if at else 0) + SPACE + units[at]


def count(current: object, total: object = None, unit: str = "") -> str:
    """42 / 100 rows."""
    done, whole = _amount(current, unit), _amount(total, unit)
    return (f"{done} / {whole}" if whole else done) + _named(unit) if done else ""


def rate(per_second: object, unit: str = "") -> str:
    """9.8 rows/s; by the minute where a second sees less than a tenth."""
    known = _known(per_second)
    if known is None or known <= 0:
        return ""
    if unit == "bytes":
        return bytes_(known) + "/s"
    value, per = (known * 60, "min") if known < 0.1 else (known, "s")
    return f"{_digits(value, 1 if value < 100 else 0)}{_named(unit)}/{per}"


def percent(value: object) -> str:
    """41 %; 100 % is said of the whole only."""
    known = _known(value)
    return "" if known is None else f"{_digits(math.floor(known + 1e-9), 0)}{SPACE}%"


def duration(seconds: object) -> str:
    """0.4 s, 59 s, 1 min 00 s, 1 h 00 min, 1 d 4 h."""
    known = _known(seconds)
    if known is None:
        return ""
    if known < 9.95:
        return f"{_digits(known, 1)}{SPACE}s"
    whole, minutes, hours = (math.floor(known / size + 0.5) for size in (1, 60, 3600))
    if whole < 60:
        return f"{whole}{SPACE}s"
    if whole < 3600:
        return _pair(whole, 60, ("min", "s"), 2)
    return _pair(minutes, 60, ("h", "min"), 2) if minutes < 1440 else _pair(hours, 24, ("d", "h"), 1)


def span(seconds: object) -> str:
    """In its largest unit: 59 s, 4 min, 2 h, 3 d."""
    known = _known(seconds)
    if known is None:
        return ""
    size, unit = next(((size, unit) for size, unit in _UNITS if known >= size), (1, "s"))
    return f"{math.floor(known / size)}{SPACE}{unit}"


_UNITS = ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s"))

#: Below this many seconds: the unit, its seconds, and in steps of how many.
_COARSER = (
    (10, "s", 1, 1),
    (57.5, "s", 1, 5),
    (600, "min", 60, 0.5),
    (3_450, "min", 60, 5),
    (36_000, "h", 3600, 0.5),
    (82_800, "h", 3600, 1),
    (math.inf, "d", 86_400, 0.5),
)


def eta(seconds: object) -> str:
    """A guess: the further off the end, the coarser."""
    known = _known(seconds)
    if known is None or known < 0:
        return ""
    unit, size, step = next((unit, size, step) for below, unit, size, step in _COARSER if known < below)
    return number(max(1, math.floor(known / size / step + 0.5)) * step) + SPACE + unit


def _known(value: object) -> float | None:
    told = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if told and math.isfinite(value) else None  # type: ignore[arg-type]  # told: a number


def _digits(value: float, places: int) -> str:
    rounded = Decimal(value).quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP)
    return f"{rounded:,}"


def _amount(value: object, unit: str) -> str:
    return bytes_(value) if unit == "bytes" else number(value)


def _named(unit: str) -> str:
    return SPACE + unit if unit and unit != "bytes" else ""


def _pair(whole: int, size: int, units: tuple[str, str], width: int) -> str:
    first, rest = divmod(whole, size)
    return SPACE.join((str(first), units[0], str(rest).zfill(width), units[1]))
