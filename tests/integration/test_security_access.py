"""Who may do what, tried by those who may not: the stranger, the thief of an id, the forged form, the greedy."""

from __future__ import annotations

import contextlib
import re
import time

import pytest
import redis
from django.contrib.auth import get_user_model
from django.core.cache import cache
from django.test import Client

from progress.source import Handshake
from tasks.models import TaskRun
from tasks.web import limits
from tasks.web.source import RunSource

from .people import signed_in, start, started, visitor

pytestmark = pytest.mark.django_db


@pytest.fixture
def login_required(settings):
    settings.TASKS_REQUIRE_LOGIN = True


@pytest.fixture
def three_a_minute(settings):
    settings.TASKS_STARTS_PER_MINUTE = 3
    settings.PROXIES = 0
    limits._own.clear()
    limits._cache_rests_until = 0.0
    with contextlib.suppress(redis.RedisError):  # what other tests counted, where one has started Redis
        cache.clear()


# --- logging in -------------------------------------------------------------------------------------------------------


def test_with_login_required_a_person_is_sent_to_the_form_and_back(login_required):
    get_user_model().objects.create_user("alice", password="a long enough one")
    alice = Client()
    answer = alice.get("/")
    assert (answer.status_code, answer["Location"]) == (302, "/login/?next=/")
    page = alice.get(answer["Location"]).content.decode()
    assert "Log in" in page
    answer = alice.post("/login/", {"username": "alice", "password": "a long enough one", "next": "/"})
    assert (answer.status_code, answer["Location"]) == (302, "/")
    assert "Log out" in alice.get("/").content.decode()
    assert alice.post("/logout/").status_code == 302
    assert alice.get("/").status_code == 302


def test_with_login_required_a_script_gets_401_and_starts_nothing(login_required):
    assert start(visitor()).status_code == 401
    assert visitor().get("/api/tasks/00000000-0000-0000-0000-000000000000/").status_code == 401
    assert not TaskRun.objects.exists()


def test_with_login_required_what_an_anonymous_session_started_before_is_closed(settings):
    alice = visitor()
    task_id = started(alice)
    settings.TASKS_REQUIRE_LOGIN = True
    assert alice.get(f"/api/tasks/{task_id}/").status_code == 401
    cookies = {settings.SESSION_COOKIE_NAME: alice.session.session_key or ""}
    assert RunSource().admit([Handshake(cookies, task_id)])[0][1] is None


def test_health_and_the_login_form_need_no_login(login_required):
    assert Client().get("/health/live").status_code == 200
    assert Client().get("/login/").status_code == 200
    assert Client().get("/admin/login/").status_code == 200


def test_the_login_form_does_not_lead_to_another_site():
    get_user_model().objects.create_user("alice", password="a long enough one")
    for evil in ("https://evil.example/", "//evil.example/", "/\\evil.example/", "javascript:alert(1)"):
        answer = Client().post("/login/", {"username": "alice", "password": "a long enough one", "next": evil})
        assert answer["Location"] == "/"


def test_an_open_login_page_does_not_log_out_by_a_link():
    alice = signed_in("alice")
    assert alice.get("/logout/").status_code == 405


# --- somebody else's run ----------------------------------------------------------------------------------------------


def without(answer, task_id: str) -> str:
    """The answer's text, less the id, the form tokens and what is running, which differ whatever is asked for."""
    text = re.sub(r"<aside.*?</aside>", "", answer.content.decode(), flags=re.DOTALL)
    return re.sub(r'value="\w{64}"', "", text).replace(task_id, "")


def test_a_stolen_id_opens_nothing_and_says_the_same_as_an_unknown_one():
    task_id = started(signed_in("alice"))
    unknown = "00000000-0000-0000-0000-000000000000"
    for thief in (visitor(), signed_in("bob")):
        for method, path in (("get", "/api/tasks/{}/"), ("get", "/tasks/{}/"), ("post", "/tasks/{}/cancel/")):
            stolen = getattr(thief, method)(path.format(task_id))
            missing = getattr(thief, method)(path.format(unknown))
            assert stolen.status_code == missing.status_code == 404
            assert without(stolen, task_id) == without(missing, unknown)
    assert TaskRun.objects.get().cancel_requested_at is None


def test_a_foreign_session_in_the_cookie_is_not_the_owner_of_a_users_run():
    alice = signed_in("alice")
    task_id = started(alice)
    bob = signed_in("bob")
    TaskRun.objects.update(session_key=bob.session.session_key)  # even then: it has an owner
    assert bob.get(f"/api/tasks/{task_id}/").status_code == 404


def test_a_session_that_was_logged_out_opens_nothing():
    alice = signed_in("alice")
    task_id = started(alice)
    stolen = alice.cookies["sessionid"].value
    alice.post("/logout/")
    thief = Client()
    thief.cookies["sessionid"] = stolen
    assert thief.get(f"/api/tasks/{task_id}/").status_code == 404


# --- forged forms -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/tasks/start/", "/tasks/{}/cancel/", "/tasks/{}/retry/", "/logout/", "/login/"])
def test_a_form_of_another_site_is_refused(path):
    alice = signed_in("alice")
    task_id = started(alice)
    forger = Client(enforce_csrf_checks=True)
    forger.cookies = alice.cookies
    assert forger.post(path.format(task_id)).status_code == 403
    headers = {"Origin": "https://evil.example"}
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', alice.get("/").content.decode())
    assert token
    answer = forger.post(path.format(task_id), {"csrfmiddlewaretoken": token[1]}, headers=headers)
    assert answer.status_code == 403
    assert TaskRun.objects.count() == 1


def test_a_json_body_is_no_way_around_the_token():
    forger = Client(enforce_csrf_checks=True)
    assert start(forger).status_code == 403
    assert not TaskRun.objects.exists()


# --- too much ---------------------------------------------------------------------------------------------------------


def test_starts_beyond_the_limit_are_429_and_say_when_to_come_back(three_a_minute):
    alice = visitor()
    answers = [start(alice, {"steps": 1}) for _ in range(5)]
    assert [one.status_code for one in answers] == [202, 202, 202, 429, 429]
    assert 1 <= int(answers[-1]["Retry-After"]) <= 60
    assert "3 tasks a minute" in answers[-1].json()["errors"]["task"][0]
    assert TaskRun.objects.count() == 3
    form = alice.post("/tasks/start/", {"steps": "1"})
    assert form.status_code == 429
    assert "3 tasks a minute" in form.content.decode()


def test_a_new_session_is_no_way_around_the_limit_and_neither_is_a_made_up_address(three_a_minute):
    for number in range(3):
        assert start(visitor(), {"steps": 1}, X_FORWARDED_FOR=f"10.0.0.{number}").status_code == 202
    assert start(visitor(), {"steps": 1}, X_FORWARDED_FOR="10.9.9.9").status_code == 429


def test_behind_a_proxy_each_address_has_its_own_limit_but_may_not_choose_it(three_a_minute, settings):
    settings.PROXIES = 1
    for _ in range(3):
        assert start(visitor(), {"steps": 1}, X_FORWARDED_FOR="198.51.100.7").status_code == 202
    assert start(visitor(), {"steps": 1}, X_FORWARDED_FOR="1.2.3.4, 198.51.100.7").status_code == 429
    assert start(visitor(), {"steps": 1}, X_FORWARDED_FOR="198.51.100.8").status_code == 202


def test_users_behind_one_address_have_limits_of_their_own(three_a_minute):
    alice, bob = signed_in("alice"), signed_in("bob")
    assert [start(alice, {"steps": 1}).status_code for _ in range(4)][-1] == 429
    assert start(bob, {"steps": 1}).status_code == 202


def test_a_retry_counts_as_a_start(three_a_minute):
    alice = visitor()
    task_id = started(alice)
    alice.post(f"/tasks/{task_id}/cancel/")
    codes = [
        alice.post(f"/tasks/{task_id}/retry/", headers={"Accept": "application/json"}).status_code for _ in range(3)
    ]
    assert codes == [202, 202, 429]


def test_the_limit_holds_in_redis_for_all_processes(three_a_minute, valkey):
    alice = signed_in("alice")
    for _ in range(3):
        assert start(alice, {"steps": 1}).status_code == 202
    limits._own.clear()  # another process
    assert start(alice, {"steps": 1}).status_code == 429
    cache.clear()
    assert start(alice, {"steps": 1}).status_code == 202


def test_while_redis_is_away_each_process_counts_for_itself_and_nobody_waits(three_a_minute, monkeypatch):
    def away(*args, **kwargs):
        raise ConnectionError("refused")

    monkeypatch.setattr(cache, "add", away)
    alice = signed_in("alice")
    began = time.monotonic()
    assert [start(alice, {"steps": 1}).status_code for _ in range(5)][-1] == 429
    assert time.monotonic() - began < 5


def test_without_a_limit_nothing_is_counted(settings):
    settings.TASKS_STARTS_PER_MINUTE = 0
    assert {start(visitor(), {"steps": 1}).status_code for _ in range(10)} == {202}
