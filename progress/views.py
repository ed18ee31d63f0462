"""The snapshot over HTTP: what the socket's first frame says, for polling and for scripts."""

from __future__ import annotations

import hashlib
from contextlib import suppress

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import resolve_url
from django.urls import NoReverseMatch
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from .messages import dumps
from .now import now
from .source import get_source


@require_safe
@never_cache
def snapshot(request: HttpRequest, task_id: str) -> HttpResponse:
    """`{"epoch", "seq", "task"}` with an ETag; 304 when nothing changed, 404 for unknown or not yours.

    Somebody who is not signed in is told with the 404 where to log in: a page that was made for somebody who was
    signed in asks by this whether they still are.
    """
    source = get_source()
    stored = source.states(source.viewer_of(request), [task_id]).get(task_id)
    if stored is None:
        refusal = {"error": "There is no such task, or it is not yours."}
        if not getattr(getattr(request, "user", None), "is_authenticated", True):
            with suppress(NoReverseMatch):  # a site without accounts
                refusal["login"] = resolve_url(settings.LOGIN_URL)
        return JsonResponse(refusal, status=404)
    found = now(stored)
    task = found.task
    if stored.get("result_omitted"):
        task = {**task, "result": source.result(task_id), "result_omitted": False}
    body = dumps({"epoch": found.held.epoch, "seq": found.held.seq, "task": task}).encode()
    etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    if request.headers.get("If-None-Match") == etag:
        response = HttpResponse(status=304)
    else:
        response = HttpResponse(body, content_type="application/json")
    response["ETag"] = etag
    return response
