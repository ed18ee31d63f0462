"""A project that includes none of our addresses: the middleware has one, and an application is ready."""

from __future__ import annotations

import pytest
from django.http import HttpRequest, HttpResponse
from django.template import engines
from django.test import Client
from django.urls import path
from django.utils.module_loading import import_string

from progress import asgi
from progress.checks import OWNER, check_addresses, leads_to
from progress.socket import progress_socket

pytestmark = pytest.mark.django_db

TEMPLATE = '{% load progress %}{% task_progress "a-task" %}'


def page(request: HttpRequest) -> HttpResponse:
    return HttpResponse(engines["django"].from_string(TEMPLATE).render({}))


def lost(request: HttpRequest, exception: Exception) -> HttpResponse:
    return HttpResponse("the project's own", status=404)


#: The project's addresses are this module's.
urlpatterns = [path("page/", page)]
handler404 = lost


@pytest.fixture(params=[OWNER, "tasks.web.middleware.OwnerMiddleware"])
def project(settings, request):
    settings.ROOT_URLCONF = __name__
    settings.MIDDLEWARE = [
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        request.param,
    ]
    settings.ASGI_APPLICATION = "progress.asgi.application"
    return settings


def test_bar_and_snapshot_have_an_address(project):
    client = Client()
    assert 'src="/api/tasks/a-task/"' in client.get("/page/").content.decode()
    answer = client.get("/api/tasks/a-task/")
    assert (answer.status_code, answer.json()["error"]) == (404, "There is no such task, or it is not yours.")


def test_the_projects_own_pages_and_handlers_stay(project):
    answer = Client().get("/nowhere/")
    assert (answer.status_code, answer.content) == (404, b"the project's own")


def test_nothing_is_missing_for_the_check(project):
    assert check_addresses() == []
    project.MIDDLEWARE = project.MIDDLEWARE[:2]
    assert [one.id for one in check_addresses()] == ["progress.E009"]


def test_the_ready_application_leads_to_the_sockets():
    assert leads_to(import_string("progress.asgi.application"), progress_socket)
    with pytest.raises(AttributeError, match="nothing_else"):
        asgi.nothing_else  # noqa: B018
