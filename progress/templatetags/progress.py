"""`{% load progress %}{% task_progress task_id %}`: a live bar in any template of any Django site."""

from __future__ import annotations

from django import template

from progress import texts
from progress.messages import FINAL_STATES, ID_PATTERN, TaskState
from progress.source import get_source

register = template.Library()

#: What may be shown beside the bar.
MORE = frozenset({"steps", "log"})
#: Says in a page's render context that script and stylesheet are in.
ASSETS = "progress.assets"


@register.filter
def said_state(task: TaskState | None) -> str:
    """The state as people read it; "" where nobody knows it."""
    return texts.said_state(task) if task else ""


@register.inclusion_tag("progress/task_progress.html", takes_context=True)
def task_progress(
    context: template.Context, task_id: object, *more: str, socket: str = "", shared: bool = False
) -> dict[str, object]:
    """The element of one task, filled with what is true now, so that it is right before any script has run.

    `more` names lists below the bar, "steps" and "log". `socket` is the address of the list socket where it is not
    `/ws/progress/`; `shared=True` lets the elements of a page use one socket together (then there is no log). The
    first call on a page brings the script and the stylesheet. With a `request` in the context, somebody who may not
    see the task is told that there is none, as for no possible id; without one the element asks for itself. Raises
    TemplateSyntaxError for another name in `more`.
    """
    if unknown := set(more) - MORE:
        raise template.TemplateSyntaxError(f"task_progress shows {sorted(MORE)} beside the bar, not {sorted(unknown)}.")
    if shared and "log" in more:
        raise template.TemplateSyntaxError("task_progress: a shared socket brings no log; leave shared=True away.")
    first = not context.render_context.get(ASSETS)
    context.render_context[ASSETS] = True
    wanted = str(task_id)
    request = context.get("request")
    task: TaskState | None = None
    possible = bool(ID_PATTERN.fullmatch(wanted))
    if request is not None and possible:
        source = get_source()
        task = source.states(source.viewer_of(request), [wanted]).get(wanted)
    return {
        "assets": first,
        "ended": task is not None and task.get("state") in FINAL_STATES,
        "id": wanted,
        "log": "log" in more,
        "shared": shared,
        "socket": socket,
        "steps": "steps" in more,
        "task": task,
        "unknown": not possible or (request is not None and task is None),
    }
