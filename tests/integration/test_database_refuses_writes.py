"""A full disk or a read-only database: pages can be read, what writes says so with 503, and scripts get JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import InternalError, OperationalError, connection, transaction
from django.test import Client
from django.utils import timezone

from django_starter import health
from progress.seldom import Seldom
from tasks.models import State, TaskRun
from tests.downloads import of_downloads

from .people import signed_in, visitor

pytestmark = pytest.mark.django_db

WRITES = ("INSERT", "UPDATE", "DELETE", "CREATE", "REPLACE")

TROUBLE: dict[str, Exception] = {
    "a full disk": OperationalError("database or disk is full"),
    "read-only": OperationalError("attempt to write a readonly database"),
    "PostgreSQL read-only": InternalError("cannot execute INSERT in a read-only transaction"),
}


@contextmanager
def refusing(error: Exception) -> Iterator[None]:
    """The database takes no writes."""

    def wrapper(execute: Callable[..., Any], sql: str, *rest: Any) -> Any:
        transaction.set_rollback(False)  # that of the test itself, which no request has
        if sql.lstrip().upper().startswith(WRITES):
            raise error
        return execute(sql, *rest)

    with connection.execute_wrapper(wrapper):
        yield


@pytest.fixture(params=list(TROUBLE))
def trouble(request) -> Exception:
    return TROUBLE[request.param]


def stored(client: Client, **more: Any) -> str:
    """The id of a run of this client's."""
    owner = client.session.get("_auth_user_id")
    key = "" if owner else client.session.session_key
    values = {"name": "tasks.tasks.demo_task", "queue": "celery", "accepted_at": timezone.now(), **more}
    return TaskRun.objects.create(owner_id=owner, session_key=key or "", **values).pk


def people() -> dict[str, Client]:
    return {
        "nobody": Client(),
        "an anonymous visitor": visitor(),
        "alice": signed_in("alice"),
        "staff": signed_in("sarah", is_staff=True, is_superuser=True),
    }


@pytest.mark.slow
def test_every_page_can_be_read(trouble):
    for name, client in people().items():
        if name == "an anonymous visitor":
            client.get("/")
        task_id = stored(client) if name != "nobody" else "11111111-1111-4111-8111-111111111111"
        session = client.session
        session.pop("seen", None)  # as on the next day
        session.save()
        pages = ["/", "/login/", f"/tasks/{task_id}/", "/api/status/", "/api/runs/", f"/api/tasks/{task_id}/"]
        pages += ["/runs/", "/admin/", "/admin/tasks/taskrun/", f"/admin/tasks/taskrun/{task_id}/change/"]
        with refusing(trouble):
            for page in pages:
                allowed = (200,) if name == "staff" or page in pages[:2] else (200, 302, 404)
                assert client.get(page).status_code in allowed, (name, page)
                assert client.get(page, headers={"Accept": "application/json"}).status_code in allowed, (name, page)


def test_a_page_writes_nothing_once_its_visitor_is_known():
    alice = visitor()
    alice.get("/")
    alice.get("/")
    with refusing(AssertionError("a write")):
        assert alice.get("/").status_code == 200
    assert alice.get("/").cookies == {} or "sessionid" not in alice.get("/").cookies


def writes(client: Client, task_id: str, ended: str) -> dict[str, Callable[[dict[str, str]], Any]]:
    form = {"start_date": "2026-01-01", "end_date": "2026-01-02", "seller_id": "s1", "launcher": "alice"}

    def post(path: str, data: dict[str, Any] | None = None) -> Callable[[dict[str, str]], Any]:
        return lambda headers: client.post(path, data or {}, headers=headers)

    return {
        "start": post("/tasks/start/", {"steps": 1}),
        "cancel": post(f"/tasks/{task_id}/cancel/"),
        "run again": post(f"/tasks/{ended}/retry/"),
        **dict(of_downloads(("download", post("/downloads/", form)))),
        **dict(of_downloads(("fetch what is missing", post(f"/downloads/{ended}/missing/")))),
        "many at once": post("/runs/", {"action": "cancel", "run": task_id, "confirmed": "1"}),
        "log in": post("/login/", {"username": "sarah", "password": "a long password"}),
        "log in to the admin": post("/admin/login/", {"username": "sarah", "password": "a long password"}),
        "log out": post("/logout/"),
    }


WAYS = list(writes(Client(), "a", "b"))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("accept", ["application/json", "text/html"])
def test_every_write_says_in_a_sentence_that_nothing_was_changed(trouble, way, accept):
    sarah = signed_in("sarah", password="a long password", is_staff=True, is_superuser=True)
    name = "tasks.tasks.download_reports" if "missing" in way else "tasks.tasks.demo_task"
    kwargs = {"start_date": "2026-01-01", "end_date": "2026-01-02", "sellers": ["s1"], "launcher": "Alice"}
    message = {"args": [], "kwargs": kwargs, "options": {}}
    values = {"state": State.SUCCESS, "finished_at": timezone.now(), "result": {"days_failed": 1}, "message": message}
    task_id, ended = stored(sarah), stored(sarah, name=name, **values)
    before = list(TaskRun.objects.values_list("pk", "state", "cancel_requested_at"))
    client = Client() if "log in" in way else sarah
    with refusing(trouble):
        answer = writes(client, task_id, ended)[way]({"Accept": accept})
    assert answer.status_code == 503, answer.content[:500]
    assert int(answer["Retry-After"]) > 0
    if accept == "application/json":
        assert "try again" in answer.json()["error"]
    else:
        assert b"<h1>Try again in a moment</h1>" in answer.content
    transaction.set_rollback(False)  # the test's own transaction goes on
    assert list(TaskRun.objects.values_list("pk", "state", "cancel_requested_at")) == before


def test_an_outage_is_one_line_in_the_log(caplog, monkeypatch):
    monkeypatch.setattr("django_starter.answers._seldom", Seldom(60))
    alice = signed_in("alice")
    with refusing(OperationalError("disk I/O error")):
        for _ in range(20):
            assert alice.post("/tasks/start/", {"steps": 1}).status_code == 503
    lines = [one for one in caplog.records if one.name == "django_starter.answers"]
    assert len(lines) == 1
    assert not any(one.exc_info for one in caplog.records)


def test_what_is_asked_outside_of_a_view_is_no_broken_server_either():
    alice = signed_in("alice")
    alice.raise_request_exception = False

    def away(execute: Callable[..., Any], sql: str, *rest: Any) -> Any:
        raise OperationalError("server closed the connection unexpectedly")

    with connection.execute_wrapper(away):
        for headers in ({"Accept": "application/json"}, {"Accept": "text/html"}):
            assert alice.get("/runs/", headers=headers).status_code == 503


def test_ready_says_that_the_database_takes_no_writes(trouble, monkeypatch):
    monkeypatch.setattr(connection, "close", lambda: None)
    assert health.database() == ""
    with refusing(trouble), pytest.raises((OperationalError, InternalError)):
        health.database()
