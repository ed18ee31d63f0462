"""`manage.py import_results`"""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

from django.apps import apps
from django.core.management.base import BaseCommand, CommandError

from tasks.runs.importing import BATCH, OldResult, import_results


class Command(BaseCommand):
    help = "Make ended runs of what django-celery-results has stored. It may be called again; its table stays as it is."

    def handle(self, *args: object, **options: object) -> None:
        if not apps.is_installed("django_celery_results"):
            raise CommandError("django_celery_results is not among the INSTALLED_APPS: there is nothing to import.")
        model = apps.get_app_config("django_celery_results").get_model("TaskResult")
        old = model._default_manager.order_by("pk").iterator(chunk_size=BATCH)
        self.stdout.write(f"Imported {import_results(cast(Iterable[OldResult], old)):,} results.")
