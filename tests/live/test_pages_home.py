"""The home page as a person uses it: start, watch, cancel, run again; two tabs, a keyboard, a form filled in badly."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

from playwright.sync_api import Locator, Page, Route, expect

from tests.waiting import wait_until

from .pages import Person, fill, newest, runs, start, value, wait_moving


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
    page.keyboard.press("k")  # the rows are one stop of Tab
    expect(newest(page).get_by_role("link", name="long_running_task")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="long_running_task")).to_be_visible()
    page.get_by_role("button", name="Cancel").press("Enter")
    expect(page.get_by_text("cancelled", exact=True)).to_be_visible()


def tab_to(page: Page, target: Locator) -> None:
    """Press Tab until `target` has the focus."""
    for _ in range(40):
        page.keyboard.press("Tab")
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


def test_an_end_that_is_told_before_a_page_has_all_of_its_scripts_is_heard_by_them(stack, person, tmp_path):
    alice = person(stack)

    def open_late(path: str, script: str, gate: Path, task_id: str) -> Page:
        asked: list[Route] = []
        alice.context.route(script, lambda route: asked.append(route))
        page = alice.context.new_page()
        page.goto(path, wait_until="commit")  # it is not loaded before they are
        wait_until(lambda: page.wait_for_timeout(20) or asked, 10, "the script is asked for")
        gate.touch()
        wait_until(lambda: alice.visitor.task(task_id)["state"] == "SUCCESS", 10, "it has ended")
        page.wait_for_timeout(700)  # time to be told
        asked[0].continue_()
        return page

    first, second = (alice.visitor.start_job("hold", str(tmp_path / name)) for name in "ab")
    home = open_late("/", "**/rows*.js", tmp_path / "a", first)
    expect(home.get_by_role("list", name="Ended").locator(f"[data-run='{first}']")).to_be_visible()
    run = open_late(f"/tasks/{second}/", "**/run*.js", tmp_path / "b", second)
    expect(run.locator("[name=tab][value=result]")).to_be_checked()


def test_runs_are_one_line_each_and_each_is_in_the_group_of_its_state(stack, person, tmp_path):
    alice = person(stack)
    visitor = alice.visitor
    visitor.start_job("fail", message="The disk is full: " + "/a/long/path" * 12)
    visitor.start_task(task="demo_task")
    parent = visitor.start_job("starts_chord", str(tmp_path / "go"), 3)
    nap = visitor.start_job("nap", options={"countdown": 600})
    held = visitor.start_job("hold", str(tmp_path / "open"), timeout=600)
    page = alice.open()

    def group(name: str) -> Locator:
        return page.get_by_role("list", name=name, exact=True).locator("> li")

    expect(group("Ended")).to_have_count(2)
    expect(group("Waiting")).to_have_count(1)
    expect(group("Running")).to_have_count(2)  # a parent runs as long as its parts
    for width in (360, 768, 1440):
        page.set_viewport_size({"width": width, "height": 900})
        heights = [row.evaluate("row => row.getBoundingClientRect().height") for row in runs(page).all()]
        assert max(heights) <= 44, (width, heights)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), width
    expect(page.locator(f"[data-run='{held}'] [part=state]")).to_have_attribute("title", "STARTED")
    expect(page.locator(f"[data-run='{nap}']").get_by_role("button", name="Cancel")).to_be_visible()

    row = page.locator(f"[data-run='{parent}']")
    expect(row.get_by_text("3 parts:")).to_be_visible()
    fold = row.get_by_role("button", name="Show its parts")
    fold.click()
    expect(row.get_by_role("list", name="Parts").get_by_role("link")).to_have_count(4)  # and what waits for them
    (tmp_path / "go").touch()
    expect(row.get_by_text("3 parts: 2 done, 1 failed")).to_be_visible(timeout=30_000)
    expect(row.get_by_role("list", name="Parts").get_by_text("failed", exact=True)).to_have_count(2)
    expect(group("Ended")).to_have_count(3)
    fold.click()
    expect(row.get_by_role("list", name="Parts")).to_have_count(0)

    page.get_by_role("link", name="failed", exact=True).click()
    expect(group("Ended")).to_have_count(1)
    (tmp_path / "open").touch()
    expect(group("Running")).to_have_count(0)
    expect(group("Ended").filter(visible=True)).to_have_count(1)
    visitor.post(f"/tasks/{nap}/cancel/")


def test_the_dialog_filters_remembers_and_says_the_same_start_for_scripts(stack, person, tmp_path):
    page = person(stack).open()
    page.keyboard.press("n")
    dialog = page.get_by_role("dialog", name="Start a task")
    expect(dialog).to_be_visible()
    expect(dialog.get_by_role("option")).not_to_have_count(1)
    dialog.get_by_label("Filter tasks").fill("LONG")
    expect(dialog.get_by_role("option")).to_have_text(["long_running_task"])
    dialog.get_by_label("Filter tasks").fill("")
    dialog.get_by_label("Task", exact=True).select_option("import_orders")
    dialog.get_by_label("Shop").fill("it's")
    dialog.get_by_label("Count").fill("3")
    dialog.get_by_text("The same from a script").click()
    curl, python = (page.locator(f"#as-{kind}").inner_text() for kind in ("curl", "python"))
    page.keyboard.press("Control+Enter")
    expect(dialog).to_be_hidden()
    expect(newest(page).get_by_text("3 / 3 orders")).to_be_visible()
    expect(runs(page)).to_have_count(1)

    told = subprocess.run(["bash", "-ec", curl], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=30)
    started = json.loads(told.stdout)["task_id"]
    stack.shell(python)
    like = f"TaskRun.objects.filter(name=TaskRun.objects.get(pk={started!r}).name).order_by('-accepted_at')[:3]"
    code = f"import json; from tasks.models import TaskRun; print(json.dumps([run.kwargs for run in {like}]))"
    one, *others = json.loads(stack.shell(code).splitlines()[-1])
    assert one["count"] == 3 and others == [one, one]

    page.reload()
    page.get_by_role("button", name="Start…").click()
    dialog.get_by_label("Task", exact=True).select_option("import_orders")
    expect(dialog.get_by_label("Shop")).to_have_value("it's")


def test_keys_go_through_the_runs_and_do_what_their_buttons_do(stack, person):
    alice = person(stack)
    first, second = (alice.visitor.start_task(steps=2000, delay=0.02) for _ in range(2))
    page = alice.open()
    expect(page.locator("#running .run")).to_have_count(2)
    links = [page.locator(f"[data-run='{one}']").get_by_role("link") for one in (second, first)]
    for key, at in (("j", 0), ("j", 1), ("j", 1), ("k", 0)):
        page.keyboard.press(key)
        expect(links[at]).to_be_focused()
    page.keyboard.press("c")
    expect(page.locator(f"#ended [data-run='{second}']")).to_be_visible()
    expect(links[0]).to_be_focused()  # it moved, and the keyboard with it
    page.keyboard.press("r")
    expect(page.locator("#running .run")).to_have_count(2)
    stops = page.locator("#runs .run").locator("a, button").and_(page.locator("[tabindex='0']"))
    assert {one.evaluate("one => one.closest('.run').dataset.run") for one in stops.all()} == {second}
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    page.keyboard.press("c")  # typed into a dialog, it does nothing
    page.keyboard.press("Escape")
    expect(page.locator("#running .run")).to_have_count(2)
    page.keyboard.press("f")
    page.wait_for_url("**/?show=failed")
    page.keyboard.press("/")
    expect(page.get_by_label("Filter tasks")).to_be_focused()
    page.keyboard.press("Escape")
    page.goto(f"{stack.url}/tasks/{first}/")
    wait_moving(page)
    page.keyboard.press("/")
    expect(page.get_by_label("Find")).to_be_focused()
    page.keyboard.press("c")  # typed into a field, neither
    expect(page.get_by_label("Find")).to_have_value("c")
    page.get_by_role("heading", level=1).click()
    page.keyboard.press("c")
    expect(page.get_by_text("cancelled", exact=True)).to_be_visible()
    for run in stack_runs(alice):
        alice.visitor.post(f"/tasks/{run}/cancel/")


def stack_runs(alice: Person) -> list[str]:
    return list(alice.visitor.get("/api/runs/").json()["task_ids"])


def test_a_form_that_has_expired_is_sent_with_a_new_key_and_too_many_starts_count_down(stack, person):
    alice = person(stack)
    page = alice.open()
    dialog = fill(page, 3)
    alice.context.clear_cookies(name="csrftoken")
    dialog.get_by_role("button", name="Start").click()
    expect(newest(page).get_by_text("3 / 3 steps")).to_be_visible()
    expect(runs(page)).to_have_count(1)
    alice.forgive("status of 403", times=1)

    told = {"error": "Slowly.", "errors": {"task": ["Slowly."]}}
    page.route("**/tasks/start/", lambda route: route.fulfill(status=429, headers={"Retry-After": "2"}, json=told))
    page.get_by_role("button", name="Start Task").click()
    problem = page.get_by_role("alert").filter(visible=True)
    expect(problem).to_have_text(re.compile(r"^Slowly\. Again in [12] s\.$"))
    expect(problem).to_have_text("Slowly. Now it may be tried again.")
    alice.forgive("status of 429", times=1)
