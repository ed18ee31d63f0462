"""Why a task waits, and its place in the queue: what is due counts, by priority; who is missing is named."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from tasks.celery import brokers
from tasks.models import State, TaskRun
from tasks.runs import beats, waiting

pytestmark = pytest.mark.django_db

QUEUE = "celery"


def make(**values):
    now = timezone.now()
    row = {"name": "tests.waits", "queue": QUEUE, "accepted_at": now, "sent_at": now, **values}
    return TaskRun.objects.create(**row)


def worker(*queues, silent_for=0.1):
    return beats.Worker("w1:1:abc", "w1", list(queues), concurrency=2, silent_for=silent_for)


@pytest.fixture
def look(monkeypatch):
    """`look(reachable, *workers, broker=True)`: what is seen of workers and broker."""

    def see(reachable, *workers, broker=True):
        monkeypatch.setattr(waiting, "pulse", lambda: waiting.Pulse(reachable, list(workers), 0.0, broker))

    see(True, worker(QUEUE))
    return see


@pytest.fixture(autouse=True)
def broker_is_asked(monkeypatch):
    monkeypatch.setattr(waiting, "broker_rests", lambda _: False)


def why(run):
    return waiting.explain([run])[run.pk]


# --- places -----------------------------------------------------------------------------------------------------------


def test_what_is_scheduled_for_tomorrow_has_no_place_before_anybody(look):
    tomorrow = timezone.now() + timedelta(days=1)
    for _ in range(56):
        make(eta=tomorrow, sent_at=None)
    assert why(make())["position"] == 1


@pytest.mark.parametrize(
    "ahead",
    [
        {"state": State.RETRY, "attempt": 1, "next_retry_at": timezone.now() + timedelta(hours=1)},
        {"held": True, "after": "another"},
        {"state": State.STARTED},
        {"queue": "other"},
    ],
    ids=["waits between attempts", "waits for another run", "runs", "waits for another queue"],
)
def test_what_is_not_due_here_does_not_count(ahead, look):
    make(**ahead)
    assert why(make())["position"] == 1


@pytest.mark.parametrize(
    "ahead",
    [
        {},
        {"eta": timezone.now() - timedelta(minutes=1)},
        {"state": State.RETRY, "attempt": 1, "next_retry_at": timezone.now() - timedelta(seconds=5)},
    ],
    ids=["waits", "its time has come", "its next attempt is due"],
)
def test_what_is_due_counts(ahead, look):
    make(**ahead)
    assert why(make())["position"] == 2


def test_places_go_by_priority_then_by_age(look, settings):
    assert settings.BROKER.queue_type == "classic"  # Redis: a list for 0 to 2, one for 3 to 5, for 6 to 8, for 9
    assert places([9, 0, 6, 0, None, 2, 7, 3]) == [8, 1, 6, 2, 3, 4, 7, 5]


def test_places_in_a_quorum_queue(look, settings):
    """RabbitMQ: above 4 goes first, the rest by age."""
    settings.BROKER = brokers.broker_at("amqp://one", "")
    assert places([0, 5, None, 9, 4]) == [3, 1, 4, 2, 5]


def places(priorities):
    """The place of each of these, which were accepted in this order."""
    now = timezone.now()
    runs = [make(priority=one, accepted_at=now + timedelta(seconds=at)) for at, one in enumerate(priorities)]
    return [why(run)["position"] for run in runs]


def test_beyond_what_is_counted_it_says_so(look, monkeypatch):
    monkeypatch.setattr(waiting, "COUNTED", 3)
    for _ in range(3):
        make()
    found = why(make())
    assert found["position"] is None
    assert "More than 3" in found["hint"]


# --- reasons ----------------------------------------------------------------------------------------------------------


def test_after_an_outage_without_a_worker_the_worker_is_what_is_missing(look, monkeypatch):
    """Started while the broker was away, which is over; this process still rests from asking it, nobody has sent it."""
    look(True)
    monkeypatch.setattr(waiting, "broker_rests", lambda _: True)
    found = why(make(sent_at=None, accepted_at=timezone.now() - timedelta(minutes=5)))
    assert found["reason"] == "no_worker"
    assert "celery -A django_starter worker" in found["hint"]


def test_with_a_worker_an_unsent_one_waits_for_the_broker_only_while_that_refuses(look, monkeypatch):
    run = make(sent_at=None, accepted_at=timezone.now() - timedelta(minutes=5))
    monkeypatch.setattr(waiting, "broker_rests", lambda _: True)
    assert why(run)["reason"] == "broker_down"
    monkeypatch.setattr(waiting, "broker_rests", lambda _: False)
    assert why(run)["reason"] == "queued"


def test_a_broker_that_is_away_is_named_before_the_workers(look):
    look(True, broker=False)
    assert why(make())["reason"] == "broker_down"


@pytest.mark.parametrize("workers", [(), ("other",)], ids=["nobody", "none for this queue"])
def test_no_worker_for_this_queue(workers, look):
    look(True, *(worker(queue) for queue in workers))
    found = why(make(queue="letters"))
    assert found["reason"] == "no_worker"
    assert found["hint"].endswith("worker -l info -Q letters")


def test_a_worker_that_fell_silent_serves_nobody(look):
    look(True, worker(QUEUE, silent_for=beats.SILENT_AFTER + 0.1))
    assert why(make())["reason"] == "no_worker"


def test_of_a_redis_that_is_away_with_a_broker_that_is_not_nothing_is_said_of_workers(look):
    look(False, broker=True)
    found = why(make())
    assert found["reason"] == "queued"
    assert "cannot be seen" in found["hint"]
