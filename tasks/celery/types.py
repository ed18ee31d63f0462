"""What Celery's objects are called here where its types know less of them than we ask."""

from __future__ import annotations

from typing import Any, TypeAlias

from celery.result import AsyncResult

#: A registered task: ours, one of Celery's own class, or what a message says of an unknown one.
CeleryTask: TypeAlias = Any
#: `self.request` of a task, and what we note on it: `attempt`, `claimed`, `next_attempt`, `replacement`, `raised`.
TaskRequest: TypeAlias = Any
#: One of Celery's schedules, whose types do not know what a crontab expands to.
CelerySchedule: TypeAlias = Any
#: A signature (of a task, group, chain or chord), the dict that it is in a message, or a list of them.
Signature: TypeAlias = Any
#: Celery's WorkController, with its hostname and its pool.
Worker: TypeAlias = Any

#: The arguments of a start, as Celery takes them.
Args: TypeAlias = tuple[object, ...]
Kwargs: TypeAlias = dict[str, object]
#: The options of a start, by name, and one of them.
Option: TypeAlias = Any
Options: TypeAlias = dict[str, Option]
#: What a start gives back.
Result: TypeAlias = AsyncResult[Any]
#: What a backend says of a task: `{"status", "result", …}`.
Meta: TypeAlias = dict[str, object]
