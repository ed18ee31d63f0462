"""The suite's worker on Celery alone, as a process of its own: `suite_app.py` of a run with STOCK=1."""

from __future__ import annotations

import os
from typing import Any

from celery import Celery

url = os.environ["TEST_BROKER"]
app = Celery("celery.tests", broker=url, backend=url, set_as_current=False)
app.conf.update(result_extended=True, task_create_missing_queues=False, include=["t.integration.tasks"])


@app.on_after_finalize.connect
def _add_class_tasks(sender: Any, **_: Any) -> None:
    from t.integration.tasks import ClassBasedAutoRetryTask  # type: ignore[import-not-found]  # Celery's own

    sender.register_task(ClassBasedAutoRetryTask)
