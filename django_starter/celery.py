"""The Celery app: `celery -A django_starter worker`."""

import os

from celery import Celery, signals

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "django_starter.settings")

app = Celery("django_starter", task_cls="tasks.celery.task:TrackedTask")
# Every setting of Celery stands in settings.py with the prefix CELERY_.
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@signals.import_modules.connect
def _add_heart(**_: object) -> None:
    # Only a worker imports it; by then Django is set up.
    from tasks.celery.heart import Heart

    app.steps["worker"].add(Heart)
