"""What `manage.py check` says of settings under which no run can be stored."""

from __future__ import annotations

from django.conf import settings
from django.core.checks import CheckMessage, Error, register

from .schedules.entry import entries


@register("tasks")
def check_settings(**_: object) -> list[CheckMessage]:
    """E001: times without a zone."""
    if settings.USE_TZ:
        return []
    return [
        Error(
            "USE_TZ is False: the times of runs have a time zone, or workers in two zones would not agree what is due.",
            hint="Write USE_TZ = True into the settings. TIME_ZONE may stay as it is.",
            id="tasks.E001",
        )
    ]


@register("tasks")
def check_schedules(**_: object) -> list[CheckMessage]:
    """E002: an entry that cannot be read. One whose task is unknown is said by its page: a worker may know it."""
    hint = "docs/SCHEDULES.md shows entries, and Celery's page on periodic tasks all of their fields."
    wrong = [entry for entry in entries(stored=False).values() if entry.when is None]
    return [Error(f"CELERY_BEAT_SCHEDULE[{one.name!r}]: {one.problem}", hint=hint, id="tasks.E002") for one in wrong]
