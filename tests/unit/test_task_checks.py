"""Settings under which the promises could not be kept are refused at the start, with the line to write."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from celery import Celery, Task, current_app
from channels.routing import ProtocolTypeRouter, URLRouter
from channels.security.websocket import AllowedHostsOriginValidator
from django.core.checks import run_checks
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.urls import path

import tasks
from progress import defaults
from progress.asgi import with_progress
from progress.checks import leads_to
from progress.routing import websocket_urlpatterns
from progress.socket import progress_socket
from tasks import defaults as task_settings
from tasks.celery import at_start, install
from tasks.celery.task import TrackedTask

pytestmark = pytest.mark.django_db  # since Django 6.1 `check` asks the database, too

ROOT = Path(__file__).resolve().parents[2]
AUTH = "django.contrib.auth.middleware.AuthenticationMiddleware"
OWNER = "tasks.web.middleware.OwnerMiddleware"
LAYER = "progress.layer.ProgressChannelLayer"

#: For `ASGI_APPLICATION`.
without_sockets = ProtocolTypeRouter({"http": None})
urlpatterns: list = []


def layer(**config):
    return {"default": {"BACKEND": LAYER, "CONFIG": config}}


#: What is set, the check that says so, and what its line to write has in it.
SETTINGS = [
    ("tasks.E001", {"USE_TZ": False}, "USE_TZ = True"),
    ("tasks.E016", {"MIDDLEWARE": [AUTH]}, OWNER),
    ("tasks.E017", {"MIDDLEWARE": [OWNER]}, AUTH),
    ("tasks.E017", {"MIDDLEWARE": [OWNER, AUTH]}, AUTH),
    ("tasks.E018", {"REDIS_URL": "redis://elsewhere/0"}, "PROGRESS = {"),
    ("tasks.E019", {"TASKS": {"REQUIRE_LOGINS": True}}, "REQUIRE_LOGIN"),
    ("progress.E001", {"PROGRESS_SOURCE": ""}, "PROGRESS_SOURCE|dotted path"),
    ("progress.E001", {"PROGRESS_SOURCE": "shop.access.Nothing"}, "dotted path"),
    ("progress.E002", {"CHANNEL_LAYERS": {}}, LAYER),
    ("progress.E003", {"CHANNEL_LAYERS": layer(hosts=["redis://one", "redis://two"])}, "one server"),
    ("progress.E004", {"CHANNEL_LAYERS": layer(symmetric_encryption_keys=["x"])}, "rediss://"),
    ("progress.E005", {"PROGRESS_REDIS_URL": ""}, 'PROGRESS = {"REDIS_URL": "redis://'),
    ("progress.E006", {"PROGRESS": {"REDIS": "redis://"}}, "REDIS_URL"),
    ("progress.E007", {"CHANNEL_LAYERS": {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}}, LAYER),
    ("progress.E007", {"CHANNEL_LAYERS": {"default": {"BACKEND": "shop.layers.Nothing"}}}, LAYER),
    ("progress.E008", {"CHANNEL_LAYERS": layer(hosts=["redis://elsewhere/0"])}, "layer_host"),
    ("progress.E008", {"CHANNEL_LAYERS": layer(hosts=[{"address": "redis://elsewhere/0"}])}, "layer_host"),
    ("progress.E009", {"MIDDLEWARE": [], "ROOT_URLCONF": __name__}, 'path("api/tasks/", include("progress.urls"))'),
    ("progress.E011", {"PROGRESS_SOURCE": defaults.SOURCE}, "progress.live.owner.OwnerMiddleware"),
    ("progress.E010", {"ASGI_APPLICATION": None}, 'ASGI_APPLICATION = "django_starter.asgi.application"'),
    ("progress.E010", {"ASGI_APPLICATION": "shop.asgi.application"}, "with_progress(get_asgi_application())"),
    ("progress.E010", {"ASGI_APPLICATION": f"{__name__}.without_sockets"}, "with_progress(get_asgi_application())"),
]
#: The same for what the Celery app says.
CELERY = [
    ("tasks.E013", {"result_backend": "redis://:secret@127.0.0.1:6379/1"}, "CELERY_RESULT_BACKEND"),
    ("tasks.E013", {"result_backend": "django-db"}, "CELERY_RESULT_BACKEND"),
    ("tasks.E013", {"result_backend": None}, "CELERY_RESULT_BACKEND"),
    ("tasks.E013", {"result_backend": "tasks.celery.results:Nothing"}, "CELERY_RESULT_BACKEND"),
    ("tasks.E014", {"accept_content": ["pickle"]}, 'CELERY_ACCEPT_CONTENT = ["json"]'),
    (
        "tasks.E015",
        {"worker_cancel_long_running_tasks_on_connection_loss": True},
        "CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = False",
    ),
]


def found_now():
    return run_checks(tags=["tasks", "progress"])


def refused(number, line):
    """The one check that speaks is `number` and says the line; `manage.py check` and a worker's start end with it."""
    found = {one.id: one for one in found_now()}
    assert number in found, found
    assert any(part in f"{found[number].msg} {found[number].hint}" for part in line.split("|")), found[number]
    with pytest.raises(SystemCheckError, match=number):
        call_command("check")
    with pytest.raises(SystemExit, match=number):
        at_start.refuse_contradictions()
    return found[number]


def test_the_settings_of_the_project_are_in_order():
    assert found_now() == []
    at_start.refuse_contradictions()


def test_tasks_may_be_the_backends_of_django(settings):
    backend = {"BACKEND": "tasks.django_tasks.CeleryBackend", "QUEUES": []}
    settings.TASKS = {"default": backend, "other": {"BACKEND": "elsewhere.Backend"}}
    assert task_settings.own() == {}
    assert task_settings.backends() == ["tasks.django_tasks.CeleryBackend", "elsewhere.Backend"]
    assert found_now() == []


@pytest.mark.parametrize(("number", "changes", "line"), SETTINGS)
def test_a_contradiction_in_the_settings_is_an_error_with_the_line_to_write(settings, number, changes, line):
    for name, value in changes.items():
        setattr(settings, name, value)
    settings.TASKS_UNKNOWN = []
    task_settings.leave_backends()  # as when Django is set up
    refused(number, line)


@pytest.mark.parametrize(("number", "changes", "line"), CELERY)
def test_a_contradiction_in_what_celery_is_told_is_one_too(monkeypatch, number, changes, line):
    for name, value in changes.items():
        maps: Any = current_app.conf.maps
        monkeypatch.setitem(maps[0], name, value)
    assert "secret" not in str(refused(number, line))


def the_app() -> Any:
    app: Any = current_app
    return app._get_current_object()


def test_a_task_class_of_another_make_is_refused_and_one_made_of_ours_is_not(monkeypatch):
    class Own(TrackedTask):
        abstract = True

    monkeypatch.setattr(the_app(), "Task", Own)
    assert found_now() == []
    monkeypatch.setattr(the_app(), "Task", Task)
    refused("tasks.E012", "task_cls=")


def test_an_app_that_was_given_nothing_is_refused(monkeypatch):
    monkeypatch.setattr(install, "_installed", set())
    refused("tasks.E011", "tasks.install(app)")


def test_a_silenced_error_and_skipped_checks_let_a_worker_start(settings, monkeypatch):
    settings.USE_TZ = False
    with pytest.raises(SystemExit):
        at_start.refuse_contradictions()
    monkeypatch.setenv("CELERY_SKIP_CHECKS", "1")
    at_start.refuse_contradictions()
    monkeypatch.delenv("CELERY_SKIP_CHECKS")
    settings.SILENCED_SYSTEM_CHECKS = ["tasks.E001"]
    at_start.refuse_contradictions()


def celery_app(**given):
    app = Celery("shop", set_as_current=False, **given)
    tasks.install(app)
    return app


def test_one_call_gives_the_class_the_backend_and_the_settings():
    app = celery_app()
    assert issubclass(app.Task, TrackedTask)
    for name, value in install.DEFAULTS.items():
        assert app.conf[name] == value, name
    from django.conf import settings

    assert app.conf.broker_transport_options == settings.BROKER.transport_options
    app.loader.import_default_modules()
    assert [step.__name__ for step in app.steps["worker"]] == ["Heart"]


class Given:
    CELERY_TASK_ACKS_LATE = False
    CELERY_RESULT_BACKEND = "cache+memory://"


@pytest.mark.parametrize("read_before", [False, True])
def test_what_the_project_says_itself_stays_and_a_second_call_changes_nothing(read_before):
    app: Any = Celery("shop", set_as_current=False, task_cls=Task)
    app.config_from_object(Given, namespace="CELERY")
    if read_before:
        assert app.conf.task_acks_late is False
    tasks.install(app)
    tasks.install(app)
    assert app.conf.task_acks_late is False
    assert app.conf.result_backend == "cache+memory://"
    assert app.conf.task_reject_on_worker_lost is True
    assert app.conf.worker_concurrency is None  # Celery's own
    assert not issubclass(app.Task, TrackedTask)


NO_HEART = """
import django, os
django.setup()
from celery import Celery
app = Celery("shop", broker="memory://", set_as_current=True)
{call}
app.Worker(pool="solo", hostname="w@here")
print("began")
"""


@pytest.mark.parametrize(
    ("call", "said"),
    [("", "tasks.E011"), ("import tasks; tasks.install(app)", "began")],
    ids=["without the call", "with it"],
)
def test_a_worker_without_a_heart_does_not_begin(call, said):
    code = NO_HEART.format(call=call)
    environment = {"DJANGO_SETTINGS_MODULE": "django_starter.settings"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert said in done.stdout + done.stderr, done.stderr


def wrapped(application):
    async def middleware(scope, receive, send):
        await application(scope, receive, send)

    return middleware


ROUTERS = {
    "bare": URLRouter(websocket_urlpatterns),
    "ours": with_progress(None),
    "below another router": URLRouter([path("", URLRouter(websocket_urlpatterns))]),
    "in Channels' middleware": ProtocolTypeRouter({"websocket": AllowedHostsOriginValidator(with_progress(None))}),
    "in a function": wrapped(wrapped(with_progress(None))),
}


@pytest.mark.parametrize("application", ROUTERS.values(), ids=ROUTERS)
def test_a_route_to_the_sockets_is_found_through_what_is_around_it(application):
    assert leads_to(application, progress_socket)


def test_a_circle_of_objects_ends():
    one: dict = {}
    one["itself"] = [one]
    assert not leads_to(one, progress_socket)


def test_the_dict_has_defaults_for_all_but_the_address(settings):
    names = {defaults.NAMES.get(key, f"PROGRESS_{key}") for key in defaults.DEFAULTS}
    for name in [*names, "CHANNEL_LAYERS"]:
        delattr(settings, name) if hasattr(settings, name) else None
    settings.PROGRESS = {"REDIS_URL": "redis://elsewhere:1/2", "MAX_SOCKETS": 3}
    defaults.fill()
    assert settings.PROGRESS_REDIS_URL == "redis://elsewhere:1/2"
    assert settings.PROGRESS_MAX_SOCKETS == 3
    assert defaults.DEFAULTS["TTL"] == settings.PROGRESS_TTL
    (host,) = defaults.layer()["CONFIG"]["hosts"]
    assert settings.CHANNEL_LAYERS["default"] == defaults.layer()
    assert host["address"] == "redis://elsewhere:1/2"


def test_a_setting_of_its_own_counts_before_the_dict(settings):
    settings.PROGRESS = {"MAX_SOCKETS": 3}
    settings.PROGRESS_MAX_SOCKETS = 5
    defaults.fill()
    assert settings.PROGRESS_MAX_SOCKETS == 5
