"""A run's message as Celery's own types."""

from __future__ import annotations

import json
from typing import TypedDict, cast

from kombu.utils.json import loads as kombu_loads

from tasks.models import TaskRun

from .types import Options


class Decoded(TypedDict):
    """A message with dates, decimals and ids as they were given."""

    args: list[object]
    kwargs: dict[str, object]
    options: Options


def decoded(run: TaskRun) -> Decoded:
    """The run's message with dates, decimals and ids as they were given. Raises TypeError for one of wrong types."""
    message = kombu_loads(json.dumps(run.message))
    parts: dict[str, type] = {"args": list, "kwargs": dict, "options": dict}
    if not isinstance(message, dict):
        raise TypeError(f"A message is an object, but {run.pk} has a {type(message).__name__}.")
    found = {name: message.get(name) or kind() for name, kind in parts.items()}
    for name, kind in parts.items():
        if not isinstance(found[name], kind):
            raise TypeError(f"The {name} of {run.pk} are a {type(found[name]).__name__}.")
    return cast(Decoded, found)
