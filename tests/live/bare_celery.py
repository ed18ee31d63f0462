"""A Celery app with nothing of ours: what is asked of it is asked of ours too."""

from __future__ import annotations

import os

from celery import Celery

from .special_queues import QUEUES

JOBS = ["tests.live.testjobs.asked", "tests.live.testjobs.odd", "tests.live.testjobs.heard"]

app = Celery("bare", broker=os.environ["BARE_URL"], backend=os.environ["BARE_URL"], include=JOBS)
app.conf.update(task_track_started=True, result_extended=True, worker_hijack_root_logger=False, task_acks_late=True)
app.conf.update(worker_direct=True, worker_prefetch_multiplier=1, task_queues=QUEUES, worker_send_task_events=True)
app.set_default()
