"""The Celery app: `celery -A django_starter worker`."""

import os

from celery import Celery

import tasks

from .environment import PROJECT

os.environ.setdefault("DJANGO_SETTINGS_MODULE", f"{PROJECT}.settings")

app = Celery(PROJECT)
# Settings of Celery are in settings.py with the prefix CELERY_; what the promises need beside them, `install` sets.
app.config_from_object("django.conf:settings", namespace="CELERY")
tasks.install(app)
app.autodiscover_tasks()
