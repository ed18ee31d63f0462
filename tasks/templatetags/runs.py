"""A run's public state in a template, right before any script has run."""

from __future__ import annotations

import math
from datetime import UTC, datetime

from django import template
from django.conf import settings

from progress.messages import FINAL_STATES, Reached, TaskState
from tasks.web.services import flower_url, status

register = template.Library()


@register.filter
def short_name(name: str | None) -> str:
    """The task's name without its module."""
    return (name or "").rpartition(".")[2]


@register.filter
def moment(told: str | float | None) -> datetime | None:
    """A time of the state, ISO 8601 or seconds since 1970, as a datetime for the `date` filter."""
    if isinstance(told, (int, float)):
        return datetime.fromtimestamp(told, UTC)
    return datetime.fromisoformat(told) if told else None


@register.filter
def mark(state: str | None) -> str:
    """What stands before the name in a title: how it ended."""
    return {"SUCCESS": "✓", "FAILURE": "✗", "REVOKED": "■"}.get(state or "", "")


@register.filter
def attempt(run: TaskState | None) -> str:
    """Which attempt, and where it went on; the twin of `part-texts.js`."""
    number, most = (run or {}).get("attempt") or 0, (run or {}).get("max_attempts") or 0
    resumed = (run or {}).get("resumed_from")
    said = f"attempt {number}{f' of {most}' if number <= most else ''}" if number else ""
    at = _reached(resumed) if resumed else ""
    return ", ".join(filter(None, [said, f"resumed at {at}" if at else ""]))


@register.filter
def go_on(run: TaskState | None) -> str:
    """What the button says, under which a run that ended badly goes on; "" where it cannot."""
    far = (run or {}).get("go_on_from")
    if not far:
        return ""
    at = _reached(far)
    return f"Go on from {at}" if at else "Go on"


def _reached(far: Reached) -> str:
    if far["percent"] is not None:
        return f"{math.floor(far['percent'] + 1e-9)} %"
    if far["current"] is not None:
        return f"{far['current']:,g} {far['unit']}".strip()
    return ""


@register.inclusion_tag("tasks/_strip.html", takes_context=True)
def what_runs(context: template.Context) -> dict[str, object]:
    """The strip of every page; where a login is required, it is for those who are in."""
    if settings.TASKS_REQUIRE_LOGIN and not getattr(context.get("user"), "is_authenticated", False):
        return {}
    return {"parts": status(), "flower_url": flower_url()}


@register.filter
def is_final(state: str | None) -> bool:
    """True if nothing follows."""
    return state in FINAL_STATES
