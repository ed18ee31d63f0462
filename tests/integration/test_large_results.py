"""Results of a megabyte: lists carry none, and nobody loads one that is not shown."""

from __future__ import annotations

from typing import Any, cast

import pytest
from django.conf import settings
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from progress.source import Handshake
from tasks.models import State, TaskRun
from tasks.web import services
from tasks.web.access import Viewer
from tasks.web.source import RunSource

from .people import signed_in, started

pytestmark = pytest.mark.django_db

LARGE: list[Any] = ["é" * 1_000] * 400
COUNT = 20


@pytest.fixture
def alice() -> Client:
    return signed_in("alice", is_staff=True, is_superuser=True)


@pytest.fixture
def ids(alice) -> list[str]:
    """Ended runs of alice's, each with a large result and a long traceback."""
    first = started(alice)
    run = TaskRun.objects.get(pk=first)
    rows = [
        TaskRun(name=run.name, queue="celery", owner=run.owner, accepted_at=timezone.now(), message=run.message)
        for _ in range(COUNT)
    ]
    TaskRun.objects.bulk_create(rows)
    ended = {"state": State.SUCCESS, "finished_at": timezone.now(), "traceback": "SECRET" * 2_000}
    TaskRun.objects.update(result=LARGE, **ended)
    return [row.pk for row in rows]


def admit(alice: Client, ids: list[str]) -> list[Any]:
    key = alice.cookies[settings.SESSION_COOKIE_NAME].value
    answers = RunSource().admit([Handshake({settings.SESSION_COOKIE_NAME: key}, one) for one in ids])
    return [state for _, state in answers]


def states(alice: Client, ids: list[str]) -> list[Any]:
    key = alice.cookies[settings.SESSION_COOKIE_NAME].value
    ((viewer, _),) = RunSource().admit([Handshake({settings.SESSION_COOKIE_NAME: key}, None)])
    return list(RunSource().states(cast("Viewer", viewer), ids).values())


def refresh(alice: Client, ids: list[str]) -> list[Any]:
    return list(RunSource().refresh(ids).values())


#: Everything that shows many runs: what it answers, as a text.
LISTS: dict[str, Any] = {
    "home": lambda alice, ids: alice.get("/").content.decode(),
    "everybody's runs": lambda alice, ids: alice.get("/runs/").content.decode(),
    "the feed": lambda alice, ids: alice.get("/api/runs/").content.decode(),
    "the admin": lambda alice, ids: alice.get("/admin/tasks/taskrun/").content.decode(),
    "sockets that open": lambda alice, ids: str(admit(alice, ids)),
    "a list socket": lambda alice, ids: str(states(alice, ids)),
    "a look at what waits": lambda alice, ids: str(refresh(alice, ids)),
}


@pytest.mark.parametrize("show", LISTS.values(), ids=LISTS)
def test_no_list_carries_or_loads_a_result(alice, ids, show):
    with CaptureQueriesContext(connection) as queries:
        shown = show(alice, ids)
    assert len(shown) < 500_000
    assert "ééé" not in shown
    assert "SECRET" not in shown
    for query in queries.captured_queries:
        columns = query["sql"].partition(" FROM ")[0]
        loaded = columns.replace('THEN "tasks_taskrun"."result"', "").replace('CAST("tasks_taskrun"."result"', "")
        loaded = loaded.replace('("tasks_taskrun"."result")::', "")
        assert '"result"' not in loaded, query["sql"]
        assert '"traceback"' not in loaded, query["sql"]


@pytest.mark.parametrize("ask", [admit, states, refresh])
def test_a_state_says_that_its_result_was_left_out(alice, ids, ask):
    for state in ask(alice, ids):
        assert (state["state"], state["result"], state["result_omitted"]) == ("SUCCESS", None, True)


@pytest.mark.parametrize("result", [None, 0, "", "short", [1, {"a": None}], False])
def test_a_result_that_is_small_is_shown_to_who_watches_its_run(alice, ids, result):
    TaskRun.objects.update(result=result)
    for ask in (admit, refresh):
        for state in ask(alice, ids):
            assert (state["result"], state["result_omitted"]) == (result, False)


def test_the_whole_result_is_at_the_runs_own_addresses(alice, ids):
    state = alice.get(f"/api/tasks/{ids[0]}/").json()["task"]
    assert (state["result"], state["result_omitted"]) == (LARGE, False)
    assert "é" * 1_000 in alice.get(f"/tasks/{ids[0]}/").content.decode()


def test_a_list_knows_no_more_queries_for_many_runs_than_for_few(alice, ids, monkeypatch):
    monkeypatch.setattr(services, "COUNT_FRESH", -1)  # "waiting" is counted anew for each of them
    with CaptureQueriesContext(connection) as many:
        alice.get("/")
    TaskRun.objects.filter(pk__in=ids[2:]).delete()
    with CaptureQueriesContext(connection) as few:
        alice.get("/")
    assert len(many) == len(few)
