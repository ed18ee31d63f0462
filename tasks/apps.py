"""The Django application."""

from importlib import import_module

from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules


class TasksConfig(AppConfig):
    name = "tasks"
    verbose_name = "Tasks"

    def ready(self) -> None:
        from django.apps import apps

        from . import checks, runs  # noqa: F401 - importing the checks registers them
        from .celery.engine import CeleryEngine

        runs.register(CeleryEngine())
        if apps.is_installed("huey.contrib.djhuey"):
            import_module("tasks.huey.engine").register()
        # Web processes, too, must know every app's tasks: to offer those that are startable, and to send them.
        autodiscover_modules("tasks")
