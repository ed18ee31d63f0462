"""The snapshot over HTTP: what the socket's first frame says, for polling and for scripts."""

from __future__ import annotations

import hashlib
import logging

import redis
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from .held import Held, Since
from .messages import dumps
from .record import get_record
from .source import get_source
from .state import merge

logger = logging.getLogger(__name__)


@require_safe
@never_cache
def snapshot(request: HttpRequest, task_id: str) -> HttpResponse:
    """`{"epoch", "seq", "task"}` with an ETag; 304 when nothing changed, 404 for unknown or not yours."""
    source = get_source()
    stored = source.states(source.viewer_of(request), [task_id]).get(task_id)
    if stored is None:
        return JsonResponse({"error": "There is no such task, or it is not yours."}, status=404)
    try:
        held = get_record().read(task_id, Since(log=False))
    except (redis.RedisError, OSError) as error:
        logger.debug("The record of %s cannot be read: %s", task_id, error)
        held = Held()
    task = merge(stored, held.changing)
    if stored.get("result_omitted"):
        task = {**task, "result": source.result(task_id), "result_omitted": False}
    body = dumps({"epoch": held.epoch, "seq": held.seq, "task": task}).encode()
    etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    if request.headers.get("If-None-Match") == etag:
        response = HttpResponse(status=304)
    else:
        response = HttpResponse(body, content_type="application/json")
    response["ETag"] = etag
    return response
