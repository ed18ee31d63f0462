"""The jobs of `tasks.py` as tasks of Django's own framework: `start_job(name, options={"engine": "django"})`."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any

from tasks.django_tasks import api

from . import tasks

task: Any = import_module(api.PACKAGE).task


@task
def echo(value: Any = None, trace: str = "") -> Any:
    return tasks.echo.run(value, trace)


@task
def nap(seconds: float = 1.0) -> str:
    return str(tasks.nap.run(seconds))


@task
def fail(message: str) -> None:
    tasks.fail.run(message)


@task
def hold(gate: str, trace: str) -> str:
    return str(tasks.hold.run(gate, trace))


@task(takes_context=True)
def who(context: Any) -> list[Any]:
    return [context.attempt, context.task_result.id]


@task
def deaf(seconds: float, trace: str) -> None:
    tasks.deaf.run(seconds, trace)


@task
def die(trace: str, times: int = 1) -> str:
    return str(tasks.die.run(trace, times))


@task
def goes_on(trace: str, gate: str) -> str:
    return str(tasks.goes_on.run(trace, gate))


@task
async def coroutine(value: int) -> int:
    return value


@dataclass(frozen=True)
class Adapter:
    """What `urls.start_job` calls."""

    task: Any

    def apply_async(self, args: tuple[Any, ...], kwargs: dict[str, Any], **using: Any) -> Any:
        return (self.task.using(**using) if using else self.task).enqueue(*args, **kwargs)


JOBS = {f"testjobs.{one.name}": Adapter(one) for one in (echo, nap, fail, hold, deaf, die, goes_on, who, coroutine)}
