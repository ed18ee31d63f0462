"""What the pages say while something is away, and that they show the end once it is back, without a reload."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, WebSocketRoute, expect

from tests.waiting import wait_until

from .conftest import end
from .pages import axis, newest, part, runs, start, value, wait_moving
from .stack import Stack

WORKER = "celery -A django_starter worker -l info"


@pytest.fixture(scope="module")
def system(make_stack) -> Iterator[Stack]:
    """A stack that these tests break, each leaving it whole; as start_dev.sh starts it, so that pages kill workers."""
    stack = make_stack()
    try:
        stack.prepare_database()
        for needed in stack.servers():
            needed.start()
        stack.start_worker(wait=False)
        stack.start_web(env={"DEBUG": "1"})
        stack.workers["w1"].wait_ready()
        yield stack
    finally:
        end(stack)


def expect_end(page: Page, steps: int) -> None:
    """The run that ended last on the home page is shown to have done all its steps."""
    ended = page.locator("#ended .run").first
    expect(ended.get_by_text("done", exact=True)).to_be_visible(timeout=30_000)
    expect(ended.get_by_text(f"{steps} / {steps} steps")).to_be_visible()
    assert value(ended) == 100


def test_without_a_worker_the_page_says_so_with_the_command_and_goes_on_when_one_is_started(system, person):
    page = person(system).open()
    expect(part(page, "Workers")).to_contain_text("1, 0 of 2 busy")
    system.workers["w1"].stop()
    expect(part(page, "Workers")).to_contain_text("not running")
    expect(part(page, "Workers")).to_contain_text(WORKER)
    start(page, 10, 0.02)
    expect(newest(page).get_by_text("waiting", exact=True)).to_be_visible()
    expect(page.get_by_text("No worker is running")).to_have_count(2)  # the row's own is hidden
    expect(page.locator("#banner")).to_have_text(re.compile(rf"No worker is running. Start one:\s+{WORKER}\s+Copy"))
    expect(newest(page).locator("[part=waiting]")).to_be_hidden()
    expect(part(page, "Queue")).to_contain_text("1 waiting")
    system.start_worker()
    expect_end(page, 10)
    expect(part(page, "Workers")).to_contain_text("1, ")
    expect(part(page, "Workers").get_by_text(WORKER)).to_be_hidden()


def test_the_tour_goes_on_when_its_worker_is_killed_from_its_page(system, person):
    page = person(system).open()
    tour = page.locator("form").filter(has_text="Take the tour")
    tour.evaluate("form => form.insertAdjacentHTML('beforeend', '<input type=hidden name=seconds value=4>')")
    tour.get_by_role("button").click()
    expect(page.get_by_role("heading", name="tour", exact=True)).to_be_visible()
    expect(axis(page).filter(has_text="attempt 1")).to_contain_text("retried")
    expect(axis(page).filter(has_text="Page 3")).to_contain_text("done")  # nested steps
    wait_moving(page, above=40)
    page.get_by_role("button", name="Kill its worker now").click()
    wait_until(lambda: not system.workers["w1"].alive, 10, "its worker is dead")
    system.start_worker()
    expect(page.get_by_text(re.compile(r"worker lost 1 of 3, resumed at \d+")).first).to_be_visible(timeout=30_000)
    expect(axis(page).filter(has_text="attempt 2")).to_contain_text("lost")
    expect(page.get_by_text("4 parts: 3 done, 1 failed")).to_be_visible(timeout=30_000)
    expect(axis(page).filter(has_text="tour_part 3")).to_contain_text("failed")
    with page.expect_navigation():
        page.get_by_role("button", name="Run the failed again").click()
    page.locator(".tree [state=FAILURE]").filter(has_text="tour_part").get_by_role("link").click()
    page.get_by_role("link", name="run again").click()
    expect(page.get_by_text("done", exact=True)).to_be_visible()


def test_a_broker_that_restarts_in_the_middle_is_seen_and_nothing_is_lost(system, person, tmp_path):
    alice = person(system)
    page = alice.open()
    alice.visitor.start_job("stages", str(tmp_path), 2)
    expect(newest(page).get_by_role("progressbar")).to_have_attribute("aria-valuenow", "50")
    system.valkey.stop()
    expect(part(page, "Broker")).to_contain_text("down")
    expect(part(page, "Broker")).to_contain_text("./start_dev.sh")
    start(page, 5, 0.01)  # stored, though nobody can be told
    waits, runs_on = page.locator("#waiting .run"), page.locator("#running .run")
    expect(waits).to_contain_text("The broker is down. The task is stored here and will be sent")
    assert value(runs_on) == 50
    (tmp_path / "go-1").touch()
    system.valkey.start()
    expect(part(page, "Broker")).to_contain_text("up")
    expect_end(page, 5)
    expect(runs(page)).to_have_count(2)
    (tmp_path / "go-2").touch()
    expect(page.locator("#ended .run")).to_have_count(2)
    last = page.locator("#ended .run").filter(has_text="40 / 40")
    expect(last.get_by_text("done", exact=True)).to_be_visible()
    expect(last.get_by_text("attempt 2")).to_have_count(0)


def test_a_network_that_is_cut_is_seen_and_the_end_that_came_meanwhile_is_shown(system, person, tmp_path):
    alice = person(system)
    task_id = alice.visitor.start_job("stages", str(tmp_path), 2)
    page = alice.open(f"/tasks/{task_id}/")
    bar = page.get_by_role("progressbar")
    expect(bar).to_have_attribute("aria-valuenow", "50")
    alice.cut = True
    alice.context.set_offline(True)
    expect(part(page, "Socket")).to_contain_text("reconnecting")
    expect(part(page, "Web")).to_contain_text("not reachable")
    for stage in (1, 2):
        (tmp_path / f"go-{stage}").touch()
    wait_until(lambda: alice.visitor.task(task_id)["state"] == "SUCCESS", 20, "it ends meanwhile")
    expect(page.get_by_text("running", exact=True)).to_be_visible()  # nobody has told it
    alice.context.set_offline(False)
    expect(page.get_by_text("done", exact=True)).to_be_visible()
    expect(bar).to_have_attribute("aria-valuenow", "100")
    expect(page.get_by_role("list", name="Log").get_by_role("listitem")).to_contain_text(
        [f"line {number}" for number in range(1, 21)]
    )
    expect(part(page, "Web")).to_contain_text("up")
    expect(part(page, "Socket")).to_contain_text("live")


def test_where_sockets_are_refused_the_pages_poll_and_say_so(system, person, tmp_path):
    alice = person(system)
    alice.cut = True
    alice.context.route_web_socket("**/ws/**", refuse)
    home = alice.open()
    task_id = alice.visitor.start_job("stages", str(tmp_path), 2)
    run = alice.open(f"/tasks/{task_id}/")
    expect(newest(home).get_by_text("polling")).to_be_visible()
    expect(part(home, "Socket")).to_contain_text("polling")
    expect(run.get_by_text("polling", exact=True).first).to_be_visible()
    for page in (home, run):
        expect(page.get_by_role("progressbar")).to_have_attribute("aria-valuenow", "50")
    for stage in (1, 2):
        (tmp_path / f"go-{stage}").touch()
    for page in (home, run):
        expect(page.get_by_text("done", exact=True)).to_be_visible()
        expect(page.get_by_text("40 / 40")).to_be_visible()
        expect(page.get_by_role("progressbar")).to_have_attribute("aria-valuenow", "100")


def refuse(socket: WebSocketRoute) -> None:
    socket.close(code=1011)


def test_a_web_server_that_restarts_is_seen_and_the_page_goes_on(system, person):
    alice = person(system)
    page = alice.open()
    for _ in range(2):  # at once: the news of the list was made before them
        start(page, 5000, 0.02)
    expect(page.locator("#running .run")).to_have_count(2)
    rows = [page.locator(f"#runs [data-run='{run.get_attribute('data-run')}']") for run in runs(page).all()]
    reached = wait_moving(rows[0])
    alice.cut = True
    assert system.web
    system.web.kill()
    expect(part(page, "Web")).to_contain_text("not reachable")
    expect(part(page, "Web")).to_contain_text("./start_dev.sh")
    for run in rows:
        expect(run.get_by_text("reconnecting")).to_be_visible()
    expect(runs(page)).to_have_count(2)
    assert value(rows[0]) >= reached
    system.start_web()
    expect(part(page, "Web").get_by_text("./start_dev.sh")).to_be_hidden()
    wait_moving(rows[0], above=value(rows[0]))
    for run in rows:
        run.get_by_role("button", name="Cancel").click()
        expect(run.get_by_text("cancelled", exact=True)).to_be_visible()
    expect(runs(page)).to_have_count(2)
