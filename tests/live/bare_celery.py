"""A Celery app with nothing of ours: what is asked of it is asked of ours too."""

from __future__ import annotations

import os

from celery import Celery

app = Celery(
    "bare", broker=os.environ["BARE_URL"], backend=os.environ["BARE_URL"], include=["tests.live.testjobs.asked"]
)
app.conf.update(task_track_started=True, result_extended=True, worker_hijack_root_logger=False, task_acks_late=True)
app.set_default()
