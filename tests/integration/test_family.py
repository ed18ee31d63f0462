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
from tasks.runs.tree import MOST_LINKS, Part, family_of, tree
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


# --- as a tree --------------------------------------------------------------------------------------------------------


def drawn(parts: list[Part]) -> str:
    """`a > b > c`: links; `(a b) > c`: parts together, and what waits for them."""
    said = []
    for part in parts:
        one = part.run.pk if part.run else f"({drawn(part.parts)})"
        said.append(" > ".join([one, *(link.pk for link in part.then)]))
    return " ".join(said)


#: What is drawn of rows "name after group".
TREES = {
    "one part": (["a - -"], "a"),
    "two": (["a - -", "b - -"], "a b"),
    "a group that nothing follows": (["a - g", "b - g"], "a b"),
    "a chain": (["a - -", "b a -", "c b -"], "a > b > c"),
    "a chain, in another order": (["c b -", "b a -", "a - -"], "a > b > c"),
    "a chord": (["a - g", "b - g", "z g -"], "(a b) > z"),
    "a chord whose body is said to be in its group": (["a - g", "b - g", "z g g"], "(a b) > z"),
    "a chord and what follows it": (["y z -", "a - g", "b - g", "z g -"], "(a b) > z > y"),
    "a chord of chains": (["a - -", "b a g", "c - g", "z g -"], "(a > b c) > z"),
    "a chord of one": (["a - g", "z g -"], "a > z"),
    "two chords": (["a - g", "b - h", "c - g", "d - h", "y g -", "z h -"], "(a c) > y (b d) > z"),
    "a chord with two that wait": (["a - g", "b - g", "y g -", "z g -"], "(a b) > y > z"),
    "a chord within a chain": (["a - -", "b a g", "c a g", "z g -"], "a > b > c > z"),
    "its body is not there": (["a - g", "z h -"], "a z"),
    "in a circle": (["a b -", "b a -"], "a > b"),
    "after itself": (["a a -", "b g g"], "a b"),
}


@pytest.mark.parametrize("name", TREES)
def test_parts_are_drawn_as_a_tree(name):
    rows, said = TREES[name]
    found = []
    for row in rows:
        pk, after, group_id = (None if word == "-" else word for word in row.split())
        found.append(TaskRun(id=pk, after=after, group_id=group_id))
    assert drawn(tree(found)) == said


def test_the_page_draws_a_chord_below_its_parent_and_the_parent_above_its_part(alice, parent):
    parts, body = chord_of(parent, 2)
    page = alice.get(f"/tasks/{parent.pk}/").content.decode()
    (drawing,) = re.findall(r'<ol class="tree".*</ol>', page, re.DOTALL)
    below = drawing[drawing.index('id="parts"') :]
    assert re.findall(r'href="/tasks/([^/"]+)/', below) == [*sorted(parts, key=below.index), body]
    assert below.index("Together") < below.index(parts[0]) < below.index("then") < below.index(body)
    page = alice.get(f"/tasks/{parts[0]}/").content.decode()
    (drawing,) = re.findall(r'<ol class="tree".*</ol>', page, re.DOTALL)
    assert drawing.index(parent.pk) < drawing.index('aria-current="true"') < drawing.index(body)
    assert 'id="parts"' not in drawing


def test_what_waits_for_others_has_a_bar_once_it_runs(alice, parent):
    parts, body = chord_of(parent, 2)

    def bars() -> int:
        return alice.get(f"/tasks/{parent.pk}/").content.count(b"data-bar=")

    assert bars() == 2
    for one in parts:
        end(one)
    runs.claim(body, "w1")
    assert bars() == 3


def test_a_long_chain_is_shown_as_far_as_it_can_be_read(alice, parent):
    demo: Any = demo_task
    last: Any = chain(*[demo.si() for _ in range(3 * MOST_LINKS)]).apply_async()
    ids = [last.id]
    while last.parent is not None:
        last = last.parent
        ids.insert(0, last.id)
    TaskRun.objects.filter(pk__in=ids).update(owner=parent.owner)
    middle = TaskRun.objects.get(pk=ids[15])
    family = family_of(middle, TaskRun.objects.all())
    assert [one.pk for one in family.before] == ids[15 - MOST_LINKS : 15]
    assert [one.pk for one in family.after] == ids[16 : 16 + MOST_LINKS]


def test_a_run_that_stands_alone_has_no_tree_and_asks_for_none(alice, parent, django_assert_max_num_queries):
    with django_assert_max_num_queries(3):
        assert not family_of(parent, TaskRun.objects.all())
    assert "tree.css" not in alice.get(f"/tasks/{parent.pk}/").content.decode()
