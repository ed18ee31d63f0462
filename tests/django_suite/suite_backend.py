"""The backend under the suite: what its tests ask of the immediate one is done at once here, by a Celery task."""

from __future__ import annotations

from typing import Any

from celery import current_app
from celery.app.trace import build_tracer

from tasks.django_tasks.backend import CeleryBackend


class Waiting(CeleryBackend):
    """In the place of `DummyBackend`: what is enqueued waits. `results`, in the order in which they were enqueued."""

    def __init__(self, alias: str, params: dict[str, Any]) -> None:
        super().__init__(alias, params)
        self.results: list[Any] = []

    def clear(self) -> None:
        self.results.clear()

    def enqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
        self._sent: list[tuple[str, Any]] = []
        vars(current_app.amqp)["send_task_message"] = self._send
        result = super().enqueue(task, args, kwargs)
        self.results.append(result)
        return result

    def _send(self, producer: Any, name: str, message: Any, **_: Any) -> None:
        self._sent.append((name, message))


class Done(Waiting):
    """In the place of `ImmediateBackend`."""

    def enqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
        result = super().enqueue(task, args, kwargs)
        while self._sent:
            name, message = self._sent.pop(0)
            given, named, embed = message.body
            request = {**message.headers, **embed, "hostname": "suite", "is_eager": False, "delivery_info": {}}
            tracer: Any = build_tracer(name, current_app.tasks[name], app=current_app)
            tracer(request["id"], given, named, request)
        result.refresh()
        return result
