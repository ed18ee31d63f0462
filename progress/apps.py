"""The Django application."""

from importlib.util import find_spec

from django.apps import AppConfig
from django.conf import settings


class ProgressConfig(AppConfig):
    name = "progress"
    verbose_name = "Live progress"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from . import checks, defaults  # noqa: F401 - importing the checks registers them

        defaults.fill()
        if settings.PROGRESS_SOURCE == defaults.SOURCE and find_spec("celery"):
            from .live import signals

            signals.connect()
