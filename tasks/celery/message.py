"""A run's message as Celery's own types."""

from __future__ import annotations

import json
from typing import Any

from kombu.utils.json import loads as kombu_loads

from tasks.models import TaskRun


def decoded(run: TaskRun) -> dict[str, Any]:
    """The run's message with dates, decimals and ids as they were given."""
    message: dict[str, Any] = kombu_loads(json.dumps(run.message))
    if not isinstance(message, dict):
        raise TypeError(f"A message is an object, but {run.pk} has a {type(message).__name__}.")
    return {
        "args": message.get("args") or [],
        "kwargs": message.get("kwargs") or {},
        "options": message.get("options") or {},
    }
