"""The pages, and the addresses behind their buttons."""

from __future__ import annotations

import json
from collections.abc import Mapping

from django.contrib import messages
from django.forms import Form
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.decorators.http import require_POST, require_safe

from tasks import runs
from tasks.models import TaskRun
from tasks.runs.owner import current_owner
from tasks.runs.state import live_log, live_states, public_state, readable
from tasks.runs.waiting import explain

from .access import own_runs, shown, viewer_of, visible_runs
from .feeds import HOME_RUNS
from .forms import StartForm
from .limits import limit_starts
from .panels import additions, home_forms
from .requests import BadBody, idempotency_key, read_body, refuse, wants_json
from .services import flower_url


@require_safe
@never_cache
@ensure_csrf_cookie
def home(request: HttpRequest) -> HttpResponse:
    """Start Task, Download reports, and the viewer's own runs, newest first."""
    owner = current_owner()
    if owner is not None:
        owner.key()  # a session from the first page on: a second tab sees what this one starts
    return home_page(request, form=StartForm(chosen=request.GET.get("task", "")))


@require_POST
@limit_starts
def start_task(request: HttpRequest) -> HttpResponse:
    """Accept a run and answer at once: 202 with its addresses for JSON, a redirect home for a form."""
    try:
        fields = read_body(request)
        key = idempotency_key(request)
    except BadBody as error:
        return refuse(error.as_errors())
    form = StartForm(fields)
    if form.is_valid():
        try:
            result = form.start(key)
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
    found = _visible(request, task_id)
    context = {
        "stored": found,
        "task": live_states([found], explain([found]))[0],
        "url": reverse("run", args=[found.pk]),
        "args_json": _json(readable([*found.args], found.engine)),
        "kwargs_json": _json(readable({**found.kwargs}, found.engine)),
        "result_json": None if found.result is None else _json(readable(found.result, found.engine)),
        "traceback": found.traceback if viewer_of(request).is_staff else "",
        "log": live_log(found),
        "before": shown(TaskRun.objects.filter(pk=found.retry_of).only("pk")),
        "again": shown(TaskRun.objects.filter(retry_of=found.pk).order_by("accepted_at").only("pk")),
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
    found = _visible(request, task_id)
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
    """Start an ended run again, as a new one: 202 with its addresses for JSON, 409 while it has not ended."""
    found = _visible(request, task_id)
    if not found.is_final:
        if wants_json(request):
            return refuse({"state": [f"The task has not ended yet: {found.state}."]}, 409)
        messages.info(request, "The task has not ended yet.")
        return redirect("run", task_id=found.pk)
    try:
        again = runs.again(found)
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
    mine = shown(own_runs(viewer_of(request))[:HOME_RUNS])
    added = additions([one.pk for one in mine])
    listed: list[dict[str, object]] = [
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
        "runs": listed,
        "no_additions": additions([]).of(""),
    }
    return render(request, "tasks/home.html", context, status=status)


def _visible(request: HttpRequest, task_id: str) -> TaskRun:
    found = visible_runs(viewer_of(request)).filter(pk=task_id).first()
    if found is None:
        raise Http404("There is no such task, or it is not yours.")
    return found


def addresses(request: HttpRequest, found: TaskRun) -> dict[str, str]:
    """What an accepted start is answered with."""
    scheme = "wss" if request.is_secure() else "ws"
    return {
        "task_id": found.pk,
        "state": str(found.state),
        "url": reverse("run", args=[found.pk]),
        "ws_url": f"{scheme}://{request.get_host()}/ws/progress/{found.pk}/",
    }
