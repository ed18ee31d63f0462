"""One bad row of every kind among two hundred good ones: the good ones do not notice, and no page breaks."""

from __future__ import annotations

import time

import pytest

from tests.waiting import wait_until

from .many import start_many
from .poison import insert

GOOD = 200
#: Lines that one bad row may cost in all logs together, and what all may cost in five seconds when all have ended.
LINES_EACH = 40


@pytest.mark.timeout(240)
def test_two_hundred_good_runs_do_not_notice_a_bad_row_of_every_kind(new_stack, rows, fault):
    fault = fault("16", "a bad row of every kind among 200 good ones")
    stack = new_stack().start(workers=0)
    table = rows(stack)
    make = "User.objects.create_user('sarah', password='a long password', is_staff=True)"
    stack.shell(f"from django.contrib.auth import get_user_model; User = get_user_model(); {make}")
    stack.visitor("sarah").post("/login/", {"username": "sarah", "password": "a long password"})
    good, _ = start_many(stack, GOOD, "counted", seconds=0.05)
    bad = insert(table, stack.visitor().cookie("sessionid"), postgres="DATABASE_URL" in stack.env)
    look(stack, bad)

    fault.begins()
    for name in ("w1", "w2"):
        stack.start_worker(name, concurrency=2, wait=False)
    wait_until(lambda: ended(table, good) == GOOD, 60, lambda: str(table.states()))
    seconds = fault.seconds
    table.assert_ended_once(good)
    table.assert_effects_once(good)
    assert sum(table.run(one)["attempt"] for one in good) == GOOD
    look(stack, bad)

    wait_until(lambda: not wrong(table, bad), 30, lambda: "\n".join(wrong(table, bad)), every=0.5)
    look(stack, bad)
    for worker in stack.workers.values():
        assert worker.alive
    before = lines(stack)
    later = time.monotonic() + 5
    wait_until(lambda: time.monotonic() > later, 10)
    more = lines(stack)[len(before) :]
    assert len(more) < 50, "\n".join(more[:200])
    loud = {pk: count for pk in bad if (count := sum(pk in line for line in before)) > LINES_EACH}
    assert not loud
    fault.measured(f"{len(bad)} kinds; all good done after {seconds:.1f} s, each once; no page broke", "the same")


def ended(table, ids):
    found = dict(table.query("SELECT id, state FROM tasks_taskrun"))
    return sum(found[one] == "SUCCESS" for one in ids)


def wrong(table, bad):
    """Bad rows that have not the end that they must have, or none that says why."""
    rows = {pk: (state, error) for pk, state, error in table.query("SELECT id, state, error FROM tasks_taskrun")}
    found = []
    for pk, one in bad.items():
        state, error = rows[pk]
        if state not in one.ends:
            found.append(f"{pk} is {state} ({error}), and should be one of {one.ends}")
        elif state == "FAILURE" and not error and pk != "error-none":
            found.append(f"{pk} is {state} without a reason")
    return found


def look(stack, bad):
    """No page breaks, and no socket closes."""
    broken = []
    for name, path in (("alice", "/"), ("alice", "/api/runs/"), ("alice", "/api/status/"), ("sarah", "/runs/")):
        if (status := stack.visitor(name).get(path).status) != 200:
            broken.append((path, status))
    for pk in bad:
        for path in (f"/tasks/{pk}/", f"/api/tasks/{pk}/"):
            if (status := stack.get(path).status) != 200:
                broken.append((path, status))
    assert not broken
    watcher = stack.visitor().watch_list(*list(bad)[:100])
    wait_until(lambda: watcher.closed or len(watcher.views) >= min(len(bad), 100) - 5, 10, lambda: str(watcher))
    assert not watcher.closed
    watcher.close()


def lines(stack):
    """All that all processes have said."""
    return [line for _, text in stack.logs(last=1_000_000) for line in text.splitlines()]
