"""The project's addresses, and one that starts a job: the real form accepts only the tasks that are offered."""

import json

from django.http import HttpRequest, JsonResponse
from django.urls import include, path

from tasks.web import feeds, home

from . import tasks

feeds.HOME_RUNS = home.HOME_RUNS = 100  # for page.py: twice of what a person's page has


def start(request: HttpRequest, name: str) -> JsonResponse:
    """`{…keyword arguments…}` → a run of this visitor."""
    result = getattr(tasks, name).delay(**json.loads(request.body))
    return JsonResponse({"task_id": result.id}, status=202)


urlpatterns = [path("benchmarks/<name>/", start), path("", include("django_starter.urls"))]
