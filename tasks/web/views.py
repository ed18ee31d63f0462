"""The pages, and the addresses behind their buttons."""

from __future__ import annotations

import json
from contextlib import suppress

from django.contrib import messages
from django.db import DatabaseError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.decorators.http import require_POST, require_safe

from progress.paths import sockets_path
from tasks import runs
from tasks.models import TaskRun
from tasks.runs.family import MOST_LISTED, failed_parts
from tasks.runs.killing import NotKilled, may_kill
from tasks.runs.killing import kill_worker as kill
from tasks.runs.owner import current_owner
from tasks.runs.repeating import BEGINNINGS
from tasks.runs.search import repeated, said_repeated
from tasks.runs.state import live_log, live_states, public_state, readable
from tasks.runs.tree import family_of
from tasks.runs.waiting import explain
from tasks.runs.where import key_of, where

from .access import shown, viewer_of, visible_runs
from .attempts import table_of
from .forms import StartForm
from .frames import frames_of
from .home import home_page
from .limits import limit_starts
from .panels import additions
from .requests import BadBody, idempotency_key, key_reused, read_body, read_choice, refuse, wants_json
from .services import flower_url

#: Of `retry_run`: not the run itself, but its failed parts.
FAILED = "failed"


@require_safe
@never_cache
@ensure_csrf_cookie
def home(request: HttpRequest) -> HttpResponse:
    """The viewer's own runs, Start Task, and the forms that apps have added."""
    owner = current_owner()
    if owner is not None:
        with suppress(DatabaseError):  # a page can be read without: whoever starts something needs it
            owner.remember()  # a session from the first page on: a second tab sees what this one starts
    return home_page(request)


@require_POST
@limit_starts
def start_task(request: HttpRequest) -> HttpResponse:
    """Accept a run and answer at once: 202 with its addresses for JSON, a redirect for a form.

    That leads home, or to the run's own page if the form says `open`.
    """
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
    return redirect("run", task_id=run.pk) if fields.get("open") else redirect("home")


@require_safe
@never_cache
@ensure_csrf_cookie
def run(request: HttpRequest, task_id: str) -> HttpResponse:
    """A run's own page; 404 for one that is unknown or not theirs."""
    found = find_run(request, task_id)
    if found is None:
        raise Http404("There is no such task, or it is not yours.")
    task = live_states([found], explain([found]))[0]
    left = additions([found.pk] if viewer_of(request).owns(found) else []).of(found.pk)
    context = {
        "stored": found,
        "task": task,
        "attempts": table_of(found, task),
        "where": where(found.pk) if viewer_of(request).is_staff and request.GET.get("where") == "1" else None,
        "url": reverse("run", args=[found.pk]),
        "args_json": _json(readable([*found.args], found.engine)),
        "kwargs_json": _json(readable({**found.kwargs}, found.engine)),
        "result_json": None if found.result is None else _json(readable(found.result, found.engine)),
        "frames": frames_of(found.traceback) if found.traceback and viewer_of(request).is_staff else [],
        "log": live_log(found),
        "before": shown(TaskRun.objects.filter(pk=found.retry_of or "").only("pk")),
        "again": shown(TaskRun.objects.filter(retry_of=found.pk).order_by("accepted_at").only("pk")),
        "repeated": said_repeated(last) if (last := repeated([found]).get(found.pk)) else "",
        "family": family_of(found, visible_runs(viewer_of(request))),
        "flower_url": _flower_url(found),
        "may_kill": may_kill(),
        "additions": left,
        "tab": "files" if any(one["content"] for one in left) else "args" if found.result is None else "result",
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

    `from`: "start", or "checkpoint" to go on where it was; "failed": those of its parts that have failed, each anew.
    """
    found = find_run(request, task_id)
    if found is None:
        return gone(request, "Nothing was started.")
    try:
        begin = read_choice(request, "from", (*BEGINNINGS, FAILED))
    except BadBody as error:
        return refuse(error.as_errors())
    if begin == FAILED:
        return _retry_parts(request, found)
    if not found.is_final:
        if wants_json(request):
            return refuse({"state": [f"The task has not ended yet: {found.state}."]}, 409)
        messages.info(request, "The task has not ended yet.")
        return redirect("run", task_id=found.pk)
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


def _retry_parts(request: HttpRequest, found: TaskRun) -> HttpResponse:
    """Start the failed parts of a run again, a page of them at most."""
    parts = shown(failed_parts(found)[:MOST_LISTED])
    started, refused = [], "None of its parts has failed and was not started again."
    for part in parts:
        try:
            started.append(runs.again(part).pk)
        except runs.NotAccepted as error:
            refused = str(error)
    if wants_json(request):
        answer = {"id": found.pk, "url": reverse("run", args=[found.pk]), "task_ids": started}
        return JsonResponse(answer, status=202) if started else refuse({"task": [refused]}, 409)
    messages.info(request, f"{len(started)} started again." if started else refused)
    return redirect("run", task_id=found.pk)


@require_POST
def kill_worker(request: HttpRequest, task_id: str) -> HttpResponse:
    """In development: kill the worker that holds a run: 202 for JSON, 409 where none has it. Elsewhere 404."""
    if not may_kill():
        raise Http404("There is no such address.")
    found = find_run(request, task_id)
    if found is None:
        return gone(request, "Nothing was killed.")
    try:
        kill(found, key_of(found.worker))
    except NotKilled as error:
        if wants_json(request):
            return refuse({"worker": [str(error)]}, 409)
        messages.error(request, str(error))
        return redirect("run", task_id=found.pk)
    if wants_json(request):
        return JsonResponse({"id": found.pk, "worker": found.worker}, status=202)
    messages.info(request, "Its worker is killed.")
    return redirect("run", task_id=found.pk)


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
