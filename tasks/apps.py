"""The Django application."""

from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules


class TasksConfig(AppConfig):
    name = "tasks"
    verbose_name = "Tasks"

    def ready(self) -> None:
        from . import checks, runs  # noqa: F401 - importing the checks registers them
        from .celery import beat  # noqa: F401 - registers what a `celery beat` is told
        from .celery.engine import CeleryEngine
        from .celery.schedules import CelerySource
        from .runs.prune import also_prune
        from .runs.sweep import also_sweep
        from .schedules import entry, firing

        runs.register(CeleryEngine())
        entry.register(CelerySource())
        also_sweep(firing.Firing().look)
        also_prune(firing.forget)
        # Web processes, too, must know every app's tasks: to offer those that are startable, and to send them.
        autodiscover_modules("tasks")
