"""Tasks of Django's own framework, as a project writes them."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import progress
from tasks.django_tasks import api

task: Any = import_module(api.PACKAGE).task


@task
def add(a: Any, b: Any = 1) -> Any:
    return a + b


@task
def fail() -> None:
    raise ValueError("no luck")


@task
def give_an_object() -> object:
    return object()


@task(takes_context=True)
def tell(context: Any, word: str) -> list[Any]:
    result = context.task_result
    progress.set(2, total=4)
    return [word, context.attempt, result.id, str(result.status), len(result.worker_ids)]


@task
async def wait(a: int) -> int:
    progress.set(a)
    return a


@task
def cancel_itself() -> None:
    current = progress.current()
    assert current is not None
    current.cancel()
    progress.set(1)
