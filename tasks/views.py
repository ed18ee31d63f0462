"""The pages, and the addresses behind their buttons."""

from __future__ import annotations

import json
import re
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.decorators.http import require_POST, require_safe

from progress.messages import TaskState
from progress.record import Held, Since, get_record
from progress.source import merge

from . import runs
from .access import own_runs, viewer_of, visible_runs
from .forms import StartForm
from .models import TaskRun
from .public_state import public_state
from .queue_status import explain
from .requests import BadBody, read_body, refuse, wants_json

#: Runs that the home page shows.
HOME_RUNS = 50
#: What an Idempotency-Key may look like.
KEY_PATTERN = re.compile(r"[\x21-\x7e]{1,128}")


@require_safe
@never_cache
@ensure_csrf_cookie
def home(request: HttpRequest) -> HttpResponse:
    """Start Task, and the visitor's own runs, newest first."""
    return _home(request, StartForm())


@require_POST
def start_task(request: HttpRequest) -> HttpResponse:
    """Accept a run and answer at once: 202 with its addresses for JSON, a redirect home for a form."""
    try:
        fields = read_body(request)
    except BadBody as error:
        return refuse({"body": [str(error)]})
    key = request.headers.get("Idempotency-Key")
    if key is not None and not KEY_PATTERN.fullmatch(key):
        return refuse({"Idempotency-Key": ["Idempotency-Key must be 1 to 128 printable characters without spaces."]})
    form = StartForm(fields)
    if form.is_valid():
        try:
            result = form.start(key)
        except runs.NotAccepted as error:
            form.add_error(None, str(error))
    if not form.is_valid():
        if wants_json(request):
            return refuse({field: list(map(str, errors)) for field, errors in form.errors.items()})
        return _home(request, form, status=400)
    run = TaskRun.objects.get(pk=result.id)
    if wants_json(request):
        return JsonResponse(_addresses(request, run), status=202)
    return redirect("home")


@require_safe
@never_cache
@ensure_csrf_cookie
def run(request: HttpRequest, task_id: str) -> HttpResponse:
    """A run's own page; 404 for one that is unknown or not theirs."""
    found = _visible(request, task_id)
    task = _live_state(found)
    context = {
        "run": found,
        "task": task,
        "url": reverse("run", args=[found.pk]),
        "args_json": json.dumps(found.args, indent=2, ensure_ascii=False),
        "kwargs_json": json.dumps(found.kwargs, indent=2, ensure_ascii=False),
        "result_json": None if found.result is None else json.dumps(found.result, indent=2, ensure_ascii=False),
        "traceback": found.traceback if viewer_of(request).is_staff else "",
        "log": _log(found),
    }
    return render(request, "tasks/run.html", context)


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
def retry_run(request: HttpRequest, task_id: str) -> HttpResponse:
    """Start an ended run again, as a new one: 202 with its addresses for JSON, 409 while it has not ended."""
    found = _visible(request, task_id)
    if not found.is_final:
        if wants_json(request):
            return refuse({"state": [f"The task has not ended yet: {found.state}."]}, 409)
        messages.info(request, "The task has not ended yet.")
        return redirect("run", task_id=found.pk)
    try:
        again = runs.retry(found)
    except runs.NotAccepted as error:
        if wants_json(request):
            return refuse({"task": [str(error)]}, 409)
        messages.error(request, str(error))
        return redirect("run", task_id=found.pk)
    if wants_json(request):
        return JsonResponse(_addresses(request, again), status=202)
    return redirect("run", task_id=again.pk)


def _home(request: HttpRequest, form: StartForm, status: int = 200) -> HttpResponse:
    mine = list(own_runs(viewer_of(request))[:HOME_RUNS])
    waiting = explain(mine)
    held = _held_states(mine)
    listed: list[dict[str, Any]] = [
        {
            **merge(public_state(one, waiting.get(one.pk)), held.get(one.pk, Held()).changing),
            "url": reverse("run", args=[one.pk]),
        }
        for one in mine
    ]
    return render(request, "tasks/home.html", {"form": form, "runs": listed}, status=status)


def _visible(request: HttpRequest, task_id: str) -> TaskRun:
    found = visible_runs(viewer_of(request)).filter(pk=task_id).first()
    if found is None:
        raise Http404("There is no such task, or it is not yours.")
    return found


def _live_state(found: TaskRun) -> TaskState:
    held = _held_states([found]).get(found.pk, Held())
    return merge(public_state(found, explain([found]).get(found.pk)), held.changing)


def _held_states(found: list[TaskRun]) -> dict[str, Held]:
    """The live records of those that run; none while Redis is away: the page shows what the database knows."""
    running = [one.pk for one in found if not one.is_final]
    try:
        record = get_record()
        return {pk: record.read(pk, Since(log=False)) for pk in running}
    except Exception:
        return {}


def _log(found: TaskRun) -> list[Any]:
    try:
        return list(get_record().read(found.pk).log)
    except Exception:
        return []


def _addresses(request: HttpRequest, found: TaskRun) -> dict[str, str]:
    scheme = "wss" if request.is_secure() else "ws"
    return {
        "task_id": found.pk,
        "state": str(found.state),
        "url": reverse("run", args=[found.pk]),
        "ws_url": f"{scheme}://{request.get_host()}/ws/progress/{found.pk}/",
    }
