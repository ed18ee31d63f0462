"""What a page says when the run goes away or its viewer is signed out; without script, with a strict policy, from right
to left, and by keyboard."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.waiting import wait_until

from .pages import newest
from .test_embedding import sign_in
from .test_pages_outage import refuse


def delete(stack, task_id: str) -> None:
    stack.shell(f"from tasks.models import TaskRun; TaskRun.objects.filter(pk={task_id!r}).delete()")


@pytest.mark.leaves_broken("a row is deleted while its task runs")
def test_a_row_that_is_deleted_while_its_pages_are_open_is_told_on_them(new_stack, person):
    stack = new_stack().start()
    alice = person(stack)
    task_id = alice.visitor.start_job("recite", steps=1000, delay=0.05)
    home, run = alice.open(), alice.open(f"/tasks/{task_id}/")
    for page in (home, run):
        expect(page.locator("task-progress")).to_have_attribute("connection", "live")
    delete(stack, task_id)
    for page in (home, run):
        expect(page.get_by_text("This run is not there any more.").first).to_be_visible()
        expect(page.locator("task-progress")).to_have_attribute("connection", "gone")
        expect(page.get_by_role("button", name="Cancel")).to_be_hidden()
        expect(page.locator("task-progress").get_by_text("live", exact=True)).to_have_count(0)
        alice.forgive("404", 1)
    expect(run).to_have_title(re.compile("^– recite"))


def test_who_is_signed_out_while_the_page_polls_logs_in_and_is_back_on_it(stack, staff, person):
    sarah = person(stack, account=staff)
    task_id = sarah.visitor.start_job("recite", steps=1000, delay=0.05)
    sarah.cut = True
    sarah.context.route_web_socket("**/ws/**", refuse)
    page = sarah.open(f"/tasks/{task_id}/")
    expect(page.locator("task-progress")).to_have_attribute("connection", "polling")
    cookies = [one for one in sarah.context.cookies() if one["name"] != "sessionid"]
    sarah.context.clear_cookies()
    sarah.context.add_cookies(cookies)
    expect(page.get_by_text("You are signed out. Log in")).to_be_visible()
    page.locator("task-progress").get_by_role("link", name="Log in").click()
    page.get_by_label("Username").fill(staff[0])
    page.get_by_label("Password").fill(staff[1])
    page.get_by_role("button", name="Log in").click()
    expect(page.locator("task-progress")).to_have_attribute("connection", "polling")
    assert page.url == f"{stack.url}/tasks/{task_id}/"
    sarah.visitor.post(f"/tasks/{task_id}/cancel/")


def test_back_and_forward_show_what_is_true_now(stack, person):
    """Whether the browser kept the page in its cache or asks for it again."""
    alice = person(stack)
    task_id = alice.visitor.start_job("recite", steps=2000, delay=0.05)
    page = alice.open()
    bar = page.locator("task-progress").first
    expect(bar).to_have_attribute("connection", "live")
    page.get_by_role("link", name="recite").first.click()
    expect(page).to_have_url(f"{stack.url}/tasks/{task_id}/")
    expect(bar).to_have_attribute("connection", "live")
    page.go_back()
    expect(page.get_by_role("button", name="Cancel", exact=True)).to_be_visible()
    expect(bar).to_have_attribute("connection", "live")
    page.go_forward()
    expect(bar).to_have_attribute("connection", "live")
    page.go_back()
    alice.visitor.post(f"/tasks/{task_id}/cancel/")
    expect(page.get_by_text("cancelled").first).to_be_visible()
    page.go_forward()
    expect(page.get_by_text("cancelled").first).to_be_visible()
    expect(page.get_by_role("button", name="Cancel", exact=True)).to_be_hidden()


def test_without_script_a_running_task_has_its_numbers_and_its_log(stack, browser, tmp_path):
    task_id = stack.start_job("stages", str(tmp_path), 2)
    wait_until((tmp_path / "told-1").exists, 20, "it is half done")
    wait_until(lambda: stack.task(task_id)["current"] == 20, 5, "that is told")
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    sign_in(stack, page)
    page.goto(f"{stack.url}/embedding/?one={task_id}")
    expect(page.get_by_role("progressbar")).to_have_attribute("aria-valuenow", "50.0")
    for part, said in (("state", "running"), ("percent", "50\u00a0%"), ("count", re.compile("^20 / 40"))):
        expect(page.locator(f"[part={part}]")).to_have_text(said)
    expect(page.locator("[part=elapsed]")).to_have_text(re.compile(r"^\d+\ss$"))
    expect(page.locator("[part=log] li")).to_have_count(10)
    page.goto(f"{stack.url}/tasks/{task_id}/")
    expect(page.get_by_role("button", name="Follow")).to_be_hidden()
    expect(page.get_by_role("combobox", name="Level")).to_be_hidden()
    expect(page.get_by_role("button", name="Cancel")).to_be_visible()
    context.close()
    for stage in (1, 2):
        (tmp_path / f"go-{stage}").touch()


def test_a_policy_that_knows_only_a_nonce_lets_everything_of_the_bar_in(stack, page):
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    task_id = stack.start_job("recite", steps=10, delay=0.02)
    stack.wait_state(task_id, "SUCCESS")
    sign_in(stack, page)
    page.goto(f"{stack.url}/embedding/?one={task_id}&nonce=n0nce")
    expect(page.locator("task-progress")).to_have_attribute("connection", "ended")
    expect(page.locator("[part=log] li").first).to_contain_text("line 1")
    expect(page.get_by_role("progressbar")).to_have_css("overflow", "hidden")  # the stylesheet is in
    assert not said


def test_from_right_to_left_bars_grow_from_the_right_and_figures_keep_their_order(stack, person, tmp_path):
    alice = person(stack)
    task_id = alice.visitor.start_job("stages", str(tmp_path), 2)
    for path in ("/", f"/tasks/{task_id}/", f"/embedding/?one={task_id}"):
        page = alice.open(path)
        page.evaluate("document.documentElement.dir = 'rtl'")
        run = page.locator("task-progress").first
        expect(run.get_by_role("progressbar")).to_have_attribute("aria-valuenow", "50")
        page.wait_for_function("""() => {
            const fill = document.querySelector("[part=fill]").getBoundingClientRect();
            const bar = document.querySelector("[part=bar]").getBoundingClientRect();
            return Math.abs(fill.right - bar.right) < 1 && Math.abs(fill.width - bar.width / 2) < 2;
        }""")
        assert run.locator("[part=count]").evaluate(
            """(part) => {
                const at = (n) => {
                    const range = document.createRange();
                    range.setStart(part.firstChild, n);
                    range.setEnd(part.firstChild, n + 1);
                    return range.getBoundingClientRect().left;
                };
                return at(0) < at(part.textContent.indexOf("40"));
            }"""
        ), path
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
    for stage in (1, 2):
        (tmp_path / f"go-{stage}").touch()


@pytest.mark.parametrize("where", ["home", "run"])
def test_after_cancel_the_keyboard_is_at_run_again(stack, person, where):
    alice = person(stack)
    task_id = alice.visitor.start_task(steps=2000, delay=0.02)
    page = alice.open("/" if where == "home" else f"/tasks/{task_id}/")
    within = newest(page) if where == "home" else page.locator("main")
    expect(within.locator("task-progress").first).to_have_attribute("state", "STARTED")
    within.get_by_role("button", name="Cancel").focus()
    page.keyboard.press("Enter")
    expect(within.get_by_text("cancelled", exact=True)).to_be_visible()
    again = within.get_by_role("button", name="Run again")
    expect(again).to_be_focused()
    if where == "home":
        page.keyboard.press("Enter")
        expect(page.locator("#runs task-progress[state=STARTED]")).to_have_count(1)
        expect(page.locator(f"#runs [data-run='{task_id}']").get_by_role("button", name="Run again")).to_be_focused()
        newest(page).get_by_role("button", name="Cancel").click()


def test_start_keeps_the_keyboard_where_it_is(stack, person):
    page = person(stack).open()
    button = page.get_by_role("button", name="Start Task")
    button.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#runs task-progress[state=STARTED]")).to_have_count(1)
    expect(button).to_be_focused()
    newest(page).get_by_role("button", name="Cancel").click()
    expect(newest(page).get_by_text("cancelled", exact=True)).to_be_visible()
