"""A task that hangs: its silence is told, staff see where it is, and one with a bound is ended and goes on."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.waiting import wait_until


@pytest.mark.parametrize("kind", ["sleep", "lock", "socket", "c"])
def test_where_it_is_names_the_line_of_the_task_and_nothing_that_it_holds(stack, kind, tmp_path):
    gate = tmp_path / "gate"
    task_id = stack.start_job("hangs", kind, str(gate))
    wait_until(lambda: stack.task(task_id)["message"] == "row 612", 20, "it hangs")
    told = stack.manage("where", task_id)
    function = {"sleep": "sleep", "lock": "a_lock", "socket": "a_socket_read", "c": "c"}[kind]
    assert re.search(rf'hanging\.py", line \d+, in hang_in_{function}\n', told), told
    assert "in hangs" in told
    assert "tasks/celery/task.py" not in told, "what calls the task is not the task's"
    assert "4711" not in told.replace('"4711-do-not-show")', ""), "but for the line itself"
    gate.touch()
    stack.post(f"/tasks/{task_id}/cancel/")


def test_its_silence_is_told_and_taken_back_while_people_look(stack, staff, person, tmp_path):
    gate = tmp_path / "gate"
    sarah = person(stack, account=staff)
    task_id = sarah.visitor.start_job("quiet_soon", str(gate))
    page, home = sarah.open(f"/tasks/{task_id}/"), sarah.open("/")
    said = re.compile(r"no news for \d+\ss; last: row 612")
    for tab in (page, home):
        expect(tab.get_by_text(said).first).to_be_visible()
    every = sarah.open("/runs/?quiet=1")
    expect(every.get_by_role("row").filter(has_text="quiet_soon")).to_contain_text("no news for")
    page.get_by_role("button", name="Where is it?").click()
    expect(page.get_by_role("region", name="Where it is")).to_contain_text("in quiet_soon")
    gate.touch()
    for tab in (page, home):
        expect(tab.get_by_text("done", exact=True).first).to_be_visible()
        expect(tab.get_by_text(said).first).to_be_hidden()


@pytest.mark.parametrize("kind", ["sleep", "c"])
def test_one_that_hangs_is_ended_and_goes_on_where_it_was(stack, staff, person, kind, tmp_path):
    sarah = person(stack, account=staff)
    task_id = sarah.visitor.start_job("hangs_once", kind, str(tmp_path / "gate"))
    page = sarah.open(f"/tasks/{task_id}/")
    table = page.get_by_role("region", name="All attempts")
    expect(table.get_by_role("row").filter(has_text="it hung, and was ended")).to_be_visible(timeout=30_000)
    task = sarah.visitor.task(task_id)
    wait_until(lambda: sarah.visitor.task(task_id)["state"] == "SUCCESS", 60, "it ends well")
    task = sarah.visitor.task(task_id)
    assert task["result"] == [5, 6, 7, 8, 9], "what was done stays done"
    (left,) = task["attempts"]
    assert (left["how"], left["error"]["type"]) == ("hung", "Stalled")
    table.get_by_text("Where it hung").click()
    expect(table).to_contain_text(f"in hang_in_{kind}")
    expect(page.get_by_role("list", name="Log")).to_contain_text("It was here:")


def test_the_death_of_a_process_is_kept_with_its_signal(stack, tmp_path):
    task_id = stack.start_job("add_or_die", 1, 2, str(tmp_path / "trace"))
    task = stack.wait_state(task_id, "SUCCESS")
    (left,) = stack.task(task_id)["attempts"]
    assert (task["attempt"], left["how"], left["code"]) == (2, "lost", -9)
