"""A worker within the test's process: what goes out is worked on as Celery's pools of threads do it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from celery import current_app
from celery.app.trace import build_tracer

from tasks.models import TaskRun

#: More executions than any test has: what goes on without end fails it.
MOST = 300


class Here:
    """`messages`: what was sent and nobody has worked on yet. `begun`: the ids of those that were, in their order."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, Any]] = []
        self.begun: list[str] = []

    def send(self, producer: Any, name: str, message: Any, **options: Any) -> None:
        """In the place of `app.amqp.send_task_message`."""
        self.messages.append((name, message))

    def work(self) -> None:
        """One message after the other, until none is left."""
        while self.messages:
            assert len(self.begun) < MOST, f"it goes on without end: {self.begun[-5:]}"
            name, message = self.messages.pop(0)
            args, kwargs, embed = message.body
            request = {**message.headers, **embed, "hostname": "here", "is_eager": False}
            request["delivery_info"] = {"routing_key": current_app.conf.task_default_queue}
            self.begun.append(request["id"])
            trace: Any = build_tracer(name, current_app.tasks[name], app=current_app)
            trace(request["id"], args, kwargs, request)

    def run(self, task_id: str) -> TaskRun:
        return TaskRun.objects.get(pk=task_id)


@pytest.fixture
def here(monkeypatch, transactional_db) -> Iterator[Here]:
    found = Here()
    monkeypatch.setattr(current_app.amqp, "send_task_message", found.send)
    monkeypatch.setattr("tasks.runs.sending._rests_until", {})
    yield found
