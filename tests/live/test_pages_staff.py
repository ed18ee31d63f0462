"""All runs, for staff: found, turned over, cancelled and started again in a browser; and nothing of it for others."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.waiting import wait_until

from .pages import newest
from .visitor import Visitor

#: Makes a user of two runs' visitor, and 53 copies of the second run.
MAKE_CAROL = """
import copy, uuid
from django.contrib.auth import get_user_model
from tasks.models import TaskRun
carol = get_user_model().objects.create_user({name!r}, password={password!r})
TaskRun.objects.filter(pk__in={runs!r}).update(owner=carol)
run = TaskRun.objects.defer(None).get(pk={runs!r}[1])  # copied whole
copies = [copy.copy(run) for _ in range(53)]
for one in copies:
    one.pk = str(uuid.uuid4())
TaskRun.objects.bulk_create(copies)
"""


@pytest.fixture(scope="module")
def carol(stack) -> tuple[str, str]:
    """Name and password of somebody with 55 runs; the oldest failed."""
    account = ("carol", "another long one")
    visitor = Visitor(stack.url)
    runs = [visitor.start_job("fail", message="the shelf fell down"), visitor.start_job("echo", "done")]
    wait_until(lambda: [visitor.task(one)["state"] for one in runs] == ["FAILURE", "SUCCESS"], 20, "both ended")
    visitor.close()
    stack.shell(MAKE_CAROL.format(name=account[0], password=account[1], runs=runs))
    return account


def rows(page: Page) -> Locator:
    return page.get_by_role("region", name="Runs", exact=True).locator("tbody").get_by_role("row")


def test_staff_logs_in_and_finds_runs_by_state_owner_and_word_page_by_page(stack, staff, carol, person):
    page = person(stack).open("/runs/")
    expect(page.get_by_role("heading", name="Log in")).to_be_visible()
    page.get_by_label("Username").fill(staff[0])
    page.get_by_label("Password").fill(staff[1])
    page.get_by_label("Password").press("Enter")
    expect(page.get_by_role("heading", name="All runs")).to_be_visible()
    for plot in ("Ended a minute", "Mean wait"):
        expect(page.get_by_role("img", name=plot)).to_be_visible()

    page.get_by_label("Owner").fill("carol")
    page.get_by_role("button", name="Filter").click()
    expect(page.get_by_text("55 runs, page 1 of 2")).to_be_visible()
    expect(rows(page)).to_have_count(50)
    expect(page.get_by_role("link", name="newer")).to_have_count(0)
    older = page.get_by_role("link", name="older")
    expect(older).to_have_attribute("href", re.compile("owner=carol"))  # the filter acts without a new page
    older.click()
    expect(page.get_by_text("page 2 of 2")).to_be_visible()
    expect(rows(page)).to_have_count(5)
    expect(rows(page).last).to_contain_text("RuntimeError: the shelf fell down")
    expect(page.get_by_label("Owner")).to_have_value("carol")
    page.get_by_role("link", name="newer").click()
    expect(rows(page)).to_have_count(50)

    page.get_by_role("navigation", name="By state").get_by_role("link", name="FAILURE").click()
    expect(rows(page)).to_have_count(1)
    expect(page.get_by_text("1 run, page 1 of 1")).to_be_visible()
    task_id = rows(page).get_attribute("data-run") or ""
    page.get_by_role("navigation", name="By state").get_by_role("link", name="All").click()
    page.get_by_label("Search").fill(task_id[:13])
    page.get_by_label("Search").press("Enter")
    expect(rows(page)).to_have_count(1)
    page.get_by_role("link", name="fail", exact=True).click()
    expect(page.get_by_role("region", name="Traceback")).to_be_visible()  # of somebody else's run

    page.goto("/runs/?owner=carol&q=nothing-like-it")
    expect(page.get_by_text("No run fits.")).to_be_visible()
    page.get_by_role("link", name="Show all").click()
    expect(page.get_by_label("Search")).to_have_value("")
    page.get_by_role("combobox", name="Task").select_option(label="fail")
    page.get_by_role("combobox", name="Since").select_option("hour")
    page.get_by_label("Owner").fill("carol")
    page.get_by_role("button", name="Filter").click()
    expect(rows(page)).to_have_count(1)


def test_ticked_runs_are_cancelled_and_started_again_while_the_list_moves(stack, staff, person):
    dave = Visitor(stack.url, "dave")
    naps = [dave.start_job("nap", seconds=60) for _ in range(2)]
    ended = dave.start_job("echo", "done")
    stack_wait(dave, ended, "SUCCESS")
    page = person(stack, account=staff).open("/runs/?owner=anonymous")
    for task_id in naps:
        expect(row(page, task_id)).to_contain_text("running")
    row(page, naps[0]).get_by_role("checkbox").check()
    row(page, ended).get_by_role("checkbox").check()
    later = dave.start_job("echo", "later")
    expect(row(page, later)).to_contain_text("done")  # the list moved, and the ticks stayed
    expect(row(page, naps[0]).get_by_role("checkbox")).to_be_checked()
    page.get_by_role("button", name="Cancel ticked").click()
    expect(page.get_by_role("heading", name="Cancel 1 run?")).to_be_visible()
    page.get_by_role("button", name="Cancel 1 run").click()
    expect(page.get_by_role("status")).to_have_text("1 cancelled, 1 not: ended already.")
    expect(row(page, naps[0])).to_contain_text("cancelled")
    expect(row(page, naps[1])).to_contain_text("running")
    assert page.url.endswith("/runs/?owner=anonymous")

    row(page, naps[1]).get_by_role("checkbox").check()
    row(page, ended).get_by_role("checkbox").check()
    page.get_by_role("button", name="Run ticked again").click()
    page.get_by_role("button", name="Start 1 run again").click()
    expect(page.get_by_role("status")).to_have_text("1 started again, 1 not: not ended yet.")
    page.goto(f"/runs/?owner={staff[0]}")  # hers, as she has started it
    page.get_by_role("link", name="echo").first.click()
    expect(page.get_by_role("link", name="the run that this one repeats")).to_have_attribute("href", re.compile(ended))
    dave.post(f"/tasks/{naps[1]}/cancel/")
    dave.close()


def test_a_row_tells_its_numbers_and_its_end_over_the_socket(stack, staff, person, tmp_path):
    """Nothing of the list is asked for anew here: every such question is refused."""
    heidi = Visitor(stack.url, "heidi")
    task_id = heidi.start_job("stages", str(tmp_path), 2)
    sarah = person(stack, account=staff)
    page = sarah.open("/runs/?task=testjobs.stages")
    bar = row(page, task_id).get_by_role("progressbar")
    expect(bar).to_have_attribute("aria-valuenow", re.compile(r"^50(\.0)?$"))
    row(page, task_id).get_by_role("checkbox").check()
    sarah.cut = True
    page.route("**/runs/?*", lambda route: route.abort())
    (tmp_path / "go-1").touch()
    expect(bar).to_have_attribute("aria-valuenow", re.compile("^9|^100"))
    (tmp_path / "go-2").touch()
    expect(row(page, task_id).get_by_text("done", exact=True)).to_be_visible()
    expect(row(page, task_id)).to_have_attribute("state", "SUCCESS")
    expect(row(page, task_id).get_by_role("checkbox")).to_be_checked()
    page.unroute_all()
    other = heidi.start_job("stages", str(tmp_path), 2)  # at once, though the list is asked for every 30 s
    expect(row(page, other)).to_contain_text("done")
    expect(row(page, task_id).get_by_role("checkbox")).to_be_checked()
    heidi.close()


def test_all_that_match_are_cancelled_by_a_run_with_a_bar(stack, staff, person):
    erin = Visitor(stack.url, "erin")
    naps = [erin.start_job("nap", seconds=60) for _ in range(55)]
    page = person(stack, account=staff).open("/runs/?task=testjobs.nap&owner=anonymous&since=hour")
    page.get_by_label("that match").check()
    page.get_by_role("button", name="Cancel ticked").click()
    question = page.get_by_role("dialog", name=re.compile(r"Cancel \d+ runs\?"))
    expect(question).to_contain_text("All that match the filter, on every page.")
    question.get_by_role("link", name="Back to the list").click()
    expect(question).to_have_count(0)
    expect(page.get_by_role("button", name="Cancel ticked")).to_be_focused()
    expect(page.get_by_label("that match")).to_be_checked()
    page.keyboard.press("Enter")
    question.get_by_role("button", name=re.compile(r"Cancel \d+ runs")).click()
    expect(page.get_by_role("progressbar", name="Progress of act_on_runs")).to_have_attribute("aria-valuenow", "100")
    expect(page.get_by_text(re.compile(r"\d+ cancelled"))).to_be_visible()
    wait_until(lambda: {erin.task(one)["state"] for one in naps} == {"REVOKED"}, 30, "all are cancelled")
    erin.close()


def test_what_fails_is_found_and_run_again_within_three_clicks(stack, staff, person):
    frank = Visitor(stack.url, "frank")
    failed = [frank.start_job("fail", message=f"the ladder fell on {number}") for number in range(3)]
    for task_id in failed:
        stack_wait(frank, task_id, "FAILURE")
    page = person(stack, account=staff).open("/runs/")
    lists = page.get_by_role("navigation", name="Of all runs")
    lists.get_by_role("link", name="Now").click()
    expect(page.get_by_role("region", name="In words")).to_contain_text(re.compile("fail since|All is well"))
    expect(page.get_by_role("region", name="Workers", exact=True).last).to_contain_text("idle")
    lists.get_by_role("link", name="Failures").click()
    group = page.get_by_role("article").filter(has_text="the ladder fell on")
    expect(group).to_have_count(1)
    late = frank.start_job("fail", message="the last ladder")
    expect(group.or_(page.get_by_role("article").filter(has_text="the last ladder"))).to_have_count(1)
    expect(page.get_by_role("article").filter(has_text="the last ladder")).to_have_count(1)  # nobody has reloaded it
    page.get_by_role("article").filter(has_text="the last ladder").get_by_role("button", name="again").click()
    page.get_by_role("button", name=re.compile(r"Start \d+ runs again")).click()
    expect(page.get_by_role("progressbar", name="Progress of act_on_runs")).to_have_attribute("aria-valuenow", "100")

    page.goto("/runs/failures/")
    page.get_by_role("combobox", name="Since").select_option("hour")  # acts at once
    expect(page).to_have_url(re.compile("since=hour"))
    page.get_by_role("button", name="Ignore").first.click()
    expect(page.get_by_role("status")).to_contain_text("is ignored.")
    page.get_by_label("Ignored ones").check()
    page.get_by_role("button", name="Watch").first.click()
    expect(page.get_by_role("status")).to_contain_text("is watched again.")
    assert late
    frank.close()


def test_a_list_is_searched_by_places_sorted_and_come_back_to(stack, staff, person):
    grace = Visitor(stack.url, "grace")
    found = grace.start_job("fail", message="a needle in it")
    other = grace.start_job("echo", "a needle in it")
    stack_wait(grace, found, "FAILURE")
    stack_wait(grace, other, "SUCCESS")
    page = person(stack, account=staff).open("/runs/")
    page.get_by_label("Search").fill('error:RuntimeError args:"a needle"')
    page.get_by_label("Search").press("Enter")
    expect(rows(page)).to_have_count(1)
    expect(row(page, found)).to_contain_text("RuntimeError: a needle in it")
    page.get_by_role("link", name="Took").click()
    expect(page.get_by_role("columnheader", name="Took")).to_have_attribute("aria-sort", "descending")
    expect(rows(page)).to_have_count(1)
    row(page, found).get_by_role("link", name="fail").click()
    expect(page.get_by_role("region", name="Traceback")).to_be_visible()
    page.go_back()
    expect(rows(page)).to_have_count(1)  # the list that one came from
    expect(page.get_by_label("Search")).to_have_value('error:RuntimeError args:"a needle"')
    grace.close()


def test_to_others_there_is_no_list_of_all_runs(stack, carol, person):
    alice = person(stack)
    page = alice.open()
    expect(page.get_by_role("link", name="Log in")).to_be_visible()
    expect(page.get_by_role("link", name="All runs")).to_have_count(0)
    page = person(stack, account=carol).open()
    expect(newest(page)).to_be_visible()
    expect(page.get_by_role("link", name="All runs")).to_have_count(0)
    page.goto("/runs/")
    expect(page.get_by_role("heading", name="Log in")).to_be_visible()
    assert "shelf" not in page.content()


def row(page: Page, task_id: str) -> Locator:
    return page.locator(f"tr[data-run='{task_id}']")


def stack_wait(visitor: Visitor, task_id: str, state: str) -> None:
    wait_until(lambda: visitor.task(task_id)["state"] == state, 20, lambda: str(visitor.task(task_id)))


def test_staff_sees_what_starts_by_itself_starts_it_and_pauses_it(stack, staff, person):
    page = person(stack, account=staff).open("/schedules/")
    entry = page.get_by_role("article", name="prune-ended-runs")
    expect(entry).to_contain_text("every day at 04:20, UTC")
    expect(entry.get_by_role("region", name="Next times").get_by_role("listitem")).to_have_count(5)
    page.get_by_role("button", name="Run prune-ended-runs now").click()
    expect(page.get_by_text("prune-ended-runs is started.")).to_be_visible()
    page.get_by_role("region", name="Last runs").get_by_role("link").first.click()
    expect(page.get_by_role("heading", name="prune_ended_runs")).to_be_visible()
    expect(page.get_by_text("done", exact=True).first).to_be_visible()

    page.goto(f"{stack.url}/schedules/")
    page.get_by_role("button", name="Pause prune-ended-runs").click()
    expect(page.get_by_text("It is paused since")).to_be_visible()
    page.get_by_role("button", name="Resume prune-ended-runs").click()
    expect(page.get_by_text("prune-ended-runs fires again.")).to_be_visible()
    expect(page.get_by_text("It is paused since")).to_have_count(0)
