"""The addresses of the pages: what they accept, what they refuse and how, and who may use them."""

from __future__ import annotations

import json
import re

import pytest
from django.test import Client

from django_starter.processes.ports import free_port
from tasks import runs
from tasks.models import State, TaskRun
from tasks.runs import waiting

from .people import signed_in, start, started, visitor

pytestmark = pytest.mark.django_db


def test_a_start_answers_with_the_addresses_of_its_run():
    alice = visitor()
    answer = start(alice, {"steps": 5, "delay": 0})
    run = TaskRun.objects.get()
    assert answer.status_code == 202
    assert answer.json() == {
        "task_id": run.pk,
        "state": "PENDING",
        "url": f"/tasks/{run.pk}/",
        "ws_url": f"ws://testserver/ws/progress/{run.pk}/",
    }
    assert run.name == "tasks.tasks.long_running_task"
    assert run.kwargs == {"steps": 5, "delay": 0}
    assert run.session_key == alice.session.session_key


def test_everything_in_a_start_may_be_left_out():
    assert start(visitor()).status_code == 202
    assert start(visitor(), {"task": "demo_task"}).status_code == 202
    names = TaskRun.objects.order_by("accepted_at").values_list("name", flat=True)
    assert list(names) == ["tasks.tasks.long_running_task", "tasks.tasks.demo_task"]


def test_a_form_without_javascript_goes_back_home_where_the_run_is_listed():
    alice = visitor()
    answer = alice.post("/tasks/start/", {"task": "long_running_task", "steps": "3", "delay": "0"})
    assert (answer.status_code, answer["Location"]) == (302, "/")
    assert TaskRun.objects.get().pk in alice.get("/").content.decode()


@pytest.mark.parametrize(
    ("body", "field", "says"),
    [
        ({"task": "rm_rf"}, "task", "long_running_task"),
        ({"steps": -1}, "steps", "from 1 to 10,000"),
        ({"steps": 0}, "steps", "from 1 to 10,000"),
        ({"steps": 10_001}, "steps", "from 1 to 10,000"),
        ({"steps": "x"}, "steps", "whole number"),
        ({"steps": 1.5}, "steps", "whole number"),
        ({"steps": [1]}, "steps", "steps must be a number or a string"),
        ({"steps": True}, "steps", "steps must be a number or a string"),
        ({"delay": 5.1}, "delay", "from 0 to 5"),
        ({"delay": -0.1}, "delay", "from 0 to 5"),
        ({"delay": "NaN"}, "delay", "from 0 to 5"),
        ([], "body", "JSON object"),
        ("text", "body", "JSON object"),
    ],
)
def test_bad_input_is_refused_with_the_field_and_what_is_allowed(body, field, says):
    answer = start(visitor(), body)
    assert answer.status_code == 400
    assert says in " ".join(answer.json()["errors"][field])
    assert not TaskRun.objects.exists()


@pytest.mark.parametrize("body", ["{", "\x00", "[" * 100_000, '{"steps": 1e999}', '{"steps": NaN}'])
def test_a_body_that_is_not_usable_json_is_refused(body):
    answer = Client().post("/tasks/start/", body, content_type="application/json")
    assert answer.status_code == 400
    assert answer.json()["errors"]


def test_a_huge_body_and_a_strange_content_type_are_refused():
    huge = json.dumps({"task": "x" * 100_000})
    assert Client().post("/tasks/start/", huge, content_type="application/json").status_code in (400, 413)
    assert Client().post("/tasks/start/", "<x/>", content_type="application/xml").status_code in (400, 415)


def test_a_form_with_errors_shows_them_and_keeps_what_was_typed():
    answer = visitor().post("/tasks/start/", {"task": "long_running_task", "steps": "12345", "delay": "0.25"})
    page = answer.content.decode()
    assert answer.status_code == 400
    assert "steps must be a whole number from 1 to 10,000." in page
    assert 'value="12345"' in page
    assert 'value="0.25"' in page


def test_a_start_without_a_csrf_token_is_refused():
    client = Client(enforce_csrf_checks=True)
    assert client.post("/tasks/start/", {}).status_code == 403
    assert not TaskRun.objects.exists()


def test_only_post_starts_cancels_and_retries():
    alice = visitor()
    task_id = started(alice)
    for address in ("/tasks/start/", f"/tasks/{task_id}/cancel/", f"/tasks/{task_id}/retry/"):
        assert alice.get(address).status_code == 405, address


def test_the_same_key_gives_the_same_run_to_the_same_visitor_only():
    alice, bob = signed_in("alice"), signed_in("bob")
    first = start(alice, {"steps": 1}, **{"Idempotency-Key": "k1"}).json()["task_id"]
    assert start(alice, {"steps": 1}, **{"Idempotency-Key": "k1"}).json()["task_id"] == first
    assert start(alice, {"steps": 1}, **{"Idempotency-Key": "k2"}).json()["task_id"] != first
    assert start(bob, {"steps": 1}, **{"Idempotency-Key": "k1"}).json()["task_id"] != first
    assert TaskRun.objects.count() == 3


@pytest.mark.parametrize("key", ["a b", "x" * 129, "é"])
def test_a_key_that_cannot_be_one_is_refused(key):
    answer = start(visitor(), {}, **{"Idempotency-Key": key})
    assert answer.status_code == 400
    assert "Idempotency-Key" in answer.json()["errors"]


def addresses(task_id):
    return {
        "page": ("get", f"/tasks/{task_id}/"),
        "snapshot": ("get", f"/api/tasks/{task_id}/"),
        "cancel": ("post", f"/tasks/{task_id}/cancel/"),
        "retry": ("post", f"/tasks/{task_id}/retry/"),
    }


def without_secrets(answer, task_id):
    """The page without what differs from one answer to the next: the id, CSRF tokens, and how long the queue is now."""
    text = re.sub(r"[A-Za-z0-9]{64}", "token", answer.content.decode().replace(task_id, "id"))
    return re.sub(r"Queue <b>.*?</b>", "", text)


@pytest.mark.parametrize("what", addresses(""))
def test_bob_and_charlie_get_the_same_answer_for_alices_task_and_for_none(what):
    task_id = started(signed_in("alice"))
    bob, charlie = signed_in("bob"), visitor()
    for other in (bob, charlie):
        method, address = addresses(task_id)[what]
        _, nowhere = addresses("00000000-0000-0000-0000-000000000000")[what]
        theirs, none = getattr(other, method)(address), getattr(other, method)(nowhere)
        assert theirs.status_code == none.status_code == 404
        assert without_secrets(theirs, task_id) == without_secrets(none, "00000000-0000-0000-0000-000000000000")
    assert TaskRun.objects.get().cancel_requested_at is None


def test_an_anonymous_owner_and_staff_may_see_it():
    alice = visitor()
    task_id = started(alice)
    staff = signed_in("staff", is_staff=True)
    for who in (alice, staff):
        assert who.get(f"/tasks/{task_id}/").status_code == 200
        assert who.get(f"/api/tasks/{task_id}/").json()["task"]["id"] == task_id


def test_who_signs_out_sees_it_no_longer():
    alice = signed_in("alice")
    task_id = started(alice)
    alice.logout()
    assert alice.get(f"/tasks/{task_id}/").status_code == 404


def test_home_lists_ones_own_runs_only():
    alice, bob = signed_in("alice"), signed_in("bob")
    hers, his = started(alice), started(bob)
    page = alice.get("/").content.decode()
    assert hers in page
    assert his not in page


def test_the_snapshot_has_an_etag_and_is_not_sent_twice():
    alice = visitor()
    address = f"/api/tasks/{started(alice)}/"
    first = alice.get(address)
    again = alice.get(address, headers={"If-None-Match": first["ETag"]})
    assert (first.status_code, again.status_code, again.content) == (200, 304, b"")


def test_cancel_of_a_waiting_task_revokes_it_at_once():
    alice = visitor()
    task_id = started(alice)
    answer = alice.post(f"/tasks/{task_id}/cancel/", headers={"Accept": "application/json"})
    assert (answer.status_code, answer.json()["state"]) == (202, "REVOKED")
    again = alice.post(f"/tasks/{task_id}/cancel/", headers={"Accept": "application/json"})
    assert again.status_code == 409


def test_retry_makes_a_linked_run_once_the_first_has_ended():
    alice = visitor()
    task_id = started(alice, steps=7, delay=0)
    accept = {"Accept": "application/json"}
    assert alice.post(f"/tasks/{task_id}/retry/", headers=accept).status_code == 409
    runs.cancel(task_id)
    again = TaskRun.objects.get(pk=alice.post(f"/tasks/{task_id}/retry/", headers=accept).json()["task_id"])
    assert (again.retry_of, again.kwargs, again.state) == (task_id, {"steps": 7, "delay": 0.0}, State.PENDING)
    assert again.session_key == alice.session.session_key


@pytest.mark.parametrize("task_id", ["..", "x" * 65, "a b", "<script>", "'--", "é"])
def test_ids_that_no_task_has_are_not_found(task_id):
    for address in addresses(task_id).values():
        assert getattr(visitor(), address[0])(address[1]).status_code == 404, address


def test_the_traceback_of_a_failure_is_for_staff():
    alice = visitor()
    task_id = started(alice)
    TaskRun.objects.filter(pk=task_id).update(
        state=State.FAILURE,
        finished_at="2026-01-01T00:00:00Z",
        error={"type": "ValueError", "message": "no <b>such</b> order"},
        traceback="Traceback: secret line",
    )
    page = alice.get(f"/tasks/{task_id}/").content.decode()
    assert "no &lt;b&gt;such&lt;/b&gt; order" in page
    assert "secret line" not in page
    assert "secret line" not in alice.get(f"/api/tasks/{task_id}/").content.decode()
    assert "secret line" in signed_in("staff", is_staff=True).get(f"/tasks/{task_id}/").content.decode()


def test_pages_and_starts_work_while_redis_is_away(settings, monkeypatch):
    settings.REDIS_URL = settings.PROGRESS_REDIS_URL = f"redis://127.0.0.1:{free_port()}/0"
    monkeypatch.setattr(waiting, "_client", None)  # made anew, for this address
    monkeypatch.setattr(waiting, "_last", waiting.Pulse(reachable=True))
    alice = visitor()
    assert alice.get("/").status_code == 200
    task_id = started(alice)
    task = alice.get(f"/api/tasks/{task_id}/").json()["task"]
    assert task["waiting"]["reason"] == "broker_down"
    assert "stored" in task["waiting"]["hint"]
