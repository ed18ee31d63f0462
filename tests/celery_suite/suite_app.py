"""A Celery app of the suite with our task class, our result backend, our settings and our heart.

`celery -A suite_app worker` is the suite's worker as a process of its own.
"""

from __future__ import annotations

import copy
import os
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "django_starter.settings")

import django

django.setup()

from celery import Celery  # noqa: E402
from django.conf import settings  # noqa: E402

import tasks  # noqa: E402
from tasks.celery.install import DEFAULTS  # noqa: E402


def our_settings() -> dict[str, Any]:
    """Every CELERY_ setting and what the promises need, under Celery's own name."""
    prefix = "CELERY_"
    found = {
        name.removeprefix(prefix).lower(): copy.deepcopy(getattr(settings, name))
        for name in dir(settings)
        if name.startswith(prefix)
    }
    return {**DEFAULTS, **found, "result_backend": os.environ["TEST_BACKEND"]}


def make_ours(app: Celery) -> Celery:
    """As a project does it."""
    tasks.install(app)
    return app


app = make_ours(Celery("celery.tests", set_as_current=False))
app.conf.update(our_settings(), result_extended=True, task_create_missing_queues=False, include=["t.integration.tasks"])


@app.on_after_finalize.connect
def _add_class_tasks(sender: Any, **_: Any) -> None:
    from t.integration.tasks import ClassBasedAutoRetryTask  # type: ignore[import-not-found]  # Celery's own

    sender.register_task(ClassBasedAutoRetryTask)
