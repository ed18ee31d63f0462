"""A run's own page as a person reads it: from the queue to the end, a failure, a long log."""

from __future__ import annotations

import re

from playwright.sync_api import ElementHandle, expect

from tests.waiting import wait_until

from .pages import Person, axis, value, wait_moving


def test_a_run_is_told_from_its_start_to_its_end(stack, person, tmp_path):
    alice = person(stack)
    page = alice.open(f"/tasks/{alice.visitor.start_job('stages', str(tmp_path), 3)}/")
    expect(page.get_by_role("heading", name="stages")).to_be_visible()
    bar = page.get_by_role("progressbar", name="Progress of stages")
    numbers = page.get_by_role("region", name="Progress")
    log = page.get_by_role("list", name="Log")
    expect(bar).to_have_attribute("aria-valuenow", "33.3")
    expect(numbers).to_contain_text("20 / 60")
    expect(page.get_by_text("running", exact=True)).to_be_visible()
    expect(page.get_by_role("img", name="Rate over time")).to_be_visible()
    expect(log.get_by_role("listitem")).to_have_count(10)
    expect(page.get_by_role("region", name="Arguments")).to_contain_text(str(tmp_path))
    expect(page).to_have_title(re.compile(r"^33\s% stages · django_starter"))
    page.reload()
    assert value(page) == 33.3
    elapsed = page.get_by_text("Elapsed").locator("..").inner_text()
    (tmp_path / "go-1").touch()
    expect(bar).to_have_attribute("aria-valuenow", "66.6")
    expect(numbers).to_contain_text(re.compile(r"\d/s"))
    expect(page.get_by_text("Elapsed").locator("..")).not_to_have_text(elapsed)
    (tmp_path / "go-2").touch()
    (tmp_path / "go-3").touch()

    expect(bar).to_have_attribute("aria-valuenow", "100")
    expect(page.get_by_text("done", exact=True)).to_be_visible()
    expect(page).to_have_title(re.compile("^✓ stages"))
    expect(page.locator("link[rel=icon]")).to_have_attribute("href", re.compile("favicon-done"))
    expect(page.get_by_role("status").filter(has_text="stages finished.")).to_be_attached()
    expect(page.get_by_role("region", name="Result")).to_contain_text("3")
    span = r"\d\d:\d\d:\d\d–\d\d:\d\d:\d\d"
    expect(axis(page)).to_have_text(
        [re.compile(rf"^queue\s*done · {span}"), re.compile(rf"^attempt 1\s*done · {span}")]
    )
    expect(log.get_by_role("listitem")).to_contain_text([f"line {number}" for number in range(1, 31)])
    expect(page.get_by_role("button", name="Cancel")).to_be_hidden()


def test_a_run_is_cancelled_and_run_again(stack, person):
    alice = person(stack)
    page = alice.open(f"/tasks/{alice.visitor.start_task(steps=2000, delay=0.02)}/")
    wait_moving(page)
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_text("cancelled", exact=True)).to_be_visible()
    expect(page.get_by_text("The task was cancelled.")).to_be_visible()
    expect(page).to_have_title(re.compile("^■"))
    before = page.url
    page.get_by_role("button", name="Run again").click()
    expect(page.get_by_role("link", name="the run that this one repeats")).to_be_visible()
    assert page.url != before
    wait_moving(page)
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("button", name="Run again")).to_be_visible()
    page.get_by_role("link", name="the run that this one repeats").click()
    expect(page.get_by_role("link", name="run again")).to_be_visible()
    assert page.url == before


def test_a_bar_of_the_time_shows_its_lines_and_words_find_theirs(stack, person):
    alice = person(stack)
    page = alice.open(f"/tasks/{alice.visitor.start_job('stepping')}/")
    expect(page.get_by_text("done", exact=True)).to_be_visible()
    names = ("queue", "attempt 1", "Fetch", "Load", "Write")
    expect(axis(page)).to_have_text([re.compile(rf"^{name}\s*done · .*\d\.\d\ss$") for name in names])
    starts = [float(str(row.locator("rect").first.get_attribute("x")).rstrip("%")) for row in axis(page).all()]
    assert starts == sorted(starts) and starts[0] == 0
    depths = axis(page).locator("span:first-child")
    assert [one.evaluate("e => getComputedStyle(e).getPropertyValue('--depth')") for one in depths.all()] == [*"00121"]
    attempt = axis(page).nth(1).locator("rect")
    expect(attempt).to_have_count(2)  # its own, and a mark for the warning
    log = page.get_by_role("list", name="Log").get_by_role("listitem").filter(visible=True)
    expect(log).to_have_text([re.compile(f"{one}$") for one in ("fetching", "loading", "slow", "writing")])
    load = page.get_by_role("button", name=re.compile("^Load"))
    load.click()
    expect(load).to_have_attribute("aria-pressed", "true")
    expect(log).to_have_text([re.compile(f"{one}$") for one in ("loading", "slow")])
    page.get_by_label("Find").fill("SLO")
    expect(log).to_have_text([re.compile("slow$")])
    load.click()
    page.get_by_label("Find").fill("")
    page.get_by_role("heading", level=1).click()
    bars = axis(page).get_by_role("button")
    chosen = bars.and_(page.locator("[aria-pressed=true]"))
    for key, name in (("]", "queue"), ("]", "attempt 1"), ("[", "queue"), ("[", ""), ("[", "Write"), ("]", "")):
        page.keyboard.press(key)  # beyond the ends none is chosen
        expect(chosen).to_have_text([re.compile(f"^{name}")] if name else [])

    def where_lines_are_marked() -> set[int]:
        """Pixels from the left edge of the bars' room, as a line through every row has it."""
        return set(
            page.evaluate(
                """() => [...document.querySelectorAll(".axis button")].map((row) => {
                    const mark = getComputedStyle(row, "::after");
                    return mark.content === "none" ? -1 : Math.round(parseFloat(mark.marginLeft));
                })"""
            )
        )

    assert where_lines_are_marked() == {-1}
    log.nth(2).hover()  # "slow", the one warning: its mark is there as well
    (at,) = where_lines_are_marked()
    warning = attempt.nth(1).bounding_box()
    room = axis(page).nth(1).locator("svg").bounding_box()
    assert warning and room and abs(warning["x"] - room["x"] - at) <= 2
    page.get_by_role("heading", level=1).hover()
    assert where_lines_are_marked() == {-1}
    page.get_by_label("Find").fill("ing")
    expect(log).to_have_count(3)
    page.get_by_label("Find").fill("")
    expect(log).to_have_count(4)
    log.nth(2).get_by_role("link").click()
    assert page.url.endswith("#L3")
    page.reload()
    expect(page.locator("#L3:target")).to_contain_text("slow")
    expect(page.get_by_role("button", name="Follow")).to_have_attribute("aria-pressed", "false")


def test_what_is_known_besides_is_in_tabs_and_a_wait_has_its_command(stack, person):
    alice = person(stack)
    page = alice.open(f"/tasks/{alice.visitor.start_job('nap', options={'queue': 'nobody'})}/")
    expect(page.locator("[part=waiting]")).to_contain_text(re.compile("Start one: celery .* -Q nobody"))
    alice.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy the command").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()").endswith("-Q nobody")
    shown = page.get_by_role("region", name="Details").get_by_role("region")
    expect(page.get_by_role("radio")).to_have_count(2)  # no result, no files
    expect(shown).to_have_accessible_name("Arguments")
    page.get_by_label("Arguments").first.focus()
    page.keyboard.press("ArrowRight")
    expect(shown).to_have_accessible_name("More")
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_text("cancelled", exact=True)).to_be_visible()


def test_a_failure_is_told_to_its_owner_and_its_traceback_to_staff_alone(stack, staff, person):
    alice, sarah, bob = person(stack), person(stack, account=staff), person(stack)
    task_id = alice.visitor.start_job("fail", message="the disk is full")
    page = alice.open(f"/tasks/{task_id}/")
    expect(page.get_by_text("failed", exact=True)).to_be_visible()
    expect(page.get_by_text("RuntimeError: the disk is full")).to_be_visible()
    expect(page).to_have_title(re.compile("^✗ fail"))
    page.reload()
    expect(page.get_by_text("RuntimeError: the disk is full")).to_be_visible()
    assert "Traceback" not in page.content()
    assert "raise RuntimeError" not in page.content()

    page = sarah.open(f"/tasks/{task_id}/")
    frames = page.get_by_role("region", name="Traceback")
    expect(frames.get_by_text("raise RuntimeError(message)")).to_be_visible()
    expect(frames.get_by_text("in __call__").first).to_be_hidden()
    frames.get_by_text("library code").first.click()
    expect(frames.get_by_text("in trace_task")).to_be_visible()

    page = bob.open(f"/tasks/{task_id}/")
    expect(page.get_by_role("heading", name="Not found")).to_be_visible()
    bob.forgive("status of 404", times=1)


STAGES, LINES = 10, 500

#: Of the log: its lines' numbers in the page's order, how many are shown, and whether the first is the same element.
LOOK = """(list) => {
    const rows = [...list.children];
    list.first ??= rows[0];
    return {
        numbers: rows.map((row) => Number(row.lastChild.textContent.replace("line ", ""))),
        seen: rows.filter((row) => row.checkVisibility()).length,
        kept: list.first === rows[0],
        fromEnd: Math.round(list.scrollHeight - list.scrollTop - list.clientHeight),
        top: list.scrollTop,
    };
}"""

NOTE_LONG_TASKS = """() => {
    window.longest = 0;  // ms
    new PerformanceObserver((list) => {
        for (const { duration } of list.getEntries()) window.longest = Math.max(window.longest, duration);
    }).observe({ type: "longtask" });
}"""


def test_a_log_of_5000_lines_is_followed_paused_and_filtered(stack, person, tmp_path, request):
    alice: Person = person(stack)
    task_id = alice.visitor.start_job("recite_levels", str(tmp_path), STAGES, LINES)
    page = alice.open(f"/tasks/{task_id}/")
    page.evaluate(NOTE_LONG_TASKS)
    # Found once, and no `expect`: what Playwright looks up among thousands of lines takes the page's own time.
    log = page.get_by_role("list", name="Log").element_handle()
    follow = page.get_by_role("button", name="Follow").element_handle()
    level = page.get_by_role("combobox", name="Level").element_handle()

    def wait_following(following: bool) -> None:
        wait_until(lambda: follow.get_attribute("aria-pressed") == str(following).lower(), 10, "the button says so")

    def look() -> dict:
        return log.evaluate(LOOK)

    def go(stage: int) -> None:
        """Let it say the lines of the stage after `stage`, once the page has those up to it."""
        wait_last(log, stage * LINES)
        (tmp_path / f"go-{stage}").touch()

    for stage in range(1, 5):
        go(stage)
    wait_last(log, 5 * LINES)
    wait_until(lambda: look()["fromEnd"] == 0, 10, "the end is in view")
    wait_following(True)

    log.hover()
    page.mouse.wheel(0, -3000)  # who reads further up is left there
    wait_following(False)
    top = wait_until(lambda: (now := look()["top"]) and now == look()["top"] and now, 10, "the scrolling is over")
    go(5)
    wait_last(log, 6 * LINES)
    assert abs(look()["top"] - top) <= 1
    follow.click()
    wait_until(lambda: look()["fromEnd"] == 0, 10, "the end is in view again")
    wait_following(True)

    level.select_option("warning")
    assert look()["seen"] == 6 * LINES / 2
    for stage in range(6, STAGES + 1):
        go(stage)
    wait_until(lambda: page.title().startswith("✓"), 15, "the end is shown")
    assert look()["seen"] == STAGES * LINES / 2
    assert look()["fromEnd"] == 0
    level.select_option("all")
    told = look()
    assert told["seen"] == STAGES * LINES
    assert told["numbers"] == list(range(1, STAGES * LINES + 1))
    assert told["kept"], "the lines were made anew"
    request.node.user_properties.append(("longest main-thread task, ms", page.evaluate("window.longest")))


def wait_last(log: ElementHandle, number: int) -> None:
    wait_until(
        lambda: str(log.evaluate("list => list.lastElementChild?.textContent")).endswith(f"line {number}"),
        20,
        f"line {number} is shown",
    )
