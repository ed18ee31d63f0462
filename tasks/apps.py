"""The Django application."""

from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules


class TasksConfig(AppConfig):
    name = "tasks"
    verbose_name = "Tasks"

    def ready(self) -> None:
        from . import checks, runs  # noqa: F401 - importing the checks registers them
        from .celery.engine import CeleryEngine
        from .web import signing_in  # noqa: F401 - listens to Django's signal

        runs.register(CeleryEngine())
        # Web processes, too, must know every app's tasks: to offer those that are startable, and to send them.
        autodiscover_modules("tasks")
