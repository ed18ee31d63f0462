"""A `logging.Handler` that shows a task's own log lines to those who watch it."""

from __future__ import annotations

import logging

from .active import current

#: Loggers of the machinery: what they say while a task runs is not the task's.
MACHINERY = ("celery", "kombu", "redis", "progress", "channels", "asyncio", "django.db", "amqp")


class ProgressHandler(logging.Handler):
    """Put into LOGGING: `{"class": "progress.logs.ProgressHandler", "level": "INFO"}`. Silent outside a task."""

    def emit(self, record: logging.LogRecord) -> None:
        reporter = current()
        if reporter is None or record.name.split(".", 1)[0] in MACHINERY or record.name.startswith("django.db"):
            return
        try:
            text = record.getMessage()
            if record.exc_info and record.exc_info[1] is not None:
                text += f" ({type(record.exc_info[1]).__name__}: {record.exc_info[1]})"
        except Exception:
            self.handleError(record)
            return
        reporter.write_line(text, _level(record.levelno))


def _level(number: int) -> str:
    if number >= logging.ERROR:
        return "error"
    if number >= logging.WARNING:
        return "warning"
    return "info" if number >= logging.INFO else "debug"
