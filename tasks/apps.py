"""The Django application."""

from importlib import import_module

from django.apps import AppConfig
from django.conf import settings
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
        backends = getattr(settings, "TASKS", {}).values()
        if any(str(one.get("BACKEND", "")).startswith(f"{self.name}.django_tasks.") for one in backends):
            import_module("tasks.django_tasks.carrier")
        # Web processes, too, must know every app's tasks: to offer those that are startable, and to send them.
        autodiscover_modules("tasks")
