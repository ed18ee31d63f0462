"""The project itself as a Django application, for its checks and commands."""

from django.apps import AppConfig


class DjangoStarterConfig(AppConfig):
    name = "django_starter"
    verbose_name = "Project"

    def ready(self) -> None:
        from . import checks  # noqa: F401 - registers them
        from .prepare import prepare

        prepare()
