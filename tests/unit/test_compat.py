"""Code written for Celery alone, or for celery-progress, moves the bar too."""

from __future__ import annotations

import inspect

import pytest

from progress import Cancelled, current
from progress.active import activate, deactivate
from progress.celery import show_meta
from progress.compat import ProgressRecorder, WebSocketProgressRecorder
from progress.flusher import Flusher
from progress.reporter import Reporter

from .fakes import FakeSink


@pytest.fixture
def reporter():
    reporter = Reporter("t", 1, FakeSink(), Flusher())
    token = activate(reporter)
    yield reporter
    deactivate(token)


def test_set_progress_moves_the_bar_and_answers_as_celery_progress_does(reporter):
    answer = ProgressRecorder(object()).set_progress(3, 12, "third row")
    assert (reporter.current, reporter.total, reporter.message) == (3, 12, "third row")
    assert answer == (
        "PROGRESS",
        {"pending": False, "current": 3, "total": 12, "percent": 25.0, "description": "third row"},
    )


def test_an_empty_description_keeps_the_last_one(reporter):
    recorder = ProgressRecorder(object())
    recorder.set_progress(1, 2, "first")
    recorder.set_progress(2, 2)
    assert reporter.message == "first"


def test_increment_progress_adds(reporter):
    recorder = WebSocketProgressRecorder(object())
    recorder.set_progress(1, 10)
    recorder.increment_progress()
    recorder.increment_progress(by=3, description="faster")
    assert (reporter.current, reporter.message) == (5, "faster")


def test_a_total_of_zero_divides_nothing(reporter):
    assert ProgressRecorder(object()).set_progress(0, 0)[1]["percent"] == 0


def test_the_recorder_takes_what_celery_progress_takes():
    peer = pytest.importorskip("celery_progress.backend").ProgressRecorder
    theirs = inspect.signature(peer.set_progress).parameters
    ours = inspect.signature(ProgressRecorder.set_progress).parameters
    assert list(theirs) == list(ours)
    assert theirs["description"].default == ours["description"].default


def test_a_cancel_reaches_a_task_that_uses_the_recorder(reporter):
    reporter.cancel()
    with pytest.raises(Cancelled):
        ProgressRecorder(object()).set_progress(1, 2)


def test_outside_a_task_the_recorder_only_answers():
    assert ProgressRecorder(None).set_progress(1, 4)[1]["percent"] == 25.0
    ProgressRecorder(None).increment_progress()


@pytest.mark.parametrize(
    "meta",
    [
        {"current": 3, "total": 4, "message": "hello", "unit": "row"},
        {"done": 3, "total": 4, "description": "hello", "unit": "row"},
        {"current": 3, "total": 4, "status": "hello", "unit": "row", "whatever": object()},
    ],
)
def test_the_meta_of_update_state_moves_the_bar(reporter, meta):
    show_meta(meta)
    assert (reporter.current, reporter.total, reporter.message, reporter.unit) == (3, 4, "hello", "row")


@pytest.mark.parametrize("meta", [None, "text", 5, [], {}, {"exc_type": "ValueError"}])
def test_a_meta_of_any_other_shape_changes_nothing(reporter, meta):
    show_meta(meta)
    assert (reporter.current, reporter.total, reporter.message) == (None, None, "")


def test_a_meta_outside_a_task_is_nothing():
    assert current() is None
    show_meta({"current": 1, "total": 2})  # and nothing is raised
