"""The Django application."""

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "django_starter.accounts"
    verbose_name = "Accounts"
    default_auto_field = "django.db.models.BigAutoField"
