"""What the pages, the list, the API and the admin say of a run: its tries, what is missing, and nothing untold."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from celery import shared_task
from django.test import Client
from django.utils import timezone

from tasks import runs
from tasks.celery.start import max_tries_of, start_of
from tasks.models import State, TaskRun
from tasks.runs.waiting import retry_waiting
from tasks.tasks import demo_task

from .people import signed_in

pytestmark = pytest.mark.django_db

NOW = timezone.now()
BEGAN: dict[str, Any] = {"attempt": 1, "sent_at": NOW, "started_at": NOW}
ERROR = {"type": "ValueError", "message": "no luck"}


@pytest.fixture
def staff() -> Client:
    return signed_in("sarah", is_staff=True, is_superuser=True)


def made(**values: Any) -> TaskRun:
    run = TaskRun.objects.get(pk=demo_task.delay().id)
    if values.get("state") in (State.SUCCESS, State.FAILURE, State.REVOKED):
        values.setdefault("finished_at", NOW)
    TaskRun.objects.filter(pk=run.pk).update(**values)
    run.refresh_from_db()
    return run


def text(page: bytes) -> str:
    """A page's words, without its scripts, its examples for the script, and its tags."""
    found = re.sub(r"<(script|template|select)\b.*?</\1>", " ", page.decode(), flags=re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", found)).replace("\u00a0", " ")


#: Runs that told nothing, in every state.
SILENT: dict[str, dict[str, Any]] = {
    "accepted": {"state": State.PENDING},
    "queued": {"state": State.PENDING, "sent_at": NOW},
    "started": {"state": State.STARTED, **BEGAN},
    "between two tries": {
        "state": State.RETRY,
        **BEGAN,
        "sent_at": None,
        "next_retry_at": NOW + timedelta(hours=1),
        "tries": 2,
    },
    "lost": {"state": State.RETRY, **BEGAN, "lost": 1, "next_retry_at": NOW},
    "failed": {"state": State.FAILURE, **BEGAN, "error": ERROR},
    "never started": {"state": State.FAILURE, "error": ERROR},
    "cancelled while it waited": {"state": State.REVOKED, "error": runs.CANCELLED},
    "cancelled while it ran": {"state": State.REVOKED, **BEGAN, "error": runs.CANCELLED},
}


@pytest.mark.parametrize("name", SILENT)
@pytest.mark.parametrize("address", ["/tasks/{}/", "/runs/"])
def test_of_a_run_that_told_nothing_no_page_tells_numbers(staff, name, address):
    run = made(**SILENT[name])
    page = staff.get(address.format(run.pk)).content
    bar = re.search(rb'role="progressbar"[^>]*>.*?</svg>', page, re.DOTALL)
    assert bool(bar) == (address != "/runs/" or not run.is_final)  # a list has no bar of what has ended
    assert not bar or (b"aria-valuenow" not in bar[0] and b'width="0%"' in bar[0])
    assert not re.search(r"\d %", text(page))
    if address == "/runs/":
        took = re.search(rb'<td data-cell="took">([^<]*)</td>', page)
        is_or_was_running = SILENT[name]["state"] != State.RETRY and "started_at" in SILENT[name]
        assert took and bool(took[1]) == is_or_was_running


@pytest.mark.parametrize("name", SILENT)
def test_the_time_of_a_run_has_no_hole_and_nothing_of_the_attempt_before(staff, name):
    page = staff.get(f"/tasks/{made(**SILENT[name]).pk}/").content.decode()
    (axis,) = re.findall(r'<ol class="axis".*?</ol>', page, re.DOTALL)
    queue, *attempts = [re.findall(r"\d\d:\d\d:\d\d", row) for row in re.findall(r"<li.*?</li>", axis, re.DOTALL)]
    begun = SILENT[name]["state"] != State.RETRY and "started_at" in SILENT[name]
    ended = SILENT[name]["state"] in (State.SUCCESS, State.FAILURE, State.REVOKED)
    assert len(queue) == (2 if begun or ended else 1)
    assert [len(one) for one in attempts] == ([2 if ended else 1] if begun else [])
    assert not begun or queue[1] == attempts[0][0]


# --- tries and lost workers -------------------------------------------------------------------------------------------

FOURTH = {"state": State.STARTED, **BEGAN, "attempt": 4, "tries": 4, "max_tries": 6}
SAID = "try 4 of 6 · worker lost 0 of 3"


def test_every_place_tells_tries_and_lost_workers_apart(staff):
    run = made(**FOURTH)
    for address in (f"/tasks/{run.pk}/", "/runs/", "/admin/tasks/taskrun/", f"/admin/tasks/taskrun/{run.pk}/change/"):
        said = text(staff.get(address).content)
        assert SAID in said, address
        assert "4 of 3" not in said, address
    told = staff.get(f"/api/tasks/{run.pk}/").json()["task"]
    assert {key: told[key] for key in ("attempt", "tries", "max_tries", "lost", "max_attempts")} == {
        "attempt": 4,
        "tries": 4,
        "max_tries": 6,
        "lost": 0,
        "max_attempts": 3,
    }


def test_the_owner_sees_it_in_my_runs():
    alice = signed_in("alice")
    answer = alice.post("/tasks/start/", {"task": "demo_task"}, headers={"Accept": "application/json"})
    TaskRun.objects.filter(pk=answer.json()["task_id"]).update(**FOURTH)
    assert SAID in text(alice.get("/").content)


def test_a_wait_between_two_tries_says_which_one_did_not_succeed():
    run = made(state=State.RETRY, **BEGAN, tries=3, max_tries=6, next_retry_at=NOW + timedelta(hours=1))
    assert retry_waiting(run)["hint"].startswith("Try 2 of 6 did not succeed; the next one starts at ")


@shared_task(bind=True, max_retries=5)
def stubborn(self: Any) -> None: ...


@shared_task(bind=True, max_retries=None)
def endless(self: Any) -> None: ...


@shared_task(autoretry_for=(OSError,), retry_kwargs={"max_retries": 7})
def automatic() -> None: ...


@shared_task(max_retries=0)
def once() -> None: ...


TASKS: dict[str, tuple[Any, int | None]] = {
    "max_retries": (stubborn, 6),
    "without an end": (endless, None),
    "by itself": (automatic, 8),
    "none": (once, 1),
    "nothing said": (demo_task, 4),
}


@pytest.mark.parametrize("name", TASKS)
def test_a_run_knows_how_often_it_may_be_tried(name):
    task, most = TASKS[name]
    assert max_tries_of(task) == most
    assert TaskRun.objects.get(pk=task.delay().id).max_tries == most


def test_a_retry_is_another_try_and_a_lost_worker_is_not():
    run = TaskRun.objects.get(pk=stubborn.delay().id)
    assert runs.claim(run.pk, "w1")
    again = start_of(stubborn, (), {}, {"retries": 1}, task_id=run.pk)
    values = {"message": again.message, "tries": again.tries, "max_tries": again.max_tries}
    assert runs.postpone(run.pk, 1, NOW, values)
    claimed = runs.claim(run.pk, "w1")
    assert claimed and (claimed.attempt, claimed.tries, claimed.lost) == (2, 2, 0)
    assert runs.lost(run.pk, "w1", send_again=False) == State.RETRY
    claimed = runs.claim(run.pk, "w2")
    assert claimed and (claimed.attempt, claimed.tries, claimed.lost) == (3, 2, 1)
    again_run = runs.again(made(state=State.FAILURE, **BEGAN, tries=4, error=ERROR))
    assert (again_run.tries, again_run.lost) == (1, 0)


# --- something is missing ---------------------------------------------------------------------------------------------


def test_a_success_in_which_something_is_missing_is_told_in_amber_everywhere(staff):
    run = made(state=State.SUCCESS, **BEGAN, progress={"missing": 2, "percent": 100})
    whole = made(state=State.SUCCESS, **BEGAN)
    for address in (f"/tasks/{run.pk}/", "/runs/"):
        page = staff.get(address).content
        assert "done, 2 missing" in text(page), address
        assert re.search(rb'state="SUCCESS"[^>]* missing>', page), address
    assert "⚠ demo_task" in staff.get(f"/tasks/{run.pk}/").content.decode()
    page = staff.get(f"/tasks/{whole.pk}/").content
    assert b" missing>" not in page and "✓ demo_task" in page.decode()
    assert staff.get(f"/api/tasks/{run.pk}/").json()["task"]["missing"] == 2
