"""A run's public state in a template, right before any script has run."""

from __future__ import annotations

from datetime import UTC, datetime

from django import template
from django.conf import settings
from django.templatetags.static import static
from django.utils.html import format_html_join
from django.utils.safestring import SafeString, mark_safe

from progress.messages import FINAL_STATES, LogLine, TaskState
from progress.texts import not_kept as lines_not_kept
from progress.texts import path, said_parts, said_percent, said_reached, said_silence, said_state, said_tries
from tasks.models import TaskRun
from tasks.runs.state import args_text as said_arguments
from tasks.web.services import flower_url, status

register = template.Library()


@register.filter
def short_name(name: str | None) -> str:
    """The task's name without its module."""
    return (name or "").rpartition(".")[2]


@register.filter
def args_text(run: TaskRun) -> str:
    """The arguments of a run as Python shows them."""
    return said_arguments(run)


@register.filter
def moment(told: str | float | None) -> datetime | None:
    """A time of the state, ISO 8601 or seconds since 1970, as a datetime for the `date` filter."""
    if isinstance(told, (int, float)):
        return datetime.fromtimestamp(told, UTC)
    return datetime.fromisoformat(told) if told else None


@register.filter
def mark(run: TaskState) -> str:
    """What comes before the name in a title: how it ended."""
    if is_partial(run):
        return "⚠"
    return {"SUCCESS": "✓", "FAILURE": "✗", "REVOKED": "■"}.get(run["state"], "")


@register.filter
def is_partial(run: TaskState | None) -> bool:
    """True of a success in which something is missing."""
    return run is not None and run.get("state") == "SUCCESS" and bool(run.get("missing"))


@register.filter
def state_text(run: TaskState | None) -> str:
    """The state as people read it; of a run that is not known yet that it waits."""
    return said_state(run or {})


@register.filter
def percent_text(run: TaskState | None) -> str:
    """How far it is, where that was told."""
    return said_percent(run or {})


@register.filter
def tries_text(run: TaskState | None) -> str:
    """Which try it is in, and how many workers it has lost."""
    return said_tries(run or {})


@register.filter
def silence(run: TaskState | None) -> str:
    """For how long it has told nothing, where that is long."""
    return said_silence(run or {})


@register.filter
def parts_text(run: TaskState | None) -> str:
    """How its parts stand, where it has some."""
    return said_parts((run or {}).get("parts"))


@register.filter
def not_kept(log: list[LogLine]) -> str:
    """How many lines before those of `log` are held no longer."""
    return lines_not_kept(log)


@register.filter
def path_times(run: TaskState) -> dict[str, datetime | None]:
    """When it was accepted, queued, started and finished."""
    return path(run)


@register.filter
def go_on(run: TaskState | None) -> str:
    """What the button says, under which a run that ended badly goes on; "" where it cannot."""
    far = (run or {}).get("go_on_from")
    if not far:
        return ""
    at = said_reached(far)
    return f"Go on from {at}" if at else "Go on"


@register.inclusion_tag("tasks/_strip.html", takes_context=True)
def what_runs(context: template.Context) -> dict[str, object]:
    """The strip of every page; where a login is required, it is for those who are in."""
    if settings.TASKS_REQUIRE_LOGIN and not getattr(context.get("user"), "is_authenticated", False):
        return {}
    parts = status()
    wrong = any(isinstance(part, dict) and not part["ok"] for part in parts.values())
    return {"parts": parts, "wrong": wrong, "flower_url": flower_url()}


@register.simple_tag
def clothes() -> SafeString:
    """The site's stylesheets, on a page that stands alone: it is right without them where they cannot be found."""
    try:
        hrefs = [static(f"{name}.css") for name in ("progress/progress", "tasks/tasks")]
    except ValueError:  # no manifest, or an old one
        return mark_safe("")
    return format_html_join("", '<link rel="stylesheet" href="{}">', ((href,) for href in hrefs))


@register.filter
def is_final(state: str | None) -> bool:
    """True if nothing follows."""
    return state in FINAL_STATES
