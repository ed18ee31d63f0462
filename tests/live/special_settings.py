"""The settings of a project with queues and exchanges of its own, and a queue for each worker."""

from tests.live.settings import *  # noqa: F403

from .special_queues import QUEUES

CELERY_TASK_QUEUES = QUEUES
CELERY_WORKER_DIRECT = True
