"""The home page: one's own runs first, one line each: what runs, what waits and why, what has ended."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TypedDict

from django.forms import Form
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse

from progress.messages import FINAL_STATES, TaskState
from tasks.models import State
from tasks.runs.family import roots
from tasks.runs.killing import may_kill
from tasks.runs.state import listed, live_states
from tasks.runs.waiting import explain

from .access import own_runs, shown, viewer_of
from .feeds import HOME_RUNS
from .forms import StartForm
from .panels import additions, home_forms


class Banner(TypedDict):
    """Why most of those that wait do so, where one command helps them all."""

    text: str
    command: str


def home_page(
    request: HttpRequest, *, form: StartForm | None = None, sent: Mapping[str, Form] | None = None, status: int = 200
) -> HttpResponse:
    """The home page, with what was typed into one of its forms (`form`, or those `sent` by name) and is wrong there."""
    page, only_failed = _page_number(request), request.GET.get("show") == "failed"
    found = roots(own_runs(viewer_of(request)))
    if only_failed:
        found = found.exclude(state__in=(State.SUCCESS, State.REVOKED))
    mine = list(listed(found)[(page - 1) * HOME_RUNS : page * HOME_RUNS + 1])
    more, mine = len(mine) > HOME_RUNS, shown(mine[:HOME_RUNS])
    added = additions([one.pk for one in mine])
    states = live_states(mine, explain(mine))
    groups: dict[str, list[dict[str, object]]] = {"running": [], "waiting": [], "ended": []}
    for state in states:
        groups[group_of(state)].append({**state, "additions": added.of(state["id"])})
    groups["ended"].sort(key=lambda one: str(one["finished_at"] or ""), reverse=True)
    opened = request.GET.get("open") or ("start" if "task" in request.GET else "")
    forms = [
        {
            "name": one.name,
            "title": one.title,
            "action": reverse(one.url_name),
            "button": one.button,
            "form": (sent or {}).get(one.name) or one.make(request),
            "open": one.name == opened or one.name in (sent or {}),
        }
        for one in home_forms()
    ]
    begin = form or StartForm(chosen=request.GET.get("task", ""))
    context = {
        "forms": [
            {
                "name": "start",
                "title": "Start a task",
                "action": reverse("start_task"),
                "button": "Start",
                "form": begin,
                "open": opened == "start" or begin.is_bound,
            },
            *forms,
        ][not begin.parts :],
        "can_start": bool(begin.parts),
        "has_tour": "tour" in begin.parts,
        "may_kill": may_kill(),
        "groups": groups,
        "banner": banner_of(states),
        "no_additions": additions([]).of(""),
        "only_failed": only_failed,
        "page": page,
        "more": more,
        "shown": HOME_RUNS,
    }
    return render(request, "tasks/home.html", context, status=status)


def group_of(state: TaskState) -> str:
    """Where a run is shown: one whose parts have not all ended still runs."""
    parts = state.get("parts")
    if state["state"] == "STARTED" or (parts and (parts["running"] or parts["waiting"])):
        return "running"
    return "ended" if state["state"] in FINAL_STATES else "waiting"


def banner_of(states: Sequence[TaskState]) -> Banner | None:
    """What most of those that wait for a command wait for. Its twin: `rows.js`."""
    waiting = [state.get("waiting") for state in states]
    told = Counter((one["hint"], one["command"]) for one in waiting if one and one.get("command"))
    if not told:
        return None
    ((hint, command), _), *_ = told.most_common(1)
    return {"text": hint.removesuffix(command), "command": command}


def _page_number(request: HttpRequest) -> int:
    text = request.GET.get("page", "")
    return max(1, int(text)) if text.isascii() and text.isdigit() and len(text) < 8 else 1
