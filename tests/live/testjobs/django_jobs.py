"""The jobs of `tasks.py` as tasks of Django's own framework: `start_job(name, options={"engine": "django"})`."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any

from tasks.django_tasks import api

from . import tasks

task: Any = import_module(api.PACKAGE).task


@task
def echo(value: Any = None) -> Any:
    return value


@task
def nap(seconds: float = 1.0) -> str:
    return str(tasks.nap.run(seconds))


@task
def fail(message: str) -> None:
    tasks.fail.run(message)


@task(takes_context=True)
def hold(context: Any, gate: str, trace: str) -> list[Any]:
    tasks.hold.run(gate, trace)
    return [context.attempt, context.task_result.id]


@task
def deaf(trace: str) -> None:
    tasks.deaf.run(90.0, trace)


@task
async def coroutine(value: int) -> int:
    return value


@dataclass(frozen=True)
class Adapter:
    """What `urls.start_job` calls."""

    task: Any

    def apply_async(self, args: tuple[Any, ...], kwargs: dict[str, Any], **using: Any) -> Any:
        return (self.task.using(**using) if using else self.task).enqueue(*args, **kwargs)


JOBS = {f"testjobs.{one.name}": Adapter(one) for one in (echo, nap, fail, hold, deaf, coroutine)}
