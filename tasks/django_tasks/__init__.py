"""Django's own tasks, done by Celery's workers: `"BACKEND": "tasks.django_tasks.CeleryBackend"` in TASKS.

Serves Django 6's `django.tasks`, and on Django 5.2 its backport `django-tasks`, whichever is there (`api.py`).
Nothing here is imported unless TASKS names the backend.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .errors import TaskCancelled, TaskExpired, TaskFailed, WorkerLost

if TYPE_CHECKING:
    from .backend import CeleryBackend

__all__ = ["CeleryBackend", "TaskCancelled", "TaskExpired", "TaskFailed", "WorkerLost"]


def __getattr__(name: str) -> object:
    if name != "CeleryBackend":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from .backend import CeleryBackend

    return CeleryBackend
