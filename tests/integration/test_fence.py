"""What a task writes itself is written by the attempt that holds the run, or not at all."""

from __future__ import annotations

import pytest
from django.contrib.auth import get_user_model

from progress import Cancelled
from progress.active import activate, deactivate
from progress.flusher import Flusher
from progress.reporter import Reporter
from tasks import runs
from tasks.models import TaskRun
from tasks.runs.fence import fenced
from tasks.tasks import demo_task

pytestmark = pytest.mark.django_db


class Silence:
    """A sink that takes everything and keeps nothing."""

    def publish(self, *_, **__):
        raise ConnectionError

    def poll(self, *_):
        raise ConnectionError


@pytest.fixture
def attempts():
    """Attempts 1 and 2 of one run; the second holds it."""
    run = TaskRun.objects.get(pk=demo_task.delay().id)
    runs.claim(run.pk, "w1")
    runs.lost(run.pk, "w1", send_again=False)
    runs.claim(run.pk, "w2")
    return [Reporter(run.pk, number, Silence(), Flusher()) for number in (1, 2)]


def write(reporter: Reporter | None) -> int:
    """Make a user within the fence; how many there are now."""
    token = activate(reporter)
    try:
        with fenced():
            get_user_model().objects.create_user(f"user-{get_user_model().objects.count()}")
    finally:
        deactivate(token)
    return int(get_user_model().objects.count())


def test_the_attempt_that_holds_the_run_writes(attempts):
    assert write(attempts[1]) == 1


def test_a_stale_attempt_writes_nothing(attempts):
    with pytest.raises(Cancelled):
        write(attempts[0])
    assert get_user_model().objects.count() == 0


def test_an_ended_run_is_written_no_more(attempts):
    runs.end(attempts[1].task_id, "SUCCESS", attempt=2)
    with pytest.raises(Cancelled):
        write(attempts[1])


def test_outside_a_task_it_is_a_transaction():
    assert write(None) == 1
