"""A run's public state in a template, right before any script has run."""

from __future__ import annotations

from datetime import UTC, datetime

from django import template

from progress.messages import FINAL_STATES

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
def is_final(state: str | None) -> bool:
    """True if nothing follows."""
    return state in FINAL_STATES
