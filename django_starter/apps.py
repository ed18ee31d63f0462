from django.apps import AppConfig


class DjangoStarterConfig(AppConfig):
    name = "django_starter"
    verbose_name = "Project"
