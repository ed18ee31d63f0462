"""What is now, for staff: a page for the first minute of an incident, and the same as JSON."""

from __future__ import annotations

from django.contrib.auth.decorators import user_passes_test
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from tasks.runs.failures import host_of
from tasks.runs.now import AtWork, look

from .access import shown


@never_cache
@user_passes_test(lambda user: user.is_active and user.is_staff, login_url="login")
@require_safe
def now(request: HttpRequest) -> HttpResponse:
    """The page."""
    found = look()
    workers = None if found.workers is None else [(one, host_of(one.worker.id), _busy(one)) for one in found.workers]
    return render(request, "tasks/now.html", {"now": found, "workers": workers})


def _busy(one: AtWork) -> dict[str, object]:
    return {"runs": shown(one.busy), "more": len(one.worker.active) - len(one.busy)}


@never_cache
@require_safe
def now_json(request: HttpRequest) -> JsonResponse:
    """The same for scripts; 403 for others than staff."""
    if not (request.user.is_active and request.user.is_staff):
        return JsonResponse({"error": "This is for staff."}, status=403)
    return JsonResponse(look().as_json())
