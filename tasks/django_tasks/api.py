"""Django's task framework under one set of names: `django.tasks` since Django 6.0, else the backport `django-tasks`."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any, TypeAlias

#: The Celery task that does them, whatever module they are in: see `carrier.py`.
CARRIER = "tasks.django_tasks.call"
#: The package that is there. Its objects have no types that hold for both.
PACKAGE = "django.tasks" if find_spec("django.tasks") else "django_tasks"

#: An object of a class of it.
Backend: TypeAlias = Any
DjangoTask: TypeAlias = Any
DjangoResult: TypeAlias = Any


def _module(name: str) -> Any:
    return import_module(name)


def _part(name: str) -> Any:
    return _module(f"{PACKAGE}.{name}")


_base, _exceptions = _part("base"), _part("exceptions")
BaseTaskBackend = _part("backends.base").BaseTaskBackend
ImmediateBackend = _part("backends.immediate").ImmediateBackend
Task, TaskContext, TaskError = _base.Task, _base.TaskContext, _base.TaskError
TaskResult, TaskResultStatus = _base.TaskResult, _base.TaskResultStatus
InvalidTask = getattr(_exceptions, "InvalidTask", None) or _exceptions.InvalidTaskError
TaskResultDoesNotExist = _exceptions.TaskResultDoesNotExist
signals = _part("signals")
normalize_json = _module("django.utils.json" if PACKAGE == "django.tasks" else "django_tasks.utils").normalize_json
