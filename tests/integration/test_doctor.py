"""What the doctor's guest leaves behind, and how busy workers are told from sick ones."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.conf import settings as django_settings
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.utils import timezone

from django_starter.doctor import work
from django_starter.doctor.finding import skipped
from django_starter.doctor.patient import Patient
from django_starter.doctor.site import Site
from progress.redis import make_client
from tasks import beats, queue_status
from tasks.access import Viewer, _viewers
from tasks.models import State, TaskRun

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def patient(monkeypatch, valkey) -> Patient:
    """A system whose broker takes messages, and where nobody works but in name."""
    monkeypatch.setattr(queue_status, "_last", queue_status.Pulse(reachable=True))
    monkeypatch.setattr(queue_status, "_client", None)
    monkeypatch.setattr(queue_status, "FRESH", 0.0)
    monkeypatch.setattr(work, "CANARY", 0.3)
    return Patient(Site("http", "127.0.0.1", 1, "localhost"))


def beat(*active: str, queue: str = "celery") -> None:
    with make_client(django_settings.REDIS_URL) as client:
        beats.beat(client, beats.Worker("w1", "w1@test", [queue], 1, list(active)))


def test_a_canary_that_waits_for_busy_workers_is_a_warning(patient):
    beat("another task")
    found = work.canary(patient)
    assert found.status == "warning"
    assert "All workers are busy" in found.detail
    assert found.hint.startswith("celery -A django_starter worker")


def test_a_canary_that_nobody_takes_is_a_fault_and_stays_cancelled_where_its_message_may_come_yet(patient):
    beat()
    found = work.canary(patient)
    assert found.status == "failed"
    assert "it is PENDING" in found.detail
    patient.guest.leave()
    run = TaskRun.objects.get()
    assert (run.state, run.owner, run.name) == (State.REVOKED, None, "tasks.tasks.canary")
    assert not User.objects.exists()
    assert not Session.objects.exists()


def test_no_canary_is_sent_where_nobody_serves_its_queue(patient):
    beat(queue="other")
    assert work.canary(patient) == skipped("no worker serves the queue celery")
    assert not TaskRun.objects.exists()


def test_a_run_to_look_at_is_never_sent_and_leaves_nothing(patient):
    pk = patient.guest.a_run()
    run = TaskRun.objects.get(pk=pk)
    assert (run.state, run.sent_at) == (State.PENDING, None)
    key = patient.guest.cookie.removeprefix("sessionid=")
    assert _viewers([key]) == [Viewer(run.owner_id, "", False)]  # signed in, and no more than that
    assert not User.objects.get().has_usable_password()
    patient.guest.leave()
    assert (User.objects.count(), Session.objects.count(), TaskRun.objects.count()) == (0, 0, 0)


def test_a_guest_whose_doctor_was_killed_is_removed_by_the_next(patient):
    left = User.objects.create_user(f"doctor-canary-{'0' * 16}")
    User.objects.filter(pk=left.pk).update(date_joined=timezone.now() - timedelta(hours=1))
    person = User.objects.create_user("doctor-canary-jim")
    User.objects.filter(pk=person.pk).update(date_joined=timezone.now() - timedelta(hours=1))
    patient.guest.a_run()
    patient.guest.leave()
    assert list(User.objects.all()) == [person]
