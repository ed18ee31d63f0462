"""The Django application."""

from importlib import import_module
from types import ModuleType

from django.apps import AppConfig, apps
from django.utils.module_loading import autodiscover_modules

from . import defaults


class TasksConfig(AppConfig):
    name = "tasks"
    verbose_name = "Tasks"
    default_auto_field = "django.db.models.BigAutoField"

    def __init__(self, app_name: str, app_module: ModuleType) -> None:
        super().__init__(app_name, app_module)
        defaults.fill()  # before any app is ready: `progress` would name a source of its own

    def ready(self) -> None:
        from . import checks, runs  # noqa: F401 - importing the checks registers them
        from .celery import (
            at_start,  # noqa: F401 - listens to Celery's signal
            beat,  # noqa: F401 - registers what a `celery beat` is told
        )
        from .celery.beat_tables import BeatTables
        from .celery.engine import CeleryEngine
        from .celery.schedules import CelerySource
        from .runs.prune import also_prune
        from .runs.sweep import also_sweep
        from .schedules import entry, firing
        from .web import signing_in  # noqa: F401 - listens to Django's signal

        runs.register(CeleryEngine())
        if apps.is_installed("huey.contrib.djhuey"):
            import_module("tasks.huey.engine").register()
        if any(path.startswith(f"{self.name}.django_tasks.") for path in defaults.backends()):
            import_module("tasks.django_tasks.carrier")
        entry.register(CelerySource())
        if apps.is_installed("django_celery_beat"):
            entry.register(BeatTables(import_module("django_celery_beat.models")))
        also_sweep(firing.Firing().look)
        also_prune(firing.forget)
        # Web processes, too, must know every app's tasks: to offer those that are startable, and to send them.
        autodiscover_modules("tasks")
