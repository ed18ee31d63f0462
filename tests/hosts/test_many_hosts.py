"""Two web hosts, two worker hosts, one for the data, nginx in front: started here, watched there, and cut off."""

from __future__ import annotations

import re
import time

import pytest
from playwright.sync_api import Page, expect

from tests.waiting import wait_until


@pytest.fixture(scope="module")
def rows(site):
    rows = site.rows()
    yield rows
    rows.close()


@pytest.fixture
def tab(visitor):
    """Opens tabs of one visitor; all are closed at the end."""
    opened: list[Page] = []

    def open_tab(address: str) -> Page:
        opened.append(visitor.new_page())
        opened[-1].goto(address)
        return opened[-1]

    yield open_tab
    for page in opened:
        page.close()


#: Notes the longest time in ms without news of the task.
NOTE_SILENCE = """() => {
    window.longest = 0;
    let heard = performance.now();
    document.addEventListener("progress", () => {
        const now = performance.now();
        window.longest = Math.max(window.longest, now - heard);
        heard = now;
    });
}"""


def start_task(page: Page, **fields: str) -> str:
    """Click Start Task, or fill the dialog with these fields; the id of the run that appears."""
    before = page.locator("task-progress").count()
    if fields:
        page.get_by_role("button", name="Start…").click()
    for label, value in fields.items():
        page.get_by_label(re.compile(label, re.IGNORECASE)).first.fill(value)
    if fields:
        page.get_by_role("dialog").get_by_role("button", name="Start").click()
    else:
        page.get_by_role("button", name="Start Task").click()
    expect(page.locator("task-progress")).to_have_count(before + 1)
    return str(page.locator("task-progress").first.get_attribute("task-id"))


def state(page: Page):
    return page.locator("task-progress").first


def test_started_on_one_web_host_watched_on_the_other(site, tab):
    task_id = start_task(tab(site.address(8441)), steps="40", delay="0.1")
    there = tab(f"{site.address(8442)}/tasks/{task_id}/")
    expect(state(there)).to_have_attribute("connection", "live")
    expect(state(there)).to_have_attribute("state", "SUCCESS", timeout=30_000)
    expect(there.get_by_role("progressbar").first).to_have_attribute("aria-valuenow", "100")
    served = site.served()
    assert any(line.startswith(site.web1.address) and "/tasks/start/" in line for line in served)
    assert any(line.startswith(site.web2.address) and f"/tasks/{task_id}/" in line for line in served)
    assert not [line for line in served if line.startswith(site.web1.address) and f"/ws/progress/{task_id}/" in line]


def test_the_tasks_of_a_worker_host_that_is_cut_off_move_and_nothing_is_recorded_twice(site, rows):
    ids = [site.delay("counted", 9.0) for _ in range(1)]  # the first imports take a moment
    ids += [site.delay("counted", 9.0) for _ in range(3)]
    wait_until(lambda: all(rows.run(one)["worker"] for one in ids), 20, lambda: str([rows.run(one) for one in ids]))
    mine = [one for one in ids if rows.run(one)["worker"].startswith("work1@") and rows.run(one)["state"] == "STARTED"]
    assert mine, [rows.run(one) for one in ids]
    site.work1.cut()
    cut = time.monotonic()
    try:
        wait_until(lambda: all(moved(rows.run(one)) for one in mine), 20, lambda: str([rows.run(one) for one in mine]))
        print(f"{len(mine)} tasks of the host that was cut off had moved after {time.monotonic() - cut:.1f} s")
        time.sleep(max(0.0, 20 - (time.monotonic() - cut)))  # the machine that is away works on meanwhile
    finally:
        site.work1.join()
    rows.wait_all("SUCCESS", len(ids), 40)
    # It is back, and takes tasks again: what it wanted to write of the old ones it has tried by then.
    wait_until(
        lambda: rows.run(wait_started(site, rows))["worker"].startswith("work1@"), 60, lambda: "work1 takes tasks again"
    )
    rows.assert_ended_once(ids)
    rows.assert_effects_once(ids)


def moved(run) -> bool:
    return run["attempt"] == 2 and run["worker"].startswith("work2@")


def wait_started(site, rows) -> str:
    task_id = site.delay("echo", 1)
    wait_until(lambda: rows.run(task_id)["worker"], 20, lambda: str(rows.run(task_id)))
    return task_id


def test_the_viewers_of_a_web_host_that_is_cut_off_move_to_the_other(site, tab, tmp_path):
    # Long enough to be cut off, found out and watched again.
    task_id = start_task(tab(site.address(8442)), steps="700", delay="0.1")
    pages = [tab(f"{site.address()}/tasks/{task_id}/") for _ in range(4)]
    for page in pages:
        expect(state(page)).to_have_attribute("connection", "live")
    for page in pages:
        page.evaluate(NOTE_SILENCE)
    site.web1.cut()
    try:
        for page in pages:
            expect(state(page)).to_have_attribute("state", "SUCCESS", timeout=100_000)
            expect(page.get_by_role("progressbar").first).to_have_attribute("aria-valuenow", "100")
        longest = [page.evaluate("window.longest") / 1000 for page in pages]
        print(f"the pages stood still for {', '.join(f'{seconds:.1f} s' for seconds in longest)}")
    finally:
        site.web1.join()
    sockets = [line.split()[0] for line in site.served() if f"/ws/progress/{task_id}/" in line]
    assert any(site.web1.address in one for one in sockets), sockets  # some were there, and moved
    assert any(one.endswith(f"{site.web2.address}:8001") for one in sockets), sockets
