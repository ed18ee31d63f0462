"""The parts of a group, and of a chord's header, are accepted together: `runs.at_once`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from celery import current_app
from celery.canvas import group
from celery.utils.functional import regen

from tasks import runs

from .types import Result

Group: Any = group  # what follows is private to Celery, and in no type
_apply_tasks = Group._apply_tasks
_lazy = type(regen(iter(())))


def _apply_at_once(self: group, tasks: object, *args: object, **options: object) -> Iterator[Result]:
    """Celery's, which sends one after the other. Not for parts that a generator makes while the first of them run."""
    if current_app.conf.task_always_eager or isinstance(self.tasks, _lazy):
        yield from _apply_tasks(self, tasks, *args, **options)
        return
    with runs.at_once():
        results = list(_apply_tasks(self, tasks, *args, **options))
    yield from results


Group._apply_tasks = _apply_at_once
