"""Runs: what is done in the background, stored before it is sent.

app = Celery("shop")
app.config_from_object("django.conf:settings", namespace="CELERY")
tasks.install(app)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from celery import Celery

__all__ = ["install"]


def install(app: Celery) -> None:
    """Give `app` the task class, the result backend, the worker's heart and all settings that the promises need.

    Call it once, before a task of `app` is used. Nothing of Django is read here. What the settings say themselves stays
    as it is; `manage.py check`, and a worker at its start, name what contradicts the promises.
    """
    from .celery import install as celery
    from .defaults import fill

    celery.install(app, fill)
