"""The home page's first HTML: what runs, what waits and why, what has ended; parts under their parent; the dialogs."""

from __future__ import annotations

import re

import pytest
from django.test import Client
from django.utils import timezone

from tasks.models import State, TaskRun
from tasks.web import home
from tasks.web.access import Viewer
from tasks.web.feeds import mine
from tests.downloads import of_downloads

from .people import started, visitor

pytestmark = pytest.mark.django_db


def stored(client: Client, pk: str, state: State, **more: object) -> str:
    given: dict[str, object] = {"name": "tests.echo", "queue": "celery", "accepted_at": timezone.now()}
    given |= {"session_key": client.session.session_key, "id": pk, "state": state}
    if state in (State.SUCCESS, State.FAILURE, State.REVOKED):
        given |= {"finished_at": timezone.now()}
    TaskRun.objects.create(**{**given, **more})
    return pk


def groups(html: str) -> dict[str, list[str]]:
    lists = re.findall(r'<ul class="runs" id="(\w+)".*?>(.*?)</ul>', html, re.DOTALL)
    return {name: re.findall(r'data-run="([^"]+)"', rows) for name, rows in lists}


def test_what_runs_is_first_then_what_waits_then_what_has_ended_and_parts_are_under_their_parent():
    client = visitor()
    ended = [stored(client, f"end-{state}", state) for state in (State.SUCCESS, State.FAILURE, State.REVOKED)]
    stored(client, "runs", State.STARTED, attempt=1)
    stored(client, "waits", State.PENDING)
    stored(client, "again", State.RETRY, attempt=1)
    stored(client, "starts", State.SUCCESS, accepted_at=timezone.now())
    stored(client, "part-1", State.SUCCESS, parent_id="starts")
    stored(client, "part-2", State.PENDING, parent_id="starts")
    stored(client, "orphan", State.SUCCESS, parent_id="pruned")
    html = client.get("/").content.decode()
    assert groups(html) == {
        "running": ["starts", "runs"],  # its parts have not all ended
        "waiting": ["again", "waits"],
        "ended": ["orphan", *reversed(ended)],
    }
    assert "2 parts: 1 done, 1 waiting" in html
    told = mine(Viewer(session_key=client.session.session_key or ""))["task_ids"]
    assert set(told) == {one for ids in groups(html).values() for one in ids}  # type: ignore[arg-type]
    TaskRun.objects.filter(pk="part-2").update(state=State.FAILURE, finished_at=timezone.now())
    assert "starts" in groups(client.get("/").content.decode())["ended"]


def test_the_failed_alone_and_older_ones_are_reached_without_script(monkeypatch):
    monkeypatch.setattr(home, "HOME_RUNS", 2)
    client = visitor()
    for number in range(3):
        stored(client, f"bad-{number}", State.FAILURE)
        stored(client, f"good-{number}", State.SUCCESS)
    first = client.get("/?show=failed").content.decode()
    assert groups(first)["ended"] == ["bad-2", "bad-1"]
    (older,) = re.findall(r'href="(/\?page=2[^"#]*)', first)
    second = client.get(older.replace("&amp;", "&")).content.decode()
    assert groups(second)["ended"] == ["bad-0"]
    assert "show=failed" in re.findall(r'<a href="([^"]*)" rel="prev"', second)[0]


@pytest.mark.parametrize(
    ("waits", "told"),
    [
        ([], None),
        ([("a", None)], None),
        ([("a", None), ("b", "run b")], ("b: ", "run b")),
        ([("b", "run b"), ("c", "run c"), ("c", "run c")], ("c: ", "run c")),
    ],
)
def test_one_banner_tells_the_command_that_helps_most(waits, told):
    states = [
        {
            "waiting": {
                "reason": "queued",
                "hint": f"{name}: {command or ''}",
                **({"command": command} if command else {}),
            }
        }
        for name, command in waits
    ]
    banner = home.banner_of(states)  # type: ignore[arg-type]
    assert banner == (told and {"text": told[0], "command": told[1]})


def test_without_a_worker_the_banner_has_the_command_and_the_rows_do_not_repeat_it(valkey, monkeypatch):
    monkeypatch.setattr("tasks.runs.waiting._client", None)  # that of another server, where a test before had none
    monkeypatch.setattr("tasks.runs.waiting.FRESH", -1)
    client = visitor()
    started(client)
    started(client)
    html = client.get("/").content.decode()
    command = re.findall(r'<code id="banner-command">(.*?)</code>', html)
    assert len(command) == 1 and " worker " in command[0]
    assert html.count(" data-told>") == 2


def test_dialogs_are_opened_by_an_address_and_by_what_is_wrong_in_them():
    client = visitor()

    def opened(html: str) -> list[str]:
        return re.findall(r'<dialog id="(\w+)"[^>]* open>', html)

    assert opened(client.get("/").content.decode()) == []
    assert opened(client.get("/?open=start").content.decode()) == ["start"]
    assert opened(client.get("/?open=download").content.decode()) == [*of_downloads("download")]
    assert opened(client.get("/?task=demo_task").content.decode()) == ["start"]
    assert opened(client.post("/tasks/start/", {"steps": "0"}).content.decode()) == ["start"]
    assert opened(client.post("/downloads/", {"launcher": ""}).content.decode()) == [*of_downloads("download")]
    assert opened(client.get("/?open=nonsense").content.decode()) == []


def test_start_task_alone_starts_the_first_task_with_its_own_values():
    client = visitor()
    html = client.get("/").content.decode()
    form, _tour = re.findall(r'<form class="start" method="post" action="/tasks/start/">(.*?)</form>', html, re.DOTALL)
    assert re.findall(r"<button[^>]*>(.*?)</button>", form) == ["Start Task"]
    assert client.post("/tasks/start/", {}).status_code == 302
    run = TaskRun.objects.get()
    assert (run.name, run.kwargs) == ("tasks.tasks.long_running_task", {})


def test_the_strip_is_a_dot_while_all_is_up(monkeypatch):
    part = {"ok": True, "text": "up", "hint": "start it"}
    parts = {name: {**part} for name in ("web", "broker", "workers", "queue", "flower")}
    monkeypatch.setattr("tasks.templatetags.runs.status", lambda: parts)
    client = visitor()
    assert "data-wrong" not in client.get("/").content.decode()
    parts["broker"]["ok"] = False
    assert "data-wrong" in client.get("/").content.decode()


def test_the_failed_parts_are_started_again_once_by_one_click():
    client, stranger = visitor(), visitor()
    stored(client, "starts", State.SUCCESS)
    task = {"name": "tasks.tasks.demo_task", "parent_id": "starts"}
    for pk, state in (
        ("good", State.SUCCESS),
        ("bad", State.FAILURE),
        ("worse", State.FAILURE),
        ("off", State.REVOKED),
    ):
        stored(client, pk, state, **task)
    assert ">Run the failed again<" in client.get("/").content.decode()
    again = {"from": "failed"}
    assert stranger.post("/tasks/starts/retry/", again).status_code == 404
    answer = client.post("/tasks/starts/retry/", again, headers={"Accept": "application/json"})
    assert (answer.status_code, len(answer.json()["task_ids"])) == (202, 2)
    assert set(TaskRun.objects.exclude(retry_of=None).values_list("retry_of", flat=True)) == {"bad", "worse"}
    answer = client.post("/tasks/starts/retry/", again, headers={"Accept": "application/json"})
    assert answer.status_code == 409 and TaskRun.objects.count() == 7
    assert client.post("/tasks/starts/retry/", again).status_code == 302


def test_the_empty_home_offers_a_tour_which_leads_to_its_own_page():
    client = visitor()
    html = client.get("/").content.decode()
    (form,) = re.findall(r"<form((?:(?!<form).)*?)Take the tour</button>", html, re.DOTALL)
    assert 'action="/tasks/start/"' in form
    fields = dict(re.findall(r'name="(\w+)" value="(\w+)"', form))
    del fields["csrfmiddlewaretoken"]
    answer = client.post("/tasks/start/", fields)
    run = TaskRun.objects.get()
    assert (run.name, answer.status_code, answer["Location"]) == ("tasks.tasks.tour", 302, f"/tasks/{run.pk}/")
    assert "Take the tour" not in client.get("/?page=2").content.decode()
    assert "Take the tour" not in client.get("/?show=failed").content.decode()


@pytest.mark.parametrize("debug", [True, False])
def test_the_tour_speaks_of_a_kill_in_development_alone(settings, debug):
    settings.DEBUG = debug
    assert ("Kill its worker" in visitor().get("/").content.decode()) == debug


def test_a_site_without_the_demo_tasks_offers_no_tour(monkeypatch):
    monkeypatch.setattr("tasks.startable._registered", [])
    html = visitor().get("/").content.decode()
    assert "No runs yet." in html and "tour" not in html
