"""The project's addresses, and one that starts any job: the real form accepts only the jobs that are offered."""

import json

from celery import current_app
from django.http import HttpRequest, JsonResponse
from django.urls import include, path
from django.views.decorators.csrf import csrf_exempt

from .testjobs import behave, counted, tasks  # noqa: F401 - they register the jobs


@csrf_exempt
def start_job(request: HttpRequest, name: str) -> JsonResponse:
    """`{"args": [...], "kwargs": {...}, "options": {...}}` → a run of this visitor, by the same `.apply_async`."""
    call = json.loads(request.body)
    task = current_app.tasks[f"testjobs.{name}"]
    result = task.apply_async(tuple(call["args"]), call["kwargs"], **call["options"])
    return JsonResponse({"task_id": result.id}, status=202)


urlpatterns = [path("testjobs/<name>/", start_job), path("", include("django_starter.urls"))]
