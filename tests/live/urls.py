"""The project's addresses, and one that starts any job: the real form accepts only the jobs that are offered."""

import json

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template import engines
from django.urls import include, path
from django.views.decorators.csrf import csrf_exempt

from tasks.runs.invariants import check

from .testjobs import behave, counted, going_on, hanging, tasks  # noqa: F401 - they register the jobs


@csrf_exempt
def start_job(request: HttpRequest, name: str) -> JsonResponse:
    """`{"args": [...], "kwargs": {...}, "options": {...}}` → a run of this visitor, by the same `.apply_async`."""
    call = json.loads(request.body)
    task = tasks.jobs_of(call["options"].pop("engine", "celery"))[f"testjobs.{name}"]
    result = task.apply_async(tuple(call["args"]), call["kwargs"], **call["options"])
    return JsonResponse({"task_id": result.id}, status=202)


#: Any page of any site.
EMBEDDING = """{% load progress %}<!doctype html><html lang="en">
<head><title>A shop</title><link rel="icon" href="data:,"></head><body>
<main><h1>Your order</h1>{% task_progress one "steps" "log" %}{% if other %}{% task_progress other %}{% endif %}</main>
</body></html>"""


def embedding(request: HttpRequest) -> HttpResponse:
    """`?one=<task_id>&other=<task_id>[&nonce=…]`: a page that knows nothing of the project's own ones."""
    context = {"one": request.GET["one"], "other": request.GET.get("other")}
    if nonce := request.GET.get("nonce"):
        context["csp_nonce"] = nonce  # as Django 6's context processor and django-csp have it
    response = HttpResponse(engines["django"].from_string(EMBEDDING).render(context, request))
    if nonce:
        only = f"'nonce-{nonce}'"
        response["Content-Security-Policy"] = (
            f"default-src 'none'; script-src {only}; style-src {only}; connect-src 'self'; img-src data:"
        )
    return response


def invariants(request: HttpRequest) -> JsonResponse:
    """The rules that are broken now."""
    return JsonResponse([str(one) for one in check()], safe=False)


urlpatterns = [
    path("invariants/", invariants),
    path("testjobs/<name>/", start_job),
    path("embedding/", embedding),
    path("", include("django_starter.urls")),
]
