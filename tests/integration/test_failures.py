"""Failures in groups: what is stored of each, and the staff's page of them."""

from __future__ import annotations

import importlib
import re
from datetime import timedelta
from typing import Any

import pytest
from celery import chain
from django.apps import apps
from django.db import connection
from django.test import Client
from django.utils import timezone

from tasks import runs
from tasks.models import IgnoredFailure, Release, State, TaskRun
from tasks.runs import failures, releases
from tasks.runs.bulk import act_on_all
from tasks.tasks import act_on_runs, demo_task

from .people import signed_in

pytestmark = pytest.mark.django_db

TRACEBACK = """Traceback (most recent call last):
  File "/srv/shop/orders.py", line 12, in save
    stock[sku]
KeyError: 'SKU-1'
"""
ERROR: Any = {"type": "KeyError", "message": "'SKU-1'"}
SAVE = "KeyError in save (shop/orders.py)"


@pytest.fixture
def staff() -> Client:
    return signed_in("sarah", is_staff=True)


def running(worker: str = "w1:7:abc") -> TaskRun:
    run = runs.claim(demo_task.delay().id, worker)
    assert run is not None
    return run


def failed(fingerprint: str | None = SAVE, ago: float = 0, **values: Any) -> TaskRun:
    """A run that failed `ago` minutes ago."""
    at = timezone.now() - timedelta(minutes=ago)
    values = {"name": demo_task.name, "queue": "celery", "worker": "w1:7:abc", "attempt": 1, "error": ERROR} | values
    values = {"accepted_at": at, "finished_at": at, "state": State.FAILURE} | values
    return TaskRun.objects.create(fingerprint=fingerprint, **values)


def text(page: bytes) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", page.decode()))


def groups(page: bytes) -> list[str]:
    return re.findall(r'<article[^>]* data-group="([^"]+)"', page.decode())


# --- what is stored ---------------------------------------------------------------------------------------------------


def test_a_claim_stores_the_release_and_a_failing_end_its_fingerprint(settings):
    settings.TASKS_RELEASE = "a1b2c3d"
    run = running()
    assert (run.release, run.fingerprint) == ("a1b2c3d", None)
    ended = runs.end(run.pk, State.FAILURE, attempt=1, error=ERROR, traceback=TRACEBACK)
    assert ended is not None and ended.fingerprint == SAVE
    run.refresh_from_db()
    assert (run.release, run.fingerprint) == ("a1b2c3d", SAVE)


def test_without_a_place_the_task_is_the_place():
    run = running()
    runs.end(run.pk, State.FAILURE, attempt=1, error={"type": "WorkerLost", "message": "gone"})
    run.refresh_from_db()
    assert run.fingerprint == "WorkerLost in tasks.tasks.demo_task"


@pytest.mark.parametrize("state", [State.SUCCESS, State.REVOKED])
def test_what_did_not_fail_has_no_fingerprint(state):
    run = running()
    runs.end(run.pk, state, attempt=1, error=None if state == State.SUCCESS else ERROR)
    run.refresh_from_db()
    assert run.fingerprint is None


def test_what_waited_for_a_failure_is_of_its_group():
    last: Any = chain(demo_task.si(), demo_task.si()).apply_async()
    run = runs.claim(last.parent.id, "w1")
    assert run is not None
    runs.end(run.pk, State.FAILURE, attempt=1, error=ERROR, traceback=TRACEBACK)
    assert TaskRun.objects.get(pk=last.id).fingerprint == SAVE


def test_a_worker_says_its_release_once_and_one_that_comes_back_is_new(settings, monkeypatch):
    said: set[str] = set()
    monkeypatch.setattr(releases, "_said", said)
    names = []
    for name in ("one", "one", "two", "one", ""):
        said.clear()  # another worker
        settings.TASKS_RELEASE = name
        releases.say()
        newest = releases.current()
        assert newest is not None
        names.append(newest.name)
    assert names == ["one", "one", "two", "one", "one"]
    assert Release.objects.count() == 2


def test_a_second_worker_of_a_release_does_not_make_it_newer(settings, monkeypatch):
    said: set[str] = set()
    monkeypatch.setattr(releases, "_said", said)
    settings.TASKS_RELEASE = "one"
    releases.say()
    since = Release.objects.get().since
    said.clear()
    releases.say()
    assert Release.objects.get().since == since


def test_failures_of_before_are_grouped_by_type_and_task():
    old, odd, done = failed(None), failed(None, error=None), failed(None, state=State.SUCCESS)
    module = importlib.import_module("tasks.migrations.0015_failures_and_releases")
    module.group_old_failures(apps, connection.schema_editor())
    for run, fingerprint in ((old, "KeyError in "), (odd, "Error in ")):
        run.refresh_from_db()
        assert run.fingerprint == fingerprint + demo_task.name
    done.refresh_from_db()
    assert done.fingerprint is None


# --- the page ---------------------------------------------------------------------------------------------------------


def test_equal_failures_are_one_group(staff):
    for ago in (1, 5, 60):
        failed(ago=ago)
    failed(
        "ValueError in load (shop/stock.py)", ago=3, worker="w2:9:def", error={"type": "ValueError", "message": "no"}
    )
    page = staff.get("/runs/failures/").content
    assert groups(page) == [SAVE, "ValueError in load (shop/stock.py)"]
    said = text(page)
    assert "3 times" in said and "w1" in said and "w2" in said and "&#x27;SKU-1&#x27;" in said


def test_new_since_the_release_is_said_of_those_alone_that_are(staff):
    Release.objects.create(name="a1b2c3d", since=timezone.now() - timedelta(minutes=10))
    failed(ago=1)
    failed("Old in save (shop/orders.py)", ago=2)
    failed("Old in save (shop/orders.py)", ago=60)
    page = staff.get("/runs/failures/").content.decode()
    parts = dict(re.findall(r'data-group="([^"]+)"(.*?)</article>', page, re.DOTALL))
    assert "new since a1b2c3d" in parts[SAVE] and "new since" not in parts["Old in save (shop/orders.py)"]
    since = staff.get("/runs/failures/?since=release").content
    assert "1 time" in text(since) and "2 times" not in text(since)
    failed("Older in save (shop/orders.py)", ago=60)
    assert "Older in save (shop/orders.py)" not in groups(staff.get("/runs/failures/?since=release").content)


def test_the_most_frequent_come_first_where_that_is_asked_for(staff):
    failed(ago=1)
    for _ in range(3):
        failed("Often in save (shop/orders.py)", ago=9)
    assert groups(staff.get("/runs/failures/").content)[0] == SAVE
    assert groups(staff.get("/runs/failures/?sort=most").content)[0] == "Often in save (shop/orders.py)"


def test_an_ignored_group_is_among_the_ignored_alone_and_comes_back(staff):
    failed()
    answer = staff.post("/runs/failures/", {"ignore": SAVE}, follow=True)
    assert groups(answer.content) == []
    ignored = IgnoredFailure.objects.get()
    assert (ignored.fingerprint, ignored.by) == (SAVE, "sarah")
    assert groups(staff.get("/runs/failures/?ignored=1").content) == [SAVE]
    staff.post("/runs/failures/?ignored=1", {"watch": SAVE})
    assert groups(staff.get("/runs/failures/").content) == [SAVE]


def test_those_that_were_not_run_again_are_run_again_by_a_run(staff):
    first, second, third = failed(), failed(), failed()
    failed("ValueError in load (shop/stock.py)")
    failed(None, retry_of=third.pk)
    page = staff.get("/runs/failures/").content.decode()
    found = re.search(r'formaction="(/runs/\?[^"]*)"', page.partition(f'data-group="{SAVE}"')[2])
    assert found is not None
    address = found[1].replace("&amp;", "&")
    asked = staff.post(address, {"action": "retry", "all": "1"})
    assert "Start 2 runs again?" in text(asked.content)
    staff.post(address, {"action": "retry", "all": "1", "confirmed": "1"})
    action, words, until = TaskRun.objects.get(name=act_on_runs.name).args
    assert act_on_all(action, words, until, "r") == {"done": 2, "not": 0}  # type: ignore[arg-type]
    again = TaskRun.objects.filter(state=State.PENDING, retry_of__isnull=False)
    assert set(again.values_list("retry_of", flat=True)) == {first.pk, second.pk}


@pytest.mark.parametrize(
    ("form", "status"),
    [
        ({"explode": SAVE}, 400),
        ({}, 400),
        ({"ignore": "E" * 300}, 404),
        ({"ignore": "no such"}, 404),
    ],
)
def test_nonsense_is_refused_with_a_sentence(staff, form, status):
    failed()
    assert staff.post("/runs/failures/", form).status_code == status
    assert not IgnoredFailure.objects.exists()


@pytest.mark.parametrize("query", ["page=x", "page=99", "since=never", "sort=odd", "ignored=2", "since=%F0"])
def test_an_odd_query_is_a_page(staff, query):
    failed()
    assert staff.get(f"/runs/failures/?{query}").status_code == 200


def test_a_group_that_is_pruned_meanwhile_is_no_error():
    group = failures.Group(SAVE, timezone.now(), timezone.now())
    failures.describe([group])
    assert group.newest == ""


def test_nothing_failed_is_said(staff):
    assert "Nothing has failed" in text(staff.get("/runs/failures/").content)
