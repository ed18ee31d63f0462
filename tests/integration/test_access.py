"""Who may watch what: the visits of many sockets are answered together, from cookies that may say anything."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.sessions.models import Session
from django.test import Client
from django.utils import timezone

from progress.source import Handshake
from tasks import runs
from tasks.models import State, TaskRun
from tasks.web.source import RunSource
from tests.integration.people import signed_in, started, visitor

pytestmark = pytest.mark.django_db


def session_of(client: Client) -> str:
    return client.cookies["sessionid"].value


def visit(cookie: str, task_id: str | None) -> Handshake:
    return Handshake({"sessionid": cookie} if cookie else {}, task_id)


def sees(cookie: str, task_id: str) -> bool:
    ((_, state),) = RunSource().admit([visit(cookie, task_id)])
    assert state is None or state["id"] == task_id
    return state is not None


@pytest.fixture
def alice() -> Client:
    return signed_in("alice")


@pytest.fixture
def task_id(alice) -> str:
    return started(alice)


def test_the_owner_and_staff_may_watch_and_nobody_else(alice, task_id):
    bob, charlie, staff = signed_in("bob"), visitor(), signed_in("sam", is_staff=True)
    started(charlie)
    assert sees(session_of(alice), task_id)
    assert sees(session_of(staff), task_id)
    assert not sees(session_of(bob), task_id)
    assert not sees(session_of(charlie), task_id)
    assert not sees("", task_id)


def test_an_anonymous_owner_is_known_by_the_session():
    charlie, other = visitor(), visitor()
    task_id = started(charlie)
    started(other)
    assert sees(session_of(charlie), task_id)
    assert not sees(session_of(other), task_id)


def test_an_unknown_task_and_a_list_socket_have_no_state(alice, task_id):
    cookie = session_of(alice)
    (nobody, no_state), (viewer, none) = RunSource().admit([visit(cookie, "no-such-task"), visit(cookie, None)])
    assert (no_state, none) == (None, None)
    assert nobody == viewer != RunSource().admit([visit("", None)])[0][0]


@pytest.mark.parametrize("count", [1, 100])
def test_a_hundred_visits_cost_as_many_queries_as_one(alice, task_id, count, django_assert_max_num_queries):
    TaskRun.objects.update(state=State.STARTED, started_at=timezone.now(), attempt=1)
    people = [alice, signed_in("bob"), visitor()]
    started(people[2])
    TaskRun.objects.update(state=State.STARTED)
    visits = [visit(session_of(people[number % 3]), task_id) for number in range(count)]
    with django_assert_max_num_queries(3):
        answers = RunSource().admit(visits)
    assert [state is not None for _, state in answers] == [number % 3 == 0 for number in range(count)]


def test_one_more_query_says_why_tasks_wait(alice, django_assert_max_num_queries):
    tasks = [started(alice) for _ in range(20)]
    with django_assert_max_num_queries(4):
        answers = RunSource().admit([visit(session_of(alice), one) for one in tasks])
    assert all(state and state["waiting"] for _, state in answers)


def test_an_expired_session_opens_nothing(alice, task_id):
    Session.objects.update(expire_date=timezone.now() - timedelta(seconds=1))
    assert not sees(session_of(alice), task_id)


def test_a_deactivated_user_opens_nothing(alice, task_id):
    get_user_model().objects.update(is_active=False)
    assert not sees(session_of(alice), task_id)


def test_a_changed_password_closes_the_other_sessions(alice, task_id):
    user = get_user_model().objects.get(username="alice")
    user.set_password("another one")
    user.save()
    assert not sees(session_of(alice), task_id)


def test_a_deleted_users_session_is_nobodys(alice, task_id):
    get_user_model().objects.all().delete()
    assert not sees(session_of(alice), task_id)


@pytest.mark.parametrize("cookie", ["\x00", "a\x00b", "ü" * 32, "x" * 10_000, "'; DROP TABLE", " ", '"'])
def test_a_cookie_that_holds_nonsense_disturbs_nobody_else(alice, task_id, cookie):
    (_, stranger), (_, owner) = RunSource().admit([visit(cookie, task_id), visit(session_of(alice), task_id)])
    assert stranger is None
    assert owner is not None


def test_many_states_are_told_only_for_tasks_of_the_viewer(alice, task_id):
    source: Any = RunSource()
    theirs = started(signed_in("bob"))
    (viewer, _), (nobody, _) = source.admit([visit(session_of(alice), None), visit("", None)])
    assert set(source.states(viewer, [task_id, theirs, "unknown"])) == {task_id}
    assert source.states(nobody, [task_id, theirs]) == {}
    assert set(source.refresh([task_id, theirs, "unknown"])) == {task_id, theirs}


def test_only_the_owner_and_staff_may_cancel_over_a_socket(alice, task_id):
    source: Any = RunSource()
    people: list[Any] = [signed_in("bob"), visitor(), signed_in("sam", is_staff=True)]
    viewers = [source.admit([visit(session_of(one) if one.cookies else "", None)])[0][0] for one in people]
    assert [source.cancel(viewer, task_id) for viewer in viewers] == [False, False, True]
    assert not source.cancel(viewers[2], "unknown")


def test_what_viewers_see_never_holds_a_traceback(alice, task_id):
    run = runs.claim(task_id, "w1")
    assert run
    error = {"type": "KeyError", "message": "'x'"}
    runs.end(task_id, "FAILURE", attempt=1, error=error, traceback="Traceback: SECRET PLACE")  # type: ignore[arg-type]
    source: Any = RunSource()
    ((viewer, state),) = source.admit([visit(session_of(alice), task_id)])
    shown = [state, source.states(viewer, [task_id]), source.refresh([task_id])]
    assert "SECRET PLACE" not in str(shown)
    assert "SECRET PLACE" not in alice.get(f"/api/tasks/{task_id}/").content.decode()
    assert state is not None
    assert state["error"] == error
