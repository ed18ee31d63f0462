"""The schedules, for staff: what starts by itself, when next, how it went, and why not; pause, resume, run now."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import user_passes_test
from django.core.exceptions import BadRequest
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from tasks.models import TaskRun
from tasks.schedules.entry import entries
from tasks.schedules.firing import pause, resume, run_now
from tasks.schedules.outlook import names, outlooks

from .access import shown
from .all_runs import address, page_number, took

#: Entries of one page.
PAGE = 25


@never_cache
@user_passes_test(lambda user: user.is_active and user.is_staff, login_url="login")
@require_http_methods(["GET", "HEAD", "POST"])
def schedules(request: HttpRequest) -> HttpResponse:
    """The list; a POST pauses, resumes or starts one entry."""
    if request.method == "POST":
        _act(request)
        return redirect(request.get_full_path())
    word = request.GET.get("q", "").strip()[:200]
    found = [name for name in names() if word.lower() in name.lower()]
    page, pages = page_number(request), max(1, -(-len(found) // PAGE))
    rows = outlooks(timezone.now(), found[(page - 1) * PAGE : page * PAGE])
    context = {
        "rows": [(row, [_run(run) for run in shown(row.runs)]) for row in rows],
        "q": word,
        "total": len(found),
        "page": page,
        "pages": pages,
        "before": address(request, page=page - 1) if page > 1 else "",
        "after": address(request, page=page + 1) if page < pages else "",
    }
    return render(request, "tasks/schedules.html", context)


def _run(run: TaskRun) -> dict[str, object]:
    return {
        "id": run.pk,
        "state": run.state,
        "at": run.tick or run.accepted_at,
        "took": took(run),
        "by_hand": not run.tick,
    }


def _act(request: HttpRequest) -> None:
    action, name, now = request.POST.get("action"), request.POST.get("entry", ""), timezone.now()
    if action not in ("pause", "resume", "run"):
        raise BadRequest("action must be pause, resume or run.")
    entry = entries().get(name)
    if entry is None:
        raise Http404("There is no such entry.")
    if action == "pause":
        done = pause(name, request.user.get_username(), now)
        messages.info(request, f"{name} is paused." if done else f"{name} is paused already, or no worker has seen it.")
    elif action == "resume":
        messages.info(request, f"{name} fires again." if resume(name, now) else f"{name} was not paused.")
    elif entry.problem:
        messages.error(request, f"{name} cannot be started: {entry.problem}")
    else:
        try:
            run_now(entry)
        except Exception as error:  # an entry may hold whatever settings have
            messages.error(request, f"{name} cannot be started: {type(error).__name__}: {error}"[:500])
        else:
            messages.info(request, f"{name} is started.")
