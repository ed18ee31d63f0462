"""The pages, and the addresses behind their buttons."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress

from django.contrib import messages
from django.db import DatabaseError
from django.forms import Form
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.decorators.http import require_POST, require_safe

from progress.paths import sockets_path
from tasks import runs
from tasks.models import TaskRun
from tasks.runs.family import family_of
from tasks.runs.owner import current_owner
from tasks.runs.repeating import BEGINNINGS
from tasks.runs.search import repeated, said_repeated
from tasks.runs.state import listed, live_log, live_states, public_state, readable
from tasks.runs.waiting import explain
from tasks.runs.where import where

from .access import own_runs, shown, viewer_of, visible_runs
from .attempts import table_of
from .feeds import HOME_RUNS
from .forms import StartForm
from .limits import limit_starts
from .panels import additions, home_forms
from .requests import BadBody, idempotency_key, key_reused, read_body, read_choice, refuse, wants_json
from .services import flower_url


@require_safe
@never_cache
@ensure_csrf_cookie
def home(request: HttpRequest) -> HttpResponse:
    """Start Task, Download reports, and the viewer's own runs, newest first."""
    owner = current_owner()
    if owner is not None:
        with suppress(DatabaseError):  # a page can be read without: whoever starts something needs it
            owner.remember()  # a session from the first page on: a second tab sees what this one starts
    return home_page(request, form=StartForm(chosen=request.GET.get("task", "")))


@require_POST
@limit_starts
def start_task(request: HttpRequest) -> HttpResponse:
    """Accept a run and answer at once: 202 with its addresses for JSON, a redirect home for a form."""
    try:
        fields = read_body(request, boxes=True)
        key = idempotency_key(request)
    except BadBody as error:
        return refuse(error.as_errors())
    form = StartForm(fields)
    if form.is_valid():
        try:
            result = form.start(key)
        except runs.KeyReused as error:
            return key_reused(error)
        except runs.NotAccepted as error:
            form.add_error(None, str(error))
    if not form.is_valid():
        if wants_json(request):
            return refuse({field: list(map(str, errors)) for field, errors in form.errors.items()})
        return home_page(request, form=form, status=400)
    run = TaskRun.objects.get(pk=result.id)
    if wants_json(request):
        return JsonResponse(addresses(request, run), status=202)
    return redirect("home")


@require_safe
@never_cache
@ensure_csrf_cookie
def run(request: HttpRequest, task_id: str) -> HttpResponse:
    """A run's own page; 404 for one that is unknown or not theirs."""
    found = find_run(request, task_id)
    if found is None:
        raise Http404("There is no such task, or it is not yours.")
    task = live_states([found], explain([found]))[0]
    context = {
        "stored": found,
        "task": task,
        "attempts": table_of(found, task),
        "where": where(found.pk) if viewer_of(request).is_staff and request.GET.get("where") == "1" else None,
        "url": reverse("run", args=[found.pk]),
        "args_json": _json(readable([*found.args], found.engine)),
        "kwargs_json": _json(readable({**found.kwargs}, found.engine)),
        "result_json": None if found.result is None else _json(readable(found.result, found.engine)),
        "traceback": found.traceback if viewer_of(request).is_staff else "",
        "log": live_log(found),
        "before": shown(TaskRun.objects.filter(pk=found.retry_of).only("pk")),
        "again": shown(TaskRun.objects.filter(retry_of=found.pk).order_by("accepted_at").only("pk")),
        "repeated": said_repeated(last) if (last := repeated([found]).get(found.pk)) else "",
        "family": family_of(found, visible_runs(viewer_of(request))),
        "flower_url": _flower_url(found),
        "additions": additions([found.pk] if viewer_of(request).owns(found) else []).of(found.pk),
    }
    return render(request, "tasks/run.html", context)


def _flower_url(found: TaskRun) -> str:
    """Its page there; "" for a run that Flower knows nothing of."""
    try:
        return flower_url(found.pk) if runs.get_engine(found.engine).in_flower() else ""
    except runs.NoEngine:
        return ""


def _json(value: object) -> str:
    """As people read it, and as a page can carry it."""
    return runs.plain(json.dumps(value, indent=2, ensure_ascii=False))


@require_POST
def cancel_run(request: HttpRequest, task_id: str) -> HttpResponse:
    """Ask to cancel a run: 202 with its state for JSON, 409 when it has ended before."""
    found = find_run(request, task_id)
    if found is None:
        return gone(request, "Nothing was cancelled.")
    done = runs.cancel(found.pk)
    found.refresh_from_db()
    if wants_json(request):
        if not done:
            return refuse({"state": [f"The task has ended already: {found.state}."]}, 409)
        return JsonResponse(public_state(found), status=202)
    if not done:
        messages.info(request, f"The task has ended already: {found.get_state_display()}.")
    return redirect("run", task_id=found.pk)


@require_POST
@limit_starts
def retry_run(request: HttpRequest, task_id: str) -> HttpResponse:
    """Start an ended run again, as a new one: 202 with its addresses for JSON, 409 while it has not ended.

    `from`: "start", or "checkpoint" to go on where it was.
    """
    found = find_run(request, task_id)
    if found is None:
        return gone(request, "Nothing was started.")
    if not found.is_final:
        if wants_json(request):
            return refuse({"state": [f"The task has not ended yet: {found.state}."]}, 409)
        messages.info(request, "The task has not ended yet.")
        return redirect("run", task_id=found.pk)
    try:
        begin = read_choice(request, "from", BEGINNINGS)
    except BadBody as error:
        return refuse(error.as_errors())
    try:
        again = runs.again(found, begin=begin)
    except runs.NotAccepted as error:
        if wants_json(request):
            return refuse({"task": [str(error)]}, 409)
        messages.error(request, str(error))
        return redirect("run", task_id=found.pk)
    if wants_json(request):
        return JsonResponse(addresses(request, again), status=202)
    return redirect("run", task_id=again.pk)


def home_page(
    request: HttpRequest, *, form: StartForm | None = None, sent: Mapping[str, Form] | None = None, status: int = 200
) -> HttpResponse:
    """The home page, with what was typed into one of its forms (`form`, or those `sent` by name) and is wrong there."""
    page = _page_number(request)
    mine = list(listed(own_runs(viewer_of(request)))[(page - 1) * HOME_RUNS : page * HOME_RUNS + 1])
    more, mine = len(mine) > HOME_RUNS, shown(mine[:HOME_RUNS])
    added = additions([one.pk for one in mine])
    rows: list[dict[str, object]] = [
        {**state, "url": reverse("run", args=[state["id"]]), "additions": added.of(state["id"])}
        for state in live_states(mine, explain(mine))
    ]
    context = {
        "form": form or StartForm(),
        "home_forms": [
            {"title": one.title, "action": reverse(one.url_name), "button": one.button, "form": filled}
            for one in home_forms()
            for filled in [(sent or {}).get(one.name) or one.make(request)]
        ],
        "runs": rows,
        "no_additions": additions([]).of(""),
        "page": page,
        "more": more,
        "shown": HOME_RUNS,
    }
    return render(request, "tasks/home.html", context, status=status)


def _page_number(request: HttpRequest) -> int:
    text = request.GET.get("page", "")
    return max(1, int(text)) if text.isascii() and text.isdigit() and len(text) < 8 else 1


def find_run(request: HttpRequest, task_id: str) -> TaskRun | None:
    """The run, if there is one that the viewer may see."""
    return visible_runs(viewer_of(request)).filter(pk=task_id).first()


def gone(request: HttpRequest, outcome: str) -> HttpResponse:
    """The answer to a button of a run that is not there any more, or not theirs any more; `outcome`: what follows."""
    if wants_json(request):
        return refuse({"task": [f"This run is not there any more, or it is not yours. {outcome}"]}, 404)
    return render(request, "tasks/gone.html", {"outcome": outcome}, status=404)


def addresses(request: HttpRequest, found: TaskRun) -> dict[str, str]:
    """What an accepted start is answered with."""
    scheme = "wss" if request.is_secure() else "ws"
    return {
        "task_id": found.pk,
        "state": str(found.state),
        "url": reverse("run", args=[found.pk]),
        "ws_url": f"{scheme}://{request.get_host()}{sockets_path(found.pk)}",
    }
