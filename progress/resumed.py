"""The bar of a task that goes on where an attempt before was: it begins there and never runs backwards.

Standard library only.
"""

from __future__ import annotations

from typing import cast

from .messages import Changing, Reached

#: What the bar shows.
BAR = ("current", "total", "percent", "unit")


def bar_of(changing: Changing) -> Reached:
    """The numbers of a state."""
    return cast(Reached, {name: changing.get(name) for name in BAR[:3]} | {"unit": changing.get("unit") or ""})


def is_behind(bar: Changing | Reached, shown: Reached) -> bool:
    """True if `bar` says nothing yet, or less than what was `shown` of the same total."""
    if bar.get("current") is None and bar.get("total") is None and bar.get("percent") is None:
        return True
    if bar.get("total") != shown["total"]:
        return False
    return (bar.get("current") or 0.0) < (shown["current"] or 0.0)


def keep(bar: Changing, shown: Reached, *, in_steps: bool = False) -> bool:
    """Let `bar` show no less than what was `shown` before; False once it is there by itself.

    `in_steps`: its current and total are those of a step, and the percentage is that of the whole.
    """
    if in_steps:
        before, now = shown["percent"], bar.get("percent")
        if before is None or (now is not None and now >= before):
            return False
        bar["percent"] = before
        return True
    if not is_behind(bar, shown):
        return bar.get("total") != shown["total"]
    bar["current"], bar["total"], bar["percent"] = shown["current"], shown["total"], shown["percent"]
    bar["unit"] = bar.get("unit") or shown["unit"]
    return True
