"""A task's own `logger.info` is shown to those who watch it; what the machinery says is not."""

from __future__ import annotations

import logging

import pytest

from progress.active import activate, deactivate
from progress.flusher import Flusher
from progress.logs import ProgressHandler
from progress.reporter import Reporter
from tests.waiting import wait_until

from .fakes import FakeSink


@pytest.fixture
def logger():
    logger = logging.getLogger("orders.importing")
    handler = ProgressHandler(level=logging.INFO)
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    logger.propagate = False  # the settings give the root logger such a handler too
    yield logger
    logger.propagate = True
    logger.removeHandler(handler)


@pytest.fixture
def sink():
    sink = FakeSink()
    flusher = Flusher(interval=0.01)
    reporter = Reporter("t", 1, sink, flusher).open()
    token = activate(reporter)
    yield sink
    deactivate(token)
    flusher.remove(reporter)


def told(sink, count):
    wait_until(lambda: len(sink.lines) >= count, 5, every=0.005)
    return [(line["level"], line["text"]) for line in sink.lines]


def test_a_tasks_own_lines_are_shown_with_their_levels(logger, sink):
    logger.debug("too small")
    logger.info("%s of %s", 1, 2)
    logger.warning("hm")
    logger.error("oh")
    logger.critical("no")
    assert told(sink, 4) == [("info", "1 of 2"), ("warning", "hm"), ("error", "oh"), ("error", "no")]


def test_an_exception_is_shown_by_its_name_and_text_never_with_a_traceback(logger, sink):
    try:
        raise ValueError("secret place: line 7")
    except ValueError:
        logger.exception("Row 3 is bad.")
    (line,) = told(sink, 1)
    assert line == ("error", "Row 3 is bad. (ValueError: secret place: line 7)")


@pytest.mark.parametrize("name", ["celery.worker", "kombu", "redis.connection", "progress.hub", "django.db.backends"])
def test_what_the_machinery_says_is_not_the_tasks(logger, sink, name):
    handler = logger.handlers[0]
    handler.emit(logging.LogRecord(name, logging.ERROR, __file__, 1, "machinery", (), None))
    logger.info("mine")
    assert told(sink, 1) == [("info", "mine")]


def test_a_line_that_cannot_be_formatted_hurts_nobody(logger, sink, monkeypatch):
    monkeypatch.setattr(logging, "raiseExceptions", False)
    logger.info("%d rows", "many")
    logger.info("next")
    assert told(sink, 1) == [("info", "next")]


def test_outside_a_task_nothing_is_shown(logger):
    from progress import current

    assert current() is None
    logger.info("nobody watches")  # and nothing is raised


def test_a_cancelled_task_may_still_log(logger, sink):
    from progress import current

    reporter = current()
    assert reporter is not None
    reporter.cancel()
    logger.info("tidying up")
    assert told(sink, 1) == [("info", "tidying up")]
