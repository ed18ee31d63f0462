"""`{% load progress %}{% task_progress task_id %}`: a live bar in any template of any Django site."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import cast

from django import template
from django.http import HttpRequest
from django.utils import timezone

from progress import format as written
from progress import texts
from progress.held import Held
from progress.messages import FINAL_STATES, ID_PATTERN, SOCKETS, TaskState
from progress.now import Now, now
from progress.paths import sockets_path
from progress.source import get_source

register = template.Library()

#: What may be shown beside the bar.
MORE = frozenset({"steps", "log"})
#: Says in a page's render context that script and stylesheet are in, and that Redis did not answer.
ASSETS = "progress.assets"
AWAY = "progress.away"


@register.filter
def silence_text(task: TaskState | None) -> str:
    """For how long it has told nothing, where that is long."""
    return texts.said_silence(task) if task else ""


@register.filter
def said_state(task: TaskState | None) -> str:
    """The state as people read it; "" where nobody knows it."""
    return texts.said_state(task) if task else ""


@register.inclusion_tag("progress/task_progress.html", takes_context=True)
def task_progress(
    context: template.Context, task_id: object, *more: str, socket: str = "", shared: bool = False, nonce: str = ""
) -> dict[str, object]:
    """The element of one task, filled with what is true now, so that it is right before any script has run.

    `more` names lists below the bar, "steps" and "log". `socket` is the address of the list socket where it is not
    `/ws/progress/`; `shared=True` lets the elements of a page use one socket together (then there is no log). The
    first call on a page brings the script and the stylesheet, with `nonce` where a Content-Security-Policy asks for
    one: that of Django 6 or django-csp is found without being named. With a `request` in the context, somebody who may
    not see the task is told that there is none, as for no possible id; without one the element asks for itself. Raises
    TemplateSyntaxError for another name in `more`.
    """
    if unknown := set(more) - MORE:
        raise template.TemplateSyntaxError(f"task_progress shows {sorted(MORE)} beside the bar, not {sorted(unknown)}.")
    if shared and "log" in more:
        raise template.TemplateSyntaxError("task_progress: a shared socket brings no log; leave shared=True away.")
    first = not context.render_context.get(ASSETS)
    context.render_context[ASSETS] = True
    wanted = str(task_id)
    request = cast("HttpRequest | None", context.get("request"))
    shown: Now | None = None
    possible = bool(ID_PATTERN.fullmatch(wanted))
    if request is not None and possible:
        source = get_source()
        stored = source.states(source.viewer_of(request), [wanted]).get(wanted)
        shown = None if stored is None else _now(context, stored, log="log" in more)
    task = shown.task if shown else None
    elsewhere = sockets_path()
    return {
        "assets": first,
        "ended": task is not None and task.get("state") in FINAL_STATES,
        "id": wanted,
        "lines": shown.held.log if shown else [],
        "log": "log" in more,
        "nonce": (nonce or _nonce(context, request)) if first else "",
        "shared": shared,
        "signed_in": bool(getattr(getattr(request, "user", None), "is_authenticated", False)),
        "socket": socket or ("" if elsewhere == SOCKETS else elsewhere),
        "steps": "steps" in more,
        "task": task,
        "unknown": not possible or (request is not None and task is None),
    }


def _now(context: template.Context, stored: TaskState, *, log: bool) -> Now:
    """With the live numbers of a task that runs; a page does not wait for an absent Redis more than once."""
    ended = stored.get("state") in FINAL_STATES
    if (ended and not log) or context.render_context.get(AWAY):
        return Now(stored, Held())
    found = now(stored, log=log)
    context.render_context[AWAY] = not found.reached
    return found


def _nonce(context: template.Context, request: HttpRequest | None) -> str:
    """Django 6's by its context processor or its middleware, or that of django-csp. To ask for it is to make it."""
    for found in (
        context.get("csp_nonce"),
        getattr(request, "csp_nonce", None),
        getattr(request, "_csp_nonce", None),
    ):
        if found is not None:  # a lazy one is false until it is read
            return str(found)
    return ""


@register.simple_tag
def sockets() -> str:
    """The path of the list socket, below the path at which this site is served."""
    return sockets_path()


# --- what the parts say before any script: as static/progress/part-texts.js ------------------------------------------


@register.filter
def percent_text(task: TaskState | None) -> str:
    """How far it is, where it said so."""
    told = task or {}
    return written.percent(100 if told.get("state") == "SUCCESS" else told.get("percent"))


@register.filter
def count_text(task: TaskState | None) -> str:
    """What is done, of how much."""
    told = task or {}
    return written.count(told.get("current"), told.get("total"), told.get("unit") or "")


@register.filter
def rate_text(task: TaskState | None) -> str:
    """How fast it goes."""
    return written.rate(task.get("rate"), task.get("unit") or "") if task and task.get("state") == "STARTED" else ""


@register.filter
def eta_text(task: TaskState | None) -> str:
    """How long it will still take."""
    left = written.eta(task.get("eta")) if task and task.get("state") == "STARTED" else ""
    return f"{left} left" if left else ""


@register.filter
def elapsed_text(task: TaskState | None) -> str:
    """How long it has taken."""
    told = task or {}
    began, ended = told.get("started_at"), told.get("finished_at")
    if not began:
        return ""
    until = datetime.fromisoformat(ended) if ended else timezone.now()
    spent = max(0.0, (until - datetime.fromisoformat(began)).total_seconds())
    return written.duration(spent) if ended else written.duration(int(spent)).replace(".0", "")


@register.filter
def duration_text(seconds: object) -> str:
    """A duration in seconds."""
    return written.duration(seconds)


@register.filter
def clock_text(ts: float) -> datetime:
    """A log line's time, for the `date` filter."""
    return datetime.fromtimestamp(ts, UTC)
