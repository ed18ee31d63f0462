"""The home page as a person uses it: start, watch, cancel, run again; two tabs, a keyboard, a form filled in badly."""

from __future__ import annotations

from playwright.sync_api import Locator, Page, Route, expect

from tests.waiting import wait_until

from .pages import fill, newest, runs, start, value, wait_moving


def test_a_click_starts_a_run_that_two_tabs_show_alike_and_a_reload_finds_again(stack, person):
    alice = person(stack)
    first, second = alice.open(), alice.open()
    expect(first.get_by_text("No runs yet.")).to_be_visible()
    start(first, steps=2000, delay=0.02)
    for tab in (first, second):
        expect(newest(tab).get_by_role("link", name="long_running_task")).to_be_visible()
        expect(newest(tab).get_by_text("running", exact=True)).to_be_visible()
        expect(tab.get_by_text("No runs yet.")).to_be_hidden()
    reached = wait_moving(newest(second))
    first.reload()
    assert value(newest(first)) >= reached
    wait_moving(newest(first), above=reached)
    newest(second).get_by_role("button", name="Cancel").click()
    for tab in (first, second):
        expect(newest(tab).get_by_text("cancelled", exact=True)).to_be_visible()
        expect(newest(tab).get_by_text("The task was cancelled.")).to_be_visible()
        expect(newest(tab).get_by_role("status")).to_have_text("long_running_task was cancelled.")

    start(first, steps=20, delay=0.02)
    for tab in (first, second):
        expect(runs(tab)).to_have_count(2)
        expect(newest(tab).get_by_text("done", exact=True)).to_be_visible()
        expect(newest(tab).get_by_text("20 / 20 steps")).to_be_visible()
        assert value(newest(tab)) == 100


def test_a_second_click_and_a_lost_answer_start_nothing_twice(stack, person):
    alice = person(stack)
    page = alice.open()
    dialog = fill(page, 2000)
    send = dialog.get_by_role("button", name="Start")
    held: list[Route] = []
    page.route("**/tasks/start/", lambda route: held.append(route))
    send.dblclick()
    send.click(force=True)
    wait_until(lambda: page.wait_for_timeout(20) or held, 10, "the start is sent")

    alice.cut = True
    held[0].fetch()  # it arrives …
    held[0].abort()  # … and the answer does not
    expect(page.get_by_role("alert").get_by_text("The server cannot be reached.")).to_be_visible()
    assert len(held) == 1
    page.unroute_all()
    send.click()
    expect(page.get_by_role("alert").get_by_text("The server cannot be reached.")).to_be_hidden()
    expect(newest(page).get_by_text("running", exact=True)).to_be_visible()
    page.reload()
    expect(runs(page)).to_have_count(1)
    newest(page).get_by_role("button", name="Cancel").click()
    expect(newest(page).get_by_text("cancelled", exact=True)).to_be_visible()


def test_everything_is_reached_by_keyboard(stack, person):
    page = person(stack).open()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    expect(page.get_by_role("link", name="Skip to the content")).to_be_in_viewport()
    tab_to(page, page.get_by_role("button", name="Start…"))
    page.keyboard.press("Enter")
    tab_to(page, page.get_by_label("Steps"))
    page.keyboard.type("2000")
    tab_to(page, page.get_by_role("dialog").get_by_role("button", name="Start"))
    page.keyboard.press("Enter")
    run = newest(page)
    wait_moving(run)
    tab_to(page, run.get_by_role("button", name="Cancel"))
    page.keyboard.press("Enter")
    expect(run.get_by_text("cancelled", exact=True)).to_be_visible()
    expect(run.get_by_text("The task was cancelled.")).to_be_visible()
    tab_to(page, run.get_by_role("button", name="Run again"))
    page.keyboard.press("Enter")
    expect(runs(page)).to_have_count(2)
    expect(newest(page).get_by_text("running", exact=True)).to_be_visible()
    tab_to(page, newest(page).get_by_role("link", name="long_running_task"), back=True)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="long_running_task")).to_be_visible()
    page.get_by_role("button", name="Cancel").press("Enter")
    expect(page.get_by_text("cancelled", exact=True)).to_be_visible()


def tab_to(page: Page, target: Locator, *, back: bool = False) -> None:
    """Press Tab until `target` has the focus."""
    for _ in range(40):
        page.keyboard.press("Shift+Tab" if back else "Tab")
        if target.evaluate("element => element === document.activeElement"):
            return
    raise AssertionError(f"{target} is not reached by Tab")


def test_a_wrong_value_is_named_at_its_field_and_what_was_typed_stays(stack, person):
    alice = person(stack)
    page = alice.open()
    start(page, 0)
    field = page.get_by_label("Steps")
    expect(field).to_have_accessible_description("1 to 10,000 steps must be a whole number from 1 to 10,000.")
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(field).to_be_focused()
    expect(field).to_have_value("0")

    # a task of one's own, with a form of its own
    page.get_by_label("Task", exact=True).select_option("import_orders")
    expect(field).to_be_hidden()
    page.get_by_label("Shop").fill("ab")
    page.get_by_label("Count").fill("51")
    page.get_by_role("dialog").get_by_role("button", name="Start").click()
    expect(page.get_by_text("Ensure this value has at least 3 characters")).to_be_visible()
    expect(page.get_by_text("Ensure this value is less than or equal to 50.")).to_be_visible()
    expect(page.get_by_label("Shop")).to_be_focused()
    expect(page.get_by_label("Count")).to_have_value("51")
    alice.forgive("status of 400", times=2)  # Chromium itself says so in the console

    page.get_by_label("Shop").fill("abc")
    page.get_by_label("Count").fill("4")
    page.get_by_label("Count").press("Enter")
    expect(newest(page).get_by_role("link", name="import_orders")).to_be_visible()
    expect(newest(page).get_by_text("4 / 4 orders")).to_be_visible()
    for problem in page.get_by_text("Ensure this value").all():
        expect(problem).to_be_hidden()
    expect(runs(page)).to_have_count(1)


def test_without_javascript_the_page_is_right_and_can_be_refreshed(stack, person):
    alice = person(stack, java_script_enabled=False)
    page = alice.open()
    start(page, steps=0)
    expect(page.get_by_text("steps must be a whole number from 1 to 10,000.")).to_be_visible()
    expect(page.get_by_label("Steps")).to_have_value("0")
    alice.forgive("status of 400", times=1)
    start(page, steps=12)
    expect(newest(page).get_by_role("link", name="long_running_task")).to_be_visible()

    def ended() -> bool:
        page.get_by_role("link", name="Refresh").click()
        return newest(page).get_by_text("done", exact=True).is_visible()

    wait_until(ended, 20, "a refresh shows the end", every=0.3)
    assert value(newest(page)) == 100
    newest(page).get_by_role("link", name="long_running_task").click()
    expect(page.get_by_text("12 / 12")).to_be_visible()
    expect(page.get_by_role("list", name="Log")).to_contain_text("Step 12 of 12 is done.")
