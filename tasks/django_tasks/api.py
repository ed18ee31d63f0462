"""Django's task framework under one set of names: `django.tasks` since Django 6.0, else the backport `django-tasks`."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any

#: The Celery task that does them, whatever module they are in: see `carrier.py`.
CARRIER = "tasks.django_tasks.call"
#: The package that is there. Its objects have no types that hold for both.
PACKAGE = "django.tasks" if find_spec("django.tasks") else "django_tasks"

_base: Any = import_module(f"{PACKAGE}.base")
_exceptions: Any = import_module(f"{PACKAGE}.exceptions")
_json: Any = import_module("django.utils.json" if PACKAGE == "django.tasks" else "django_tasks.utils")

BaseTaskBackend: Any = import_module(f"{PACKAGE}.backends.base").BaseTaskBackend
ImmediateBackend: Any = import_module(f"{PACKAGE}.backends.immediate").ImmediateBackend
Task, TaskContext, TaskError = _base.Task, _base.TaskContext, _base.TaskError
TaskResult, TaskResultStatus = _base.TaskResult, _base.TaskResultStatus
InvalidTask: Any = getattr(_exceptions, "InvalidTask", None) or _exceptions.InvalidTaskError
TaskResultDoesNotExist: Any = _exceptions.TaskResultDoesNotExist
normalize_json: Any = _json.normalize_json
signals: Any = import_module(f"{PACKAGE}.signals")
task_backends: Any = import_module(PACKAGE).task_backends
