"""Who may begin, whatever happened to the answer, to a clock, or to both."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from tasks import runs
from tasks.models import State, TaskRun
from tasks.runs import beats, moves, sweep

pytestmark = pytest.mark.django_db

WORKER = "w1:1:abc"


def attempt_of(run: TaskRun | None) -> int:
    assert run is not None
    return run.attempt


def make(**values):
    now = timezone.now()
    return TaskRun.objects.create(**{"name": "tests.waits", "queue": "celery", "accepted_at": now, **values})


# --- a claim ----------------------------------------------------------------------------------------------------------


def test_a_claim_whose_answer_was_lost_is_asked_again_and_counts_once():
    now = timezone.now()
    run = make()
    assert attempt_of(runs.claim(run.pk, WORKER, now)) == 1
    assert attempt_of(runs.claim(run.pk, WORKER, now)) == 1


def test_another_message_of_the_same_worker_is_a_copy():
    run = make()
    assert runs.claim(run.pk, WORKER, timezone.now())
    assert runs.claim(run.pk, WORKER, timezone.now()) is None
    assert runs.claim(run.pk, WORKER) is None


def test_a_message_before_its_time_is_a_copy():
    assert runs.claim(make(eta=timezone.now() + timedelta(minutes=1)).pk, WORKER) is None


@pytest.mark.parametrize("attempt", [0, 1], ids=["countdown", "retry"])
def test_a_clock_that_was_set_back_does_not_make_late_who_has_waited(attempt):
    """The worker has waited by its own clock; the machine's says that there is an hour to go."""
    then = timezone.now() + timedelta(hours=1)
    row = {"eta": then} if not attempt else {"state": State.RETRY, "attempt": 1, "next_retry_at": then}
    run = make(**row)
    assert runs.claim(run.pk, WORKER, timezone.now(), then - timedelta(minutes=5)) is None, "an older message"
    assert attempt_of(runs.claim(run.pk, WORKER, timezone.now(), then)) == attempt + 1


def test_the_first_message_does_not_begin_a_second_attempt_before_its_time():
    eta = timezone.now() - timedelta(minutes=1)
    later = timezone.now() + timedelta(hours=1)
    run = make(eta=eta, state=State.RETRY, attempt=1, next_retry_at=later)
    assert runs.claim(run.pk, WORKER, timezone.now(), eta) is None


# --- a silent worker --------------------------------------------------------------------------------------------------


class Clock:
    def __init__(self):
        self.now = 1_000.0

    def monotonic(self):
        return self.now


@pytest.fixture
def look(monkeypatch):
    """`look(seconds, silent_for)`: a sweep looks so much later, and Redis calls the worker silent for so long."""
    clock = Clock()
    monkeypatch.setattr(sweep, "time", clock)
    lost = []
    monkeypatch.setattr(moves, "lost", lambda pk, worker, send_again: lost.append(pk))
    nobody: Any = None
    one = sweep.Sweep(nobody, nobody)

    def see(seconds, silent_for):
        clock.now += seconds
        workers = [] if silent_for is None else [beats.Worker(WORKER, "w1", ["celery"], silent_for=silent_for)]
        one._lost_workers(workers)
        return list(lost)

    make(state=State.STARTED, attempt=1, worker=WORKER)
    return see


def test_a_clock_that_jumps_ahead_makes_nobody_dead(look):
    for _ in range(5):
        assert look(1, silent_for=0.3) == []
        assert look(1, silent_for=3_600) == [], "until its next beat everybody seems to have been silent for an hour"


@pytest.mark.parametrize("gone", [3_600, None], ids=["silent", "unknown"])
def test_who_stays_silent_is_dead(gone, look):
    assert look(0, silent_for=gone) == []
    assert len(look(sweep.SURELY_SILENT_AFTER + 0.1, silent_for=gone)) == 1


def test_a_death_is_noticed_no_later_than_by_the_clock_alone(look):
    for silent_for in (0.5, 1.5, 2.5, 3.5, 4.5):
        assert look(1, silent_for=silent_for) == []
    assert len(look(1, silent_for=beats.DEAD_AFTER + 0.5)) == 1
