"""A key belongs to a person and a task; what a visitor has started goes along when they sign in."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core.cache.backends.locmem import LocMemCache
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st

from tasks import runs
from tasks.models import TaskRun
from tasks.tasks import demo_task, long_running_task
from tasks.web import limits

from .people import signed_in, start, started, visitor

pytestmark = pytest.mark.django_db

demo: Any = demo_task
long: Any = long_running_task
PASSWORD = "a long enough one"


# --- keys -------------------------------------------------------------------------------------------------------------


def test_one_key_of_two_tasks_starts_both():
    alice = signed_in("alice")
    one = start(alice, {"task": "long_running_task", "steps": 2}, **{"Idempotency-Key": "k"})
    two = start(alice, {"task": "demo_task"}, **{"Idempotency-Key": "k"})
    assert [one.status_code, two.status_code] == [202, 202]
    names = {TaskRun.objects.get(pk=answer.json()["task_id"]).name for answer in (one, two)}
    assert names == {long_running_task.name, demo_task.name}
    again = start(alice, {"task": "demo_task"}, **{"Idempotency-Key": "k"})
    assert again.json()["task_id"] == two.json()["task_id"]


@pytest.mark.parametrize(
    ("body", "other"),
    [({"steps": 2}, {"steps": 3}), ({"steps": 2}, {}), ({"steps": 2, "delay": 0.5}, {"steps": 2, "delay": 0.6})],
)
def test_one_key_with_other_arguments_is_409_and_says_so(body, other):
    alice = signed_in("alice")
    first = start(alice, body, **{"Idempotency-Key": "k"})
    answer = start(alice, other, **{"Idempotency-Key": "k"})
    assert (first.status_code, answer.status_code) == (202, 409)
    assert "other arguments" in answer.json()["errors"]["Idempotency-Key"][0]
    assert start(alice, body, **{"Idempotency-Key": "k"}).json()["task_id"] == first.json()["task_id"]
    assert TaskRun.objects.count() == 1


def test_keys_that_differ_at_their_end_are_two_keys():
    keys = ["k" * 5_000 + end for end in ("a", "b")]
    ids = {demo.apply_async(idempotency_key=key).id for key in keys * 2}
    assert len(ids) == 2
    assert max(len(run.idempotency_key or "") for run in TaskRun.objects.all()) <= 200


def test_one_key_of_two_people_is_two_keys():
    assert started(signed_in("alice")) != started(signed_in("bob"))
    ids = {
        start(client, {}, **{"Idempotency-Key": "k"}).json()["task_id"]
        for client in (signed_in("carol"), signed_in("dave"), visitor(), visitor())
    }
    assert len(ids) == 4


# --- signing in -------------------------------------------------------------------------------------------------------


def sign_in(client: Client, name: str, path: str = "/login/") -> None:
    user, _ = get_user_model().objects.get_or_create(username=name)
    user.is_staff = "admin" in path
    user.set_password(PASSWORD)
    user.save()
    answer = client.post(path, {"username": name, "password": PASSWORD})
    assert answer.status_code == 302, answer.content


@pytest.mark.parametrize("path", ["/login/", "/admin/login/"])
def test_what_a_visitor_has_started_is_the_users_who_signs_in(path):
    alice = visitor()
    task_id = started(alice)
    child = demo.apply_async().id
    TaskRun.objects.filter(pk=child).update(session_key=alice.session.session_key, parent_id=task_id)
    stolen = alice.cookies["sessionid"].value
    sign_in(alice, "alice", path)
    user = get_user_model().objects.get(username="alice")
    assert {(run.owner, run.session_key) for run in TaskRun.objects.all()} == {(user, "")}
    assert alice.get(f"/tasks/{task_id}/").status_code == 200
    assert task_id in alice.get("/api/runs/").json()["task_ids"]
    assert alice.post(f"/tasks/{task_id}/cancel/").status_code == 302
    thief = Client()
    thief.cookies["sessionid"] = stolen
    assert thief.get(f"/tasks/{task_id}/").status_code == 404


def test_the_runs_of_others_stay_theirs():
    alice, charlie = visitor(), visitor()
    theirs, users = started(charlie), started(signed_in("bob"))
    sign_in(alice, "alice")
    assert alice.get("/api/runs/").json()["task_ids"] == []
    assert charlie.get("/api/runs/").json()["task_ids"] == [theirs]
    assert TaskRun.objects.get(pk=users).owner.username == "bob"  # type: ignore[union-attr]


def test_who_brings_the_cookie_of_a_visitor_whose_session_has_ended_gets_nothing():
    alice = visitor()
    task_id = started(alice)
    alice.session.flush()
    thief = Client()
    thief.cookies["sessionid"] = alice.cookies["sessionid"].value
    sign_in(thief, "eve")
    assert thief.get(f"/tasks/{task_id}/").status_code == 404


def test_the_next_user_of_a_browser_gets_nothing_of_the_one_before():
    browser = visitor()
    first = started(browser)
    sign_in(browser, "alice")
    second = started(browser)
    sign_in(browser, "bob")  # without logging out
    assert browser.get("/api/runs/").json()["task_ids"] == []
    browser.post("/logout/")
    third = started(browser)
    sign_in(browser, "bob")
    assert browser.get("/api/runs/").json()["task_ids"] == [third]
    assert {TaskRun.objects.get(pk=one).owner.username for one in (first, second)} == {"alice"}  # type: ignore[union-attr]


def test_keys_go_along_and_those_of_the_user_stay():
    alice = visitor()
    body = {"steps": 2}
    first = start(alice, body, **{"Idempotency-Key": "k"}).json()["task_id"]
    clashes = start(alice, {"task": "demo_task"}, **{"Idempotency-Key": "c"}).json()["task_id"]
    other = signed_in("alice")
    own = start(other, {"task": "demo_task"}, **{"Idempotency-Key": "c"}).json()["task_id"]
    sign_in(alice, "alice")
    assert start(alice, body, **{"Idempotency-Key": "k"}).json()["task_id"] == first
    assert start(alice, {"task": "demo_task"}, **{"Idempotency-Key": "c"}).json()["task_id"] == own != clashes
    assert TaskRun.objects.get(pk=clashes).owner == TaskRun.objects.get(pk=own).owner


# --- starts a minute --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("edge", [0.1, 0.5, 30.0, 59.9])
def test_the_edge_of_a_minute_gives_nobody_twice_the_limit(monkeypatch, edge):
    cache = LocMemCache(f"edge-{edge}", {})
    now = 1_000_000_020.0 - edge  # so long before a full minute
    monkeypatch.setattr(time, "time", lambda: now)
    assert [limits._take_place(cache, "alice", 5) for _ in range(5)] == [0] * 5
    for passed in (0.0, edge, 59.0):
        monkeypatch.setattr(time, "time", lambda passed=passed: now + passed)
        assert 1 <= limits._take_place(cache, "alice", 5) <= 60
        assert limits._take_place(cache, f"bob-{passed}", 5) == 0
    monkeypatch.setattr(time, "time", lambda: now + 60.1)
    assert [limits._take_place(cache, "alice", 5) == 0 for _ in range(6)] == [True] * 5 + [False]


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@given(st.lists(st.floats(0, 20), max_size=60), st.integers(1, 6))
def test_no_sixty_seconds_see_more_than_the_limit_and_no_fewer_than_there_is_room_for(pauses, allowed):
    cache = LocMemCache("any-sixty", {})
    cache.clear()
    now = 1e9
    accepted: list[float] = []
    clock, real = Clock(), time.time
    time.time = clock
    try:
        for pause in pauses:
            now += pause
            clock.now = now
            in_window = [at for at in accepted if at > now - 60]
            if limits._take_place(cache, "alice", allowed) == 0:
                assert len(in_window) < allowed
                accepted.append(now)
            else:
                assert len([at for at in accepted if at >= now - 60]) >= allowed
    finally:
        time.time = real


# --- what staff may read ----------------------------------------------------------------------------------------------


def test_the_admin_shows_nothing_that_a_visitor_is_known_by():
    alice = visitor()
    task_id = start(alice, {}, **{"Idempotency-Key": "k"}).json()["task_id"]
    key = str(alice.session.session_key)
    root = signed_in("root", is_staff=True, is_superuser=True)
    for path in ("/admin/tasks/taskrun/", f"/admin/tasks/taskrun/{task_id}/change/", f"/tasks/{task_id}/", "/runs/"):
        answer = root.get(path)
        assert answer.status_code == 200
        assert key not in answer.content.decode(), path
    assert key not in json.dumps(root.get(f"/api/tasks/{task_id}/").json())
    assert root.get(f"/admin/tasks/taskrun/?q={key}").content.decode().count(task_id) == 0


def test_a_key_reused_is_a_start_that_was_not_accepted():
    long.apply_async(kwargs={"steps": 1}, idempotency_key="k")
    with pytest.raises(runs.KeyReused, match="other arguments"):
        long.apply_async(kwargs={"steps": 2}, idempotency_key="k")
    assert issubclass(runs.KeyReused, runs.NotAccepted)
