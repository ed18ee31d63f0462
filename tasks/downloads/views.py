"""The addresses of downloads: ask for one, take its files, fetch what failed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from asgiref.sync import sync_to_async
from django.contrib import messages
from django.core.files import File
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from tasks import runs
from tasks.models import State, TaskRun
from tasks.web.access import own_runs, viewer_of, visible_runs
from tasks.web.home import home_page
from tasks.web.limits import limit_starts
from tasks.web.requests import BadBody, idempotency_key, key_reused, read_body, refuse, wants_json
from tasks.web.views import addresses, gone

from . import files
from .form import DownloadForm
from .shells import NAME, shell

#: Bytes of a JSON body: room for a list of sellers that is far too long, so that its own error can say so.
MAX_BODY = 1024 * 1024
TYPES = {"csv": "text/csv; charset=utf-8", "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"}


@require_POST
@limit_starts
def start_download(request: HttpRequest) -> HttpResponse:
    """Accept a download and answer at once: 202 with its addresses for JSON, 303 home for a form.

    The same sellers and days while a download of them is active give that one.
    """
    try:
        fields = read_body(request, MAX_BODY)
        key = idempotency_key(request)
    except BadBody as error:
        return refuse(error.as_errors())
    form = DownloadForm(fields)
    if form.is_valid():
        wanted = form.wanted()
        try:
            result = shell().apply_async(kwargs={**wanted.as_arguments()}, idempotency_key=key)
        except runs.KeyReused as error:
            return key_reused(error)
        except runs.NotAccepted as error:
            form.add_error(None, str(error))
    if not form.is_valid():
        if wants_json(request):
            return refuse({field: list(map(str, errors)) for field, errors in form.errors.items()})
        return home_page(request, sent={"download": form}, status=400)
    request.session["launcher"] = wanted.launcher
    if wants_json(request):
        return JsonResponse(addresses(request, TaskRun.objects.get(pk=result.id)), status=202)
    return HttpResponse(status=303, headers={"Location": reverse("home")})


@require_POST
@limit_starts
def fetch_missing(request: HttpRequest, task_id: str) -> HttpResponse:
    """A new run for the reports that failed in an ended one; its files hold what both have fetched."""
    found = visible_runs(viewer_of(request)).filter(pk=task_id, name=NAME).first()
    if found is None:
        return gone(request, "Nothing was started.")
    if found.state != State.SUCCESS or not (found.result or {}).get("days_failed"):
        if wants_json(request):
            return refuse({"state": ["Nothing is missing in this download, or it has not ended well."]}, 409)
        messages.info(request, "Nothing is missing in this download, or it has not ended well.")
        return redirect("run", task_id=found.pk)
    again = shell().apply_async(kwargs={**found.kwargs, "continues": found.pk})
    if wants_json(request):
        return JsonResponse(addresses(request, TaskRun.objects.get(pk=again.id)), status=202)
    return redirect("run", task_id=again.id)


@require_safe
@never_cache
def download_file(request: HttpRequest, task_id: str, kind: str) -> StreamingHttpResponse:
    """A file of one's own run, as a stream. 404 for everybody else, and when it has expired."""
    if not own_runs(viewer_of(request)).filter(pk=task_id).exists():
        raise Http404("There is no such file, or it is not yours.")
    file = next((one for one in files.ready([task_id]).get(task_id, ()) if one.kind == kind), None)
    if file is None:
        raise Http404("There is no such file any more.")
    if not files.storage().exists(file.name):
        raise Http404("The file is gone.")
    response = StreamingHttpResponse(_pieces(file.name), content_type=TYPES[kind])
    response["Content-Length"] = str(file.size)
    response["Content-Disposition"] = f'attachment; filename="{file.filename}"'
    return response


async def _pieces(name: str) -> AsyncIterator[bytes]:
    # Asynchronous: of an ordinary iterator Django's ASGI handler would first collect all of it in memory. The file is
    # opened with the first piece: of a client that has left before, nobody would close it.
    opening = asyncio.ensure_future(sync_to_async(files.storage().open, thread_sensitive=False)(name))
    try:
        content = await asyncio.shield(opening)
    except asyncio.CancelledError:
        opening.add_done_callback(_close)
        raise
    try:
        while piece := await sync_to_async(content.read, thread_sensitive=False)(files.CHUNK):
            yield piece
    finally:
        await sync_to_async(content.close, thread_sensitive=False)()


def _close(opening: asyncio.Task[File[bytes]]) -> None:
    """Close what was opened for a client that has left meanwhile."""
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()
