"""A thousand dropped sockets are one line with a count."""

from __future__ import annotations

import logging

import pytest

from django_starter.floods import Floods
from tests.waiting import wait_until


@pytest.fixture
def said(monkeypatch):
    """What the console shows, with a filter of a short window; the loggers are as they were afterwards."""
    lines: list[str] = []

    class Console(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    console = Console()
    console.addFilter(Floods(1))
    monkeypatch.setattr(logging.getLogger("uvicorn.error"), "filters", [])  # the site's own, with its long window
    monkeypatch.setattr(logging.getLogger("uvicorn"), "propagate", True)  # a server of another test ends it there
    logging.getLogger().addHandler(console)
    yield lines
    logging.getLogger().removeHandler(console)


@pytest.mark.parametrize("name", ["daphne.server", "uvicorn.error", "asyncio", "progress.outbox", "progress.socket"])
def test_the_first_is_said_at_once_and_then_their_number(said, name):
    logger = logging.getLogger(name)
    for number in range(1_000):
        logger.warning("Application %s took too long to shut down and was killed.", number)
    assert said == ["Application 0 took too long to shut down and was killed."]
    wait_until(lambda: len(said) == 2, 5)
    assert said[1] == "Application 999 took too long to shut down and was killed. (1,000 such lines within 1 s)"
    logger.warning("Application %s took too long to shut down and was killed.", 1_000)
    assert len(said) == 3


def test_what_a_task_or_a_page_says_is_never_counted(said):
    for name in ("celery.app.trace", "django.request", "tasks.runs.sweep", "root"):
        for number in range(20):
            logging.getLogger(name).error("Task %s raised unexpected: no luck", number)
    assert len(said) == 80


def test_two_places_are_two_lines(said):
    logger = logging.getLogger("daphne")
    for _ in range(10):
        logger.warning("one")
        logger.warning("two")
        logger.info("three")
    assert said[:2] == ["one", "two"]
    assert set(said) <= {"one", "two", "three"}
