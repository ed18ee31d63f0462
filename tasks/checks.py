"""What `manage.py check` says of settings under which no run can be stored."""

from __future__ import annotations

from django.apps import apps
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
    """E002: an entry that cannot be read, or rules of none. One with an unknown task is not: a worker may know it."""
    hint = "docs/SCHEDULES.md shows entries, and Celery's page on periodic tasks all of their fields."
    found = entries(stored=False)
    wrong = [f"CELERY_BEAT_SCHEDULE[{one.name!r}]: {one.problem}" for one in found.values() if one.when is None]
    rules = getattr(settings, "TASKS_SCHEDULE_RULES", {})
    if isinstance(rules, dict) and not apps.is_installed("django_celery_beat"):  # its tables may have the entry
        wrong += [f"TASKS_SCHEDULE_RULES[{name!r}]: no entry has this name." for name in rules if name not in found]
    return [Error(text, hint=hint, id="tasks.E002") for text in wrong]
