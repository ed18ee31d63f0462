"""Writes down which of Celery's signals a worker sends, into the file that the environment names in HEARD."""

from __future__ import annotations

import json
import os
from typing import Any

from celery import signals

NAMES = (
    *("task_received", "task_prerun", "task_postrun", "task_success", "task_failure", "task_retry", "task_revoked"),
    *("task_unknown", "task_rejected", "task_internal_error", "before_task_publish", "after_task_publish"),
)
_handlers: list[Any] = []


def write(name: str, task_id: str, *said: object) -> None:
    """One line, whole."""
    descriptor = os.open(os.environ["HEARD"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.write(descriptor, (json.dumps([name, task_id, *map(str, said)]) + "\n").encode())
    os.close(descriptor)


def listen() -> None:
    """Hear every signal from now on."""
    for name in NAMES:

        def hear(sender: Any = None, _heard: str = name, **given: Any) -> None:
            request: Any = given.get("request") or getattr(sender, "request", None)
            headers = given.get("headers") or {}
            task_id = given.get("task_id") or headers.get("id") or given.get("id") or getattr(request, "id", None)
            said: list[Any] = [given.get("state") or ""]
            if _heard == "task_revoked":
                said = [given.get(key) for key in ("terminated", "expired")]
            if _heard in ("task_failure", "task_internal_error"):
                said = [type(given["exception"]).__name__]
            if _heard == "task_success":
                said = [given.get("result")]
            if _heard == "task_retry":
                said = [type(given.get("reason")).__name__]
            write(_heard, str(task_id), getattr(sender, "name", "") if not isinstance(sender, str) else sender, *said)

        _handlers.append(hear)  # a signal holds its receivers weakly
        getattr(signals, name).connect(hear)


if os.environ.get("HEARD"):
    listen()
