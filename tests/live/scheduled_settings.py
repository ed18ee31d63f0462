"""The settings of processes in which a task starts by itself each second."""

from tests.live.settings import *  # noqa: F403

CELERY_BEAT_SCHEDULE = {
    "each-second": {"task": "testjobs.echo", "schedule": 1.0, "args": ("tick",)},
    "paused": {"task": "testjobs.echo", "schedule": 1.0},
}
