"""The Celery app: `celery -A django_starter worker`."""

import os

from celery import Celery, signals

from .environment import PROJECT

os.environ.setdefault("DJANGO_SETTINGS_MODULE", f"{PROJECT}.settings")

app = Celery(PROJECT, task_cls="tasks.celery.task:TrackedTask")
# Every setting of Celery is in settings.py with the prefix CELERY_.
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@app.on_after_configure.connect
def _clean_broker_url(**_: object) -> None:
    """The `celery` command puts BROKER_URL there as it is, with what kombu cannot read of it."""
    from django.conf import settings

    if os.environ.get("CELERY_BROKER_URL") == settings.BROKER_URL:
        os.environ["CELERY_BROKER_URL"] = settings.CELERY_BROKER_URL


@signals.import_modules.connect
def _add_heart(**_: object) -> None:
    # Only a worker imports it; by then Django is set up.
    from tasks.celery.heart import Heart

    app.steps["worker"].add(Heart)
