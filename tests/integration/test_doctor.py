"""What the doctor's trial leaves behind, and how busy workers are told from sick ones."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.conf import settings as django_settings
from django.contrib.auth import get_user_model
from django.contrib.sessions.models import Session
from django.utils import timezone

from django_starter.doctor import work
from django_starter.doctor.context import Context
from django_starter.doctor.finding import skipped
from django_starter.doctor.site import Site
from progress.redis import make_client
from tasks.models import State, TaskRun
from tasks.runs import beats, waiting
from tasks.runs import engine as engines
from tasks.web.access import Viewer
from tasks.web.source import _viewers

pytestmark = pytest.mark.django_db(transaction=True)

User = get_user_model()


@pytest.fixture
def context(monkeypatch, valkey) -> Context:
    """A system whose broker takes messages, and where nobody works but in name."""
    monkeypatch.setattr(waiting, "_last", waiting.Pulse(reachable=True))
    monkeypatch.setattr(waiting, "_client", None)
    monkeypatch.setattr(waiting, "FRESH", 0.0)
    monkeypatch.setattr(work, "CANARY", 0.3)
    return Context(Site("http", "127.0.0.1", 1, "localhost"))


def beat(*active: str, queue: str = "celery") -> None:
    with make_client(django_settings.REDIS_URL) as client:
        beats.beat(client, beats.Worker("w1", "w1@test", [queue], 1, list(active)))


#: A run that waits, of that engine and queue: what its owner is told to start while only Celery's worker is there.
UNSERVED = {
    ("celery", "reports"): "celery -A django_starter worker -l info -Q reports",
    ("other", "celery"): "other worker celery",  # its queue may be called as one of Celery's
    ("gone", "celery"): "# The task engine 'gone' is not set up here.",
}


class Other:
    """Of an engine, what the doctor asks."""

    name = "other"

    def answers(self) -> bool:
        return True

    def is_separate(self) -> bool:
        return False

    def queues(self) -> set[str]:
        return set()

    def start_command(self, queue: str) -> str:
        return f"other worker {queue}"


@pytest.mark.parametrize(("engine", "queue"), UNSERVED)
def test_a_queue_that_no_worker_of_its_engine_serves_is_named_with_the_command(context, monkeypatch, engine, queue):
    monkeypatch.setattr(engines, "_engines", {**engines._engines, "other": Other()})
    monkeypatch.setattr(context, "passed", lambda name: True)
    beat()
    assert work.workers(context).status == "ok"
    TaskRun.objects.create(name="any", engine=engine, queue=queue, accepted_at=timezone.now())
    found = work.workers(context)
    assert (found.status, found.hint) == ("failed", UNSERVED[engine, queue])
    assert found.detail.startswith(f"Nobody serves the queue {queue}, only w1@test (celery;")


def test_a_canary_that_waits_for_busy_workers_is_a_warning(context):
    beat("another task")
    found = work.canary(context)
    assert found.status == "warning"
    assert "All workers are busy" in found.detail
    assert found.hint.startswith("celery -A django_starter worker")


def test_a_canary_that_nobody_takes_is_a_fault_and_stays_cancelled_where_its_message_may_come_yet(context):
    beat()
    found = work.canary(context)
    assert found.status == "failed"
    assert "it is PENDING" in found.detail
    context.trial.remove()
    run = TaskRun.objects.get()
    assert (run.state, run.owner, run.name) == (State.REVOKED, None, "tasks.tasks.canary")
    assert not User.objects.exists()
    assert not Session.objects.exists()


def test_no_canary_is_sent_where_nobody_serves_its_queue(context):
    beat(queue="other")
    assert work.canary(context) == skipped("no worker serves the queue celery")
    assert not TaskRun.objects.exists()


def test_a_run_to_look_at_is_never_sent_and_leaves_nothing(context):
    pk = context.trial.a_run()
    run = TaskRun.objects.get(pk=pk)
    assert (run.state, run.sent_at) == (State.PENDING, None)
    key = context.trial.cookie.removeprefix("sessionid=")
    assert _viewers([key]) == [Viewer(run.owner_id, "", False)]  # signed in, and no more than that
    assert not User.objects.get().has_usable_password()
    context.trial.remove()
    assert (User.objects.count(), Session.objects.count(), TaskRun.objects.count()) == (0, 0, 0)


def test_a_guest_whose_doctor_was_killed_is_removed_by_the_next(context):
    left = User.objects.create_user(f"doctor-canary-{'0' * 16}")
    User.objects.filter(pk=left.pk).update(date_joined=timezone.now() - timedelta(hours=1))
    person = User.objects.create_user("doctor-canary-jim")
    User.objects.filter(pk=person.pk).update(date_joined=timezone.now() - timedelta(hours=1))
    context.trial.a_run()
    context.trial.remove()
    assert list(User.objects.all()) == [person]
