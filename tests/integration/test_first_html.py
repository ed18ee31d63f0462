"""What the first HTML says, before any script: the numbers of now, older runs, what is gone; and the policy's nonce."""

from __future__ import annotations

import html
import json
import re
from types import SimpleNamespace
from typing import Any

import pytest
from celery.result import AsyncResult
from django.template import Context, Template
from django.test import Client, RequestFactory
from django.utils.functional import SimpleLazyObject

from progress.messages import dumps
from progress.record import get_record
from tasks.models import State, TaskRun
from tasks.web import feeds
from tests.downloads import of_downloads

from .people import signed_in, started, visitor

pytestmark = pytest.mark.django_db

NUMBERS = {
    "state": "STARTED",
    "attempt": 1,
    "current": 42,
    "total": 60,
    "percent": 70.5,
    "unit": "rows",
    "message": "from shop 3",
    "rate": 9.84,
    "eta": 23,
    "ts": 1_767_225_600.0,
    "steps": [{"name": "Fetch", "state": "done", "seconds": 61.2, "depth": 0}],
}
LINE = {"n": 1, "ts": 1_767_225_600.0, "level": "warning", "text": "late <b>line</b>"}


def running(client: Client, *, told: bool = True) -> str:
    task_id = started(client)
    TaskRun.objects.filter(pk=task_id).update(state=State.STARTED, attempt=1, started_at="2026-01-01T00:00:00Z")
    if told:
        get_record().publish(task_id, 1, dumps(NUMBERS), [dumps(LINE)], final=False)
    return task_id


def shown(client: Client, task_id: str, tag: str = "{% task_progress id 'steps' 'log' %}", **context) -> str:
    request: Any = RequestFactory().get("/")
    request.session, request.user = client.session, SimpleNamespace(is_authenticated=False, is_staff=False, pk=None)
    for name, value in context.pop("on_request", {}).items():
        setattr(request, name, value)
    return Template("{% load progress %}" + tag).render(Context({"id": task_id, "request": request, **context}))


def part(page: str, name: str) -> str:
    found = re.search(rf'part="{name}"[^>]*>(.*?)</(?:span|p|ol|dd|a|h1)>', page, re.DOTALL)
    assert found, name
    return html.unescape(found[1]).replace("\u00a0", " ").strip()


def test_the_tag_shows_the_numbers_of_now(valkey):
    alice = visitor()
    page = shown(alice, running(alice))
    told = {"state": "running", "message": "from shop 3", "percent": "70 %", "count": "42 / 60 rows"}
    told |= {"rate": "9.8 rows/s", "eta": "25 s left"}
    assert {name: part(page, name) for name in told} == told
    assert re.fullmatch(r"\d+ d \d+ h", part(page, "elapsed"))
    assert 'aria-valuenow="70.5"' in page
    assert 'width="70.50%"' in page
    assert re.search(
        r"<span>Fetch</span><progress [^>]*></progress><span>1 min 01 s</span>", page.replace("\u00a0", " ")
    )
    assert "late &lt;b&gt;line&lt;/b&gt;" in page
    [seed] = map(json.loads, re.findall(r"<script[^>]*application/json[^>]*>(.*?)</script>", page, re.DOTALL))
    assert (seed["current"], seed["percent"]) == (42, 70.5)


@pytest.mark.parametrize("path", ["/", "/tasks/{}/"])
def test_the_sites_own_pages_show_them_as_well(valkey, path):
    alice = visitor()
    page = alice.get(path.format(running(alice))).content.decode()
    assert "42 / 60" in part(page, "count")
    assert part(page, "message") == "from shop 3"


def test_while_redis_is_away_the_tag_shows_what_is_stored_and_asks_once_a_page(monkeypatch):
    from progress import now

    alice = visitor()
    one, other = running(alice, told=False), running(alice, told=False)
    asked = []

    def away():
        asked.append(1)
        raise OSError("nobody there")

    monkeypatch.setattr(now, "get_record", away)
    page = shown(alice, one, "{% task_progress id %}{% task_progress other %}", other=other)
    assert page.count('state="STARTED"') == 2
    assert len(asked) == 1


NONCES: dict[str, dict[str, Any]] = {
    "Django 6's context processor": {"csp_nonce": SimpleLazyObject(lambda: "n0nce")},
    "Django 6's middleware": {"on_request": {"_csp_nonce": SimpleLazyObject(lambda: "n0nce")}},
    "django-csp": {"on_request": {"csp_nonce": SimpleLazyObject(lambda: "n0nce")}},
    "by hand": {"tag": "{% task_progress id nonce='n0nce' %}"},
}


@pytest.mark.parametrize("whose", NONCES)
def test_scripts_and_styles_carry_the_nonce_of_the_policy(whose):
    alice = visitor()
    page = shown(alice, started(alice), **NONCES[whose])
    fetched = re.findall(r"<(?:link|script)\b[^>]*(?:href|src)=[^>]*>", page)
    assert len(fetched) == 2
    assert all('nonce="n0nce"' in one for one in fetched)
    assert not re.search(r"\s(style|on\w+)=", page)


def test_a_nonce_is_made_only_where_something_needs_it():
    alice = visitor()
    made: list[int] = []
    task_id = started(alice)

    def make() -> str:
        made.append(1)
        return "n0nce"

    lazy = SimpleLazyObject(make)
    shown(alice, task_id, "{% task_progress id %}{% task_progress id %}", csp_nonce=lazy)
    assert made == [1]
    assert "nonce" not in shown(alice, task_id)


# --- the polling view of a Celery site -------------------------------------------------------------------------------


def test_a_view_that_polls_finds_its_numbers_in_info(valkey):
    alice = visitor()
    result: AsyncResult[Any] = AsyncResult(running(alice))
    assert result.state == "STARTED"
    assert result.info == {"current": 42, "total": 60, "percent": 70.5, "message": "from shop 3"}


def test_what_has_told_nothing_yet_has_numbers_as_well_and_an_unknown_id_is_pending(valkey):
    alice = visitor()
    result: AsyncResult[Any] = AsyncResult(running(alice, told=False))
    assert result.info == {"current": 0, "total": None, "percent": None, "message": ""}
    unknown: AsyncResult[Any] = AsyncResult("5c36a5b2-0000-4000-8000-000000000000")
    assert (unknown.state, unknown.info) == ("PENDING", None)


def test_numbers_of_an_attempt_that_is_over_are_not_those_of_the_next(valkey):
    alice = visitor()
    task_id = running(alice)
    TaskRun.objects.update(attempt=2)
    assert AsyncResult(task_id).info["current"] == 0


# --- more than the newest runs ---------------------------------------------------------------------------------------


def many(client: Client, count: int) -> list[str]:
    """The ids of `count` runs of `client`, the newest first."""
    first = TaskRun.objects.get(pk=started(client))
    rows = []
    for number in range(1, count):
        row = TaskRun.objects.defer(None).get(pk=first.pk)  # copied whole
        row.pk = f"00000000-0000-4000-8000-{number:012}"
        row.idempotency_key = None
        rows.append(row)
    TaskRun.objects.bulk_create(rows)
    return list(TaskRun.objects.values_list("pk", flat=True))


@pytest.mark.parametrize(("count", "older"), [(1, False), (50, False), (51, True), (120, True)])
def test_the_page_says_that_there_are_older_runs_and_leads_to_every_one(count, older):
    alice = visitor()
    ids = many(alice, count)
    page = alice.get("/").content.decode()
    [(hidden, notice)] = re.findall(r'<p class="older" id="older"( hidden)?>(.*?)</p>', page)
    assert bool(hidden) is not older
    assert "newest 50 runs" in notice
    assert alice.get("/api/runs/").json()["more"] is older
    seen, path = [], "/"
    while path:
        page = alice.get(path).content.decode()
        seen += re.findall(r'data-run="([^"]+)"', page.split("<template")[0])
        to = re.search(r'href="(/\?page=\d+)#runs-title" rel="next"', page)
        path = to[1] if to and len(seen) < count else ""
    assert sorted(seen) == sorted(ids)


@pytest.mark.parametrize("page", ["0", "-1", "x", "99999999999", "٣", ""])
def test_a_page_that_is_none_is_the_first(page):
    assert visitor().get("/", {"page": page}).status_code == 200


def test_beyond_the_last_page_it_says_so():
    assert "There are no older runs." in visitor().get("/?page=7").content.decode()


def test_the_feed_says_whether_there_are_more(monkeypatch):
    monkeypatch.setattr(feeds, "HOME_RUNS", 2)
    alice = signed_in("alice")
    for count, more in ((0, False), (2, False), (3, True)):
        while TaskRun.objects.count() < count:
            started(alice)
        found = alice.get("/api/runs/").json()
        assert (len(found["task_ids"]), found["more"]) == (min(count, 2), more)


# --- what is gone ----------------------------------------------------------------------------------------------------

BUTTONS = ["/tasks/{}/cancel/", "/tasks/{}/retry/", *of_downloads("/downloads/{}/missing/")]


@pytest.mark.parametrize("button", BUTTONS)
@pytest.mark.parametrize("why", ["deleted", "a stranger's", "signed out"])
@pytest.mark.parametrize("debug", [False, True])
def test_a_button_of_what_is_gone_leads_to_a_page_that_says_so_with_the_way_back(button, why, debug, settings):
    settings.DEBUG = debug  # then Django's own 404 would be for programmers
    alice = signed_in("alice")
    task_id = started(alice)
    who = signed_in("bob") if why == "a stranger's" else alice
    if why == "deleted":
        TaskRun.objects.all().delete()
    if why == "signed out":
        alice.logout()
    answer = who.post(button.format(task_id))
    page = answer.content.decode()
    assert answer.status_code == 404
    assert "This run is not there any more" in page
    assert re.search(r"Nothing was (cancelled|started)\.", page)
    assert re.search(r'<main.*<a href="/">← My runs</a>', page, re.DOTALL)
    assert ('<a href="/login/">Log in</a>, if' in page) is (why == "signed out")
    told = who.post(button.format(task_id), headers={"Accept": "application/json"})
    assert told.status_code == 404
    assert "not there any more" in told.json()["errors"]["task"][0]


@pytest.mark.parametrize("button", BUTTONS)
def test_who_has_to_log_in_first_comes_back_to_the_page_of_the_button(button, settings):
    settings.TASKS_REQUIRE_LOGIN = True
    answer = Client().post(button.format("t1"), headers={"Referer": "http://testserver/tasks/t1/?x=1"})
    assert answer["Location"] == "/login/?next=/tasks/t1/%3Fx%3D1"
    for elsewhere in ("http://evil.example/tasks/", "", "javascript:alert(1)"):
        answer = Client().post(button.format("t1"), headers={"Referer": elsewhere})
        assert answer["Location"] == "/login/?next=/"


def test_who_is_not_signed_in_is_told_where_to(settings):
    anybody, alice = visitor(), signed_in("alice")
    assert anybody.get("/api/tasks/t1/").json()["login"] == "/login/"
    assert "login" not in alice.get("/api/tasks/t1/").json()
    assert "signed-in" in alice.get(f"/tasks/{started(alice)}/").content.decode()
    assert " signed-in" not in anybody.get("/").content.decode()
    settings.TASKS_REQUIRE_LOGIN = True
    answer = anybody.get("/api/tasks/t1/")
    assert (answer.status_code, answer.json()["login"]) == (401, "/login/")
