"""Celery without stored runs: its signals are heard, and who started a task may watch it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery, signals
from celery.app.trace import build_tracer
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AnonymousUser
from django.contrib.sessions.backends.db import SessionStore
from django.http import HttpResponse
from django.test import Client, RequestFactory

from progress.active import current
from progress.flusher import get_flusher
from progress.live import signals as live
from progress.live import starts
from progress.live.owner import OwnerMiddleware, Person, current_owner, person_of
from progress.live.source import LiveSource
from progress.record import get_record
from progress.source import NOBODY, Handshake, OpenSocket
from progress.state import merge

pytestmark = pytest.mark.django_db

User = get_user_model()

app: Any = Celery("plain", broker="memory://", backend="cache+memory://", set_as_current=False)


@app.task(bind=True)
def count(self, number):
    self.update_state(state="PROGRESS", meta={"current": 1, "total": 2, "message": "half"})
    assert current() is not None
    return number


@app.task
def fail():
    raise ValueError("no more orders")


@app.task(bind=True, max_retries=1)
def try_again(self):
    raise self.retry(countdown=30)


@app.task(bind=True)
def start_another(self):
    return count.delay(2).id


@pytest.fixture(autouse=True)
def heard(valkey):
    live.connect()
    yield
    live.disconnect()


def work(task, task_id, *args):
    """What a worker does with the message of a task."""
    request = {"id": task_id, "task": task.name, "is_eager": False, "retries": 0, "delivery_info": {}}
    build_tracer(task.name, task, app=app, propagate=False)(task_id, list(args), {}, request)
    get_flusher().drain(5)


def seen(task_id):
    """What a viewer sees: what is kept, and what the record says."""
    return merge(LiveSource().refresh([task_id])[task_id], get_record().read(task_id).changing)


def request_of(user=None):
    request = RequestFactory().get("/")
    request.session = SessionStore()
    request.user = user or AnonymousUser()
    return request


def started_by(user=None):
    """The request, and the id of the task that it started."""
    request, ids = request_of(user), []

    def view(_):
        ids.append(count.delay(3).id)
        return HttpResponse()

    OwnerMiddleware(view)(request)
    assert current_owner() == ""
    return request, ids[0]


def test_a_task_waits_runs_and_ends():
    _, task_id = started_by()
    assert seen(task_id)["state"] == "PENDING"
    work(count, task_id, 3)
    task = seen(task_id)
    assert (task["state"], task["result"], task["attempt"]) == ("SUCCESS", 3, 1)
    assert (task["percent"], task["message"], task["total"]) == (100.0, "half", 2)
    assert task["accepted_at"] and task["started_at"] and task["finished_at"]
    assert current() is None


def test_update_state_still_reaches_the_result_backend():
    own = []
    app.backend.store_result = lambda *args, **kwargs: own.append(kwargs.get("state") or args[2])
    try:
        work(count, "with-a-backend", 3)
    finally:
        del app.backend.store_result
    assert "PROGRESS" in own


def test_a_failure_says_its_type_and_text():
    work(fail, "failing")
    assert seen("failing")["state"] == "FAILURE"
    assert seen("failing")["error"] == {"type": "ValueError", "message": "no more orders"}


def test_a_retry_waits_and_says_when():
    work(try_again, "again")
    waiting = seen("again")["waiting"]
    assert seen("again")["state"] == "RETRY"
    assert waiting is not None and waiting["reason"] == "retry" and waiting["next_retry_at"]


def test_a_second_attempt_is_told_after_a_first_that_ended():
    work(count, "twice", 1)
    work(count, "twice", 2)
    assert (seen("twice")["attempt"], seen("twice")["result"]) == (2, 2)


def test_an_end_that_the_parent_process_says_is_told():
    starts.begun("lost", "count")
    signals.task_failure.send(sender=count, task_id="lost", exception=RuntimeError("killed"))
    assert (seen("lost")["state"], seen("lost")["error"]) == ("FAILURE", {"type": "RuntimeError", "message": "killed"})
    signals.task_revoked.send(sender=count, request=SimpleNamespace(id="revoked"), terminated=True)
    assert seen("revoked")["state"] == "REVOKED"


def test_what_a_task_starts_belongs_to_who_started_it():
    alice = User.objects.create_user("alice")
    starts.accepted("parent", "start_another", f"user-{alice.pk}")
    work(start_another, "parent")
    child = seen("parent")["result"]
    assert list(LiveSource().states(Person(f"user-{alice.pk}"), [child])) == [child]


def test_telling_never_hurts_publishing_nor_doing(monkeypatch, caplog):
    def broken(*_):
        raise OSError("Redis is away")

    for name in ("accepted", "begun", "ended"):
        monkeypatch.setattr(starts, name, broken)
    task_id = count.delay(3).id
    own = []
    monkeypatch.setattr(app.tasks[fail.name], "run", lambda: own.append("done"))
    work(fail, task_id)
    assert own == ["done"]
    said = [record for record in caplog.records if record.name == "progress.live.signals"]
    assert said and all("is not told: OSError: Redis is away" in record.getMessage() for record in said)


PEOPLE = ["a user", "a session"]


@pytest.mark.parametrize("who", PEOPLE)
def test_only_who_started_it_and_staff_may_watch(who):
    alice = User.objects.create_user("alice") if who == "a user" else None
    request, task_id = started_by(alice)
    owner = person_of(request)
    assert owner.key
    strangers = [Person(), Person("user-999"), Person("session-else"), person_of(request_of())]
    assert list(LiveSource().states(owner, [task_id])) == [task_id]
    assert list(LiveSource().states(Person("user-1", is_staff=True), [task_id])) == [task_id]
    assert [LiveSource().states(one, [task_id]) for one in strangers] == [{}] * len(strangers)


def test_a_task_that_nobody_owns_is_nobodys_to_watch():
    task_id = count.delay(1).id
    assert LiveSource().states(Person(), [task_id]) == {}


def handshake(cookie, task_id):
    return Handshake({"sessionid": cookie}, task_id)


def test_a_socket_is_let_in_by_its_session_and_not_longer():
    alice = User.objects.create_user("alice")
    client = Client()
    client.force_login(alice)
    _, task_id = started_by(alice)
    cookie = client.cookies["sessionid"].value
    asked = [
        handshake(cookie, task_id),
        handshake("", task_id),
        handshake("\x00'; --", task_id),
        handshake("e" * 32, ""),
    ]
    (viewer, state), *others = LiveSource().admit(asked)
    assert viewer == Person(f"user-{alice.pk}")
    assert state is not None and state["id"] == task_id
    assert [found for _, found in others] == [None, None, None]
    socket = OpenSocket(asked[0], viewer, (task_id,))
    assert LiveSource().recheck([socket]) == [viewer]
    client.logout()
    assert LiveSource().recheck([socket]) == [NOBODY]


def test_nothing_stops_a_task_without_a_run():
    starts.accepted("running", "count", "user-1")
    assert not LiveSource().cancel(Person("user-1"), "running")
    get_record().request_cancel("running")
    work(count, "running", 3)
    assert seen("running")["state"] == "SUCCESS"
