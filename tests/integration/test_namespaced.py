"""Both packages below one name (NAMESPACED=1, docs/ADOPT.md): nothing in them still says its name of before."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from django.apps import apps

ROOT = Path(__file__).resolve().parents[2]
MODELS = "|".join(model.__name__ for model in apps.get_app_config("tasks").get_models())
#: A relation, a table or an address of the admin; a file of a template or a script; an import.
OLD = (
    rf"\btasks[._](?i:{MODELS})\b",
    r"""["']tasks/[\w-]+\.(html|js|css)["']""",
    r"^\s*(from|import) (tasks|progress)\b",
)
SETTINGS = """
from pathlib import Path
SECRET_KEY, DEBUG, ALLOWED_HOSTS, USE_TZ = "x" * 50, True, ["testserver"], True
INSTALLED_APPS = [
    *(f"django.contrib.{name}" for name in ("admin", "auth", "contenttypes", "sessions", "messages", "staticfiles")),
    "django_starter_tasks.progress", "django_starter_tasks.tasks",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware", "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware", "django_starter_tasks.tasks.web.middleware.OwnerMiddleware",
]
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True, "OPTIONS": {
    "context_processors": [f"django.{name}" for name in (
        "template.context_processors.request", "contrib.auth.context_processors.auth",
        "contrib.messages.context_processors.messages")]}}]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": Path(__file__).parent / "db.sqlite3"}}
STATIC_URL, ROOT_URLCONF = "/static/", "shop_urls"
ASGI_APPLICATION = "django_starter_tasks.progress.asgi.application"
PROGRESS = {"REDIS_URL": "@", "PREFIX": "named"}
"""
URLS = """
from django.contrib import admin
from django.urls import include, path
urlpatterns = [path("admin/", admin.site.urls), path("", include("django_starter_tasks.tasks.urls")),
               path("login/", admin.site.login, name="login"), path("logout/", admin.site.logout, name="logout")]
"""
ASK = """
import django; django.setup()
from celery import Celery
from django.apps import apps
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.test import Client
from django_starter_tasks import tasks
app = Celery("shop"); app.config_from_object("django.conf:settings", namespace="CELERY"); tasks.install(app)
call_command("check"); call_command("migrate", verbosity=0)
call_command("makemigrations", "--check", "--dry-run", verbosity=0)
get_user_model().objects.create_superuser("alice", password="a long enough one")
alice = Client(); alice.force_login(get_user_model().objects.get())
@app.task
def fails(): pass
with django.db.transaction.atomic():
    run_id = fails.delay().id
from django_starter_tasks.tasks.models import TaskRun
assert TaskRun._meta.db_table == "django_starter_tasks_taskrun"
TaskRun.objects.update(state="FAILURE", fingerprint="x", finished_at=django.utils.timezone.now())
pages = ["/", "/runs/", "/runs/failures/", "/runs/now/", "/api/now/", "/schedules/"]
pages += [f"/tasks/{run_id}/", f"/api/tasks/{run_id}/"]
models = [m for name in ("tasks", "progress") for m in apps.get_app_config(f"django_starter_{name}").get_models()]
registered = django.contrib.admin.site._registry
pages += [f"/admin/django_starter_tasks/{m._meta.model_name}/" for m in models if m in registered]
for page in pages:
    print(page, alice.get(page).status_code)
"""


@pytest.fixture(scope="module")
def namespaced(tmp_path_factory) -> Path:
    """What the build puts into its wheel. The build's own package is only there while it builds."""
    names = ["hatchling", *(f"hatchling.{name}" for name in ("builders", "builders.hooks", "builders.hooks.plugin"))]
    patch = pytest.MonkeyPatch()
    interface = ModuleType("hatchling.builders.hooks.plugin.interface")
    interface.BuildHookInterface = list  # type: ignore[attr-defined] # anything that takes a parameter
    for module in (*map(ModuleType, names), interface):
        patch.setitem(sys.modules, module.__name__, module)
    spec = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    assert spec and spec.loader
    build = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(build)
    folder = tmp_path_factory.mktemp("namespaced")
    build.write(ROOT, folder)
    patch.undo()
    return folder


def test_no_file_still_has_the_name_of_before(namespaced):
    found = {}
    for path in [*namespaced.rglob("*.py"), *namespaced.rglob("*.html")]:
        if lines := [line for line in path.read_text().splitlines() if any(re.search(old, line) for old in OLD)]:
            found[str(path.relative_to(namespaced))] = lines
    assert found == {}


def test_its_tables_are_made_and_its_pages_answer(namespaced, valkey_server, tmp_path):
    (tmp_path / "shop_settings.py").write_text(SETTINGS.replace("@", valkey_server))
    (tmp_path / "shop_urls.py").write_text(URLS)
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": f"{tmp_path}:{namespaced}"}
    done = subprocess.run(
        [sys.executable, "-c", ASK],
        cwd=tmp_path,
        env={**env, "DJANGO_SETTINGS_MODULE": "shop_settings"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    answers = dict(line.split() for line in done.stdout.splitlines() if line.startswith("/"))
    assert len(answers) > 8 and set(answers.values()) == {"200"}, done.stdout
