"""`AsyncResult.children`: what a task has started, and what was started because it has ended."""

from __future__ import annotations

import json
from collections.abc import Iterable

from celery.result import GroupResult
from kombu.utils.json import dumps as kombu_dumps

from progress.types import JSON
from tasks.models import TaskRun

from .types import Result

#: At most this many are noted with the run that started them.
MAX_CHILDREN = 1_000


def as_tuples(results: Iterable[Result | GroupResult | None]) -> list[JSON]:
    """Celery's form of results, as JSON."""
    found = [one for one in results if one is not None][:MAX_CHILDREN]
    return [json.loads(kombu_dumps(one.as_tuple())) for one in found]


def add(run: TaskRun, results: Iterable[Result | GroupResult | None]) -> None:
    """Note further children of an ended run."""
    if more := as_tuples(results):
        known = run.progress.get("children") or []
        run.progress = {**run.progress, "children": [*known, *more][:MAX_CHILDREN]}
        TaskRun.objects.filter(pk=run.pk).update(progress=run.progress)
