"""The project's addresses, and one that starts a job: the real form accepts only the tasks that are offered."""

import json

from django.http import HttpRequest, JsonResponse
from django.urls import include, path

from . import tasks


def start(request: HttpRequest, name: str) -> JsonResponse:
    """`{…keyword arguments…}` → a run of this visitor."""
    result = getattr(tasks, name).delay(**json.loads(request.body))
    return JsonResponse({"task_id": result.id}, status=202)


urlpatterns = [path("benchmarks/<name>/", start), path("", include("django_starter.urls"))]
