"""What `manage.py check` says of settings under which no run can be stored."""

from __future__ import annotations

from django.conf import settings
from django.core.checks import CheckMessage, Error, register


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
