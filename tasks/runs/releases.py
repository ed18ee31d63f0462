"""Which release runs, and since when: each worker says it once, at its first look."""

from __future__ import annotations

import threading

from django.conf import settings
from django.utils import timezone

from tasks.models import Release

_lock = threading.Lock()
_said: set[str] = set()


def say() -> None:
    """That workers of this release run, from now on where the newest was another one: also one that comes back."""
    name = str(settings.TASKS_RELEASE)
    with _lock:
        if not name or name in _said:
            return
        newest = current()
        if newest is None or newest.name != name:
            Release.objects.update_or_create(name=name, defaults={"since": timezone.now()})
        _said.add(name)


def current() -> Release | None:
    """The release that came last; None where none has a name."""
    return Release.objects.order_by("-since").first()
