"""Logs of one JSON object a line, with what leads from a click to its result: request id, task id, attempt."""

from __future__ import annotations

import json
import logging
import secrets
from collections.abc import Callable
from datetime import UTC, datetime

from django.http import HttpRequest, HttpResponse

from progress.active import current
from tasks.runs import trace


class JsonFormatter(logging.Formatter):
    """LOG_FORMAT=json."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, whatever the message contains."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "process": record.process,
        }
        line.update(context_of(record))
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


def context_of(record: logging.LogRecord) -> dict[str, object]:
    """`request_id`, `task_id` and `attempt` of a line, as far as they are known."""
    known: dict[str, object] = {"request_id": getattr(record, "request_id", None) or trace.request_id()}
    reporter = current()
    if reporter is not None:
        known |= {"task_id": reporter.task_id, "attempt": reporter.attempt}
    # Celery says "received" and "succeeded" in places where no task runs, but names it in the record.
    data = getattr(record, "data", None)
    if isinstance(data, dict) and data.get("id"):
        known["task_id"] = data["id"]
    for name in ("task_id", "attempt"):
        if getattr(record, name, None) is not None:
            known[name] = getattr(record, name)
    return {name: value for name, value in known.items() if value}


class RequestId:
    """Middleware: each request has an id, a proxy's X-Request-ID or a new one. It is logged, and answered with."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        given = request.headers.get("X-Request-ID", "")
        request_id = given if trace.PATTERN.fullmatch(given) else secrets.token_hex(8)
        token = trace.follow(request_id)
        try:
            response = self.get_response(request)
        finally:
            trace.unfollow(token)
        response["X-Request-ID"] = request_id
        return response
