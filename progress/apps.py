"""The Django application."""

from django.apps import AppConfig


class ProgressConfig(AppConfig):
    name = "progress"
    verbose_name = "Live progress"

    def ready(self) -> None:
        from . import checks, defaults  # noqa: F401 - importing the checks registers them

        defaults.fill()
