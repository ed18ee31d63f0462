"""Which engine's shell of `download` a download is started with: `DOWNLOADS_ENGINE`."""

from __future__ import annotations

from importlib import import_module
from typing import cast

from django.conf import settings

from tasks.startable import Task

#: What rows say of a download, whatever engine does it.
NAME = "tasks.tasks.download_reports"
#: By engine: the module with its `download_reports`.
SHELLS = {"celery": "tasks.downloads.tasks", "huey": "tasks.downloads.huey_tasks"}


def shell() -> Task:
    """The task that the form starts."""
    module = import_module(SHELLS[getattr(settings, "DOWNLOADS_ENGINE", "celery")])
    return cast(Task, module.download_reports)
