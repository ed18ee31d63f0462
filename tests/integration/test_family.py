"""How the parts of a chord, a group and a chain stand: in lists, on pages and in the API, with links up and down."""

from __future__ import annotations

import re
from typing import Any

import pytest
from celery import chain, chord, group
from django.test import Client
from django.utils import timezone

from tasks import runs
from tasks.models import State, TaskRun
from tasks.runs.state import live_states
from tasks.tasks import demo_task

from .people import signed_in, started

pytestmark = pytest.mark.django_db


@pytest.fixture
def alice() -> Client:
    return signed_in("alice")


@pytest.fixture
def parent(alice) -> TaskRun:
    """A run of alice's that has ended well; what it has started is made by the test as its children."""
    run = TaskRun.objects.get(pk=started(alice, task="demo_task"))
    TaskRun.objects.filter(pk=run.pk).update(state=State.SUCCESS, finished_at=timezone.now())
    return run


def adopt(parent: TaskRun, *children: str) -> None:
    """What a worker notes of a task that starts others, and whose they are."""
    TaskRun.objects.filter(pk__in=children).update(parent_id=parent.pk, owner=parent.owner)


def end(task_id: str, state: str = State.SUCCESS) -> None:
    runs.claim(task_id, "w1")
    error: Any = {"type": "ValueError", "message": "no luck"} if state == State.FAILURE else None
    assert runs.end(task_id, state, attempt=1, error=error, result=None)


def chord_of(parent: TaskRun, count: int) -> tuple[list[str], str]:
    result: Any = chord([demo_task.si() for _ in range(count)])(demo_task.si())
    parts = [one.id for one in result.parent.results]
    adopt(parent, *parts, result.id)
    return parts, result.id


def text(page: bytes) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", page.decode()))


def links(page: bytes) -> set[str]:
    return set(re.findall(r'href="/tasks/([^/"]+)/', page.decode()))


def assert_told(alice: Client, run: str, said: str) -> None:
    staff = signed_in(f"staff {said}", is_staff=True)
    for client, address in ((alice, "/"), (alice, f"/tasks/{run}/"), (staff, "/runs/")):
        assert said in text(client.get(address).content), address
    parts = alice.get(f"/api/tasks/{run}/").json()["task"]["parts"]
    told = [f"{parts[name]} {name}" for name in ("done", "failed", "cancelled", "running", "waiting") if parts[name]]
    assert said == f"{parts['total']} parts: {', '.join(told)}"


def test_the_parent_of_a_chord_says_how_its_parts_stand(alice, parent):
    parts, body = chord_of(parent, 8)
    assert_told(alice, parent.pk, "8 parts: 8 waiting")
    runs.claim(parts[0], "w1")
    assert_told(alice, parent.pk, "8 parts: 1 running, 7 waiting")
    assert b"data-open" in alice.get(f"/tasks/{parent.pk}/").content
    end(parts[1], State.FAILURE)
    assert runs.end(parts[0], State.SUCCESS, attempt=1)
    for one in parts[2:]:
        end(one)
    assert_told(alice, parent.pk, "8 parts: 7 done, 1 failed")
    assert b"data-open" not in alice.get(f"/tasks/{parent.pk}/").content
    assert {*parts} <= links(alice.get(f"/tasks/{parent.pk}/").content)
    assert {parent.pk, body} <= links(alice.get(f"/tasks/{parts[0]}/").content)
    assert {parent.pk, *parts} <= links(alice.get(f"/tasks/{body}/").content)


@pytest.mark.parametrize("ended", [False, True])
def test_the_body_of_a_chord_says_how_what_it_waits_for_stands(alice, parent, ended):
    parts, body = chord_of(parent, 3)
    for one in parts[: 3 if ended else 1]:
        end(one)
    assert_told(alice, body, "3 parts: 3 done" if ended else "3 parts: 1 done, 2 waiting")
    assert {*parts} <= links(alice.get(f"/tasks/{body}/").content)


def test_what_started_a_group_says_how_its_tasks_stand(alice, parent):
    result: Any = group(demo_task.si(), demo_task.si()).apply_async()
    ids = [one.id for one in result.results]
    adopt(parent, *ids)
    end(ids[0])
    runs.cancel(ids[1])
    assert_told(alice, parent.pk, "2 parts: 1 done, 1 cancelled")
    assert {*ids} <= links(alice.get(f"/tasks/{parent.pk}/").content)


def test_the_links_of_a_chain_lead_both_ways(alice, parent):
    result: Any = chain(demo_task.si(), demo_task.si(), demo_task.si()).apply_async()
    first, second, third = result.parent.parent.id, result.parent.id, result.id
    adopt(parent, first, second, third)
    end(first)
    assert_told(alice, parent.pk, "3 parts: 1 done, 2 waiting")
    assert {second} <= links(alice.get(f"/tasks/{first}/").content)
    assert {first, third} <= links(alice.get(f"/tasks/{second}/").content)
    end(second)
    assert {second} <= links(alice.get(f"/tasks/{third}/").content), "let go, it still knows what was before it"


def test_a_run_without_parts_says_nothing_of_parts(alice, parent):
    page = alice.get(f"/tasks/{parent.pk}/").content
    assert "part" not in re.sub(r".*data-parts", "", text(page)).split("Steps")[0].replace("parts.js", "")[-40:]
    assert alice.get(f"/api/tasks/{parent.pk}/").json()["task"]["parts"] is None


def test_nobody_sees_the_parts_of_others(alice, parent):
    parts, _ = chord_of(parent, 2)
    bob = signed_in("bob")
    TaskRun.objects.filter(pk=parts[0]).update(owner=TaskRun.objects.get(pk=started(bob)).owner)
    assert parts[0] not in links(alice.get(f"/tasks/{parent.pk}/").content)


def test_the_parts_of_many_runs_are_asked_for_at_once(alice, parent, django_assert_max_num_queries):
    for _ in range(5):
        chord_of(parent, 2)
    rows = list(TaskRun.objects.all())
    with django_assert_max_num_queries(2):
        live_states(rows, {})
