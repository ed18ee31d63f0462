"""What a run's page tells while it goes on, in a real browser: nested steps, tries, parts, what is missing."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.waiting import wait_until

from .pages import axis

#: Notes each value that the bar has; "" where it says none.
NOTE_VALUES = """() => {
    const bar = document.querySelector("[role=progressbar]");
    window.values = [bar.getAttribute("aria-valuenow")];
    new MutationObserver(() => values.push(bar.getAttribute("aria-valuenow")))
        .observe(bar, { attributes: true, attributeFilter: ["aria-valuenow"] });
}"""


def fact(page: Page, name: str) -> Locator:
    return page.get_by_text(name, exact=True).locator("..")


def attempts(page: Page) -> list[str]:
    return axis(page).filter(has_text="attempt").all_inner_texts()


@pytest.mark.parametrize("declared", [True, False], ids=["declared", "not declared"])
def test_the_bar_of_nested_steps_is_that_of_the_whole(stack, person, tmp_path, declared):
    alice = person(stack)
    page = alice.open(f"/tasks/{alice.visitor.start_job('in_steps', str(tmp_path), declared)}/")
    bar = page.get_by_role("progressbar", name="Progress of in_steps")
    percent = page.locator("[part=percent]")
    page.evaluate(NOTE_VALUES)
    for number, (value, step, said) in enumerate((("20", "List", "step 1"), ("60", "Load", "step 1")), 1):
        expect(axis(page).filter(has_text=step)).to_contain_text("running")
        expect(fact(page, "Done")).to_contain_text("5 / 10")
        if declared:
            expect(bar).to_have_attribute("aria-valuenow", value)
        else:
            expect(percent).to_have_text(said)
        (tmp_path / f"go-{number}").touch()
    expect(axis(page).filter(has_text="Write")).to_contain_text("running")
    expect(percent).to_have_text(re.compile("90.%" if declared else "step 2"))
    (tmp_path / "go-3").touch()
    expect(page.get_by_text("done, 2 missing")).to_be_visible()
    expect(page.locator("task-progress")).to_have_attribute("missing", "")
    expect(page).to_have_title(re.compile("^⚠"))
    expect(fact(page, "Done")).to_have_text("Done")  # a sum of weights is no work
    told = [float(one) for one in page.evaluate("values") if one]
    assert told == sorted(told) and told[-1] == 100
    assert declared or told == [100]
    page.reload()
    expect(page.get_by_text("done, 2 missing")).to_be_visible()
    expect(fact(page, "Done")).to_have_text("Done")


def test_a_retry_is_told_as_a_try_and_its_times_are_its_own(stack, person, tmp_path):
    alice = person(stack)
    for number in (1, 2, 3):
        (tmp_path / f"go-{number}").touch()
    page = alice.open(f"/tasks/{alice.visitor.start_job('in_steps', str(tmp_path), True, True)}/")
    expect(page.get_by_text("done, 2 missing")).to_be_visible()
    tries = page.get_by_text("try 3 of 6 · worker lost 0 of 3")
    expect(tries).to_have_count(2)  # beside the state, and with the attempts
    said = [
        re.compile(rf"^attempt {number}\s*{how} · ") for number, how in ((1, "retried"), (2, "retried"), (3, "done"))
    ]
    for _ in ("live", "reloaded"):
        expect(axis(page).filter(has_text="attempt")).to_have_text(said)
        bars = [row.locator(".span").bounding_box() for row in axis(page).all()]
        names = [name.splitlines()[0] for name in axis(page).all_inner_texts()]
        assert names[:5] == ["queue", "attempt 1", "attempt 2", "wait", "attempt 3"]
        starts = [box["x"] for box in bars if box]
        assert starts == sorted(starts) and len(starts) == len(names)
        live = attempts(page)
        page.reload()
        expect(tries).to_have_count(2)
    assert attempts(page) == live


def test_a_run_that_failed_before_it_told_anything_has_no_number_and_no_green_end(stack, person):
    alice = person(stack)
    page = alice.open(f"/tasks/{alice.visitor.start_job('fail', message='at once')}/")
    expect(page.get_by_text("failed", exact=True)).to_be_visible()
    for _ in ("live", "reloaded"):
        assert page.get_by_role("progressbar", name="Progress of fail").get_attribute("aria-valuenow") is None
        expect(page.locator("[part=percent]")).to_have_text("")
        expect(axis(page)).to_have_text([re.compile(r"^queue\s*done"), re.compile(r"^attempt 1\s*failed")])
        colours = [one.evaluate("one => getComputedStyle(one).fill") for one in axis(page).locator(".span").all()]
        assert colours[0] != colours[1]
        page.reload()
        expect(page.get_by_text("failed", exact=True)).to_be_visible()


def test_the_parts_of_a_chord_are_told_after_its_parent_has_ended(stack, person, tmp_path):
    alice = person(stack)
    parent = alice.visitor.start_job("starts_chord", str(tmp_path / "go"), 3)
    wait_until(lambda: alice.visitor.task(parent)["state"] == "SUCCESS", 20, "the parent has ended")
    page = alice.open(f"/tasks/{parent}/")
    expect(page.get_by_text(re.compile("^3 parts: "))).to_be_visible()
    (tmp_path / "go").touch()
    expect(page.get_by_text("3 parts: 2 done, 1 failed")).to_be_visible(timeout=30_000)
    children = axis(page).filter(has_text="ends_at")
    expect(children).to_have_count(3)
    expect(children.filter(has_text="failed")).to_have_count(1)
    parts = page.get_by_role("list", name="Parts")
    expect(parts.get_by_role("listitem").filter(has_text="then")).to_contain_text(["Together", "then failed"])
    expect(parts.get_by_role("link")).to_have_count(4)  # the body waited for all
    left = [link.bounding_box() for link in parts.get_by_role("link").all()]
    head = page.locator(".tree b").bounding_box()
    assert head and all(box and box["x"] > head["x"] and box["y"] > head["y"] for box in left)
    parts.get_by_role("link").first.click()
    tree = page.get_by_role("list", name="Where it belongs")
    expect(tree.get_by_role("link")).to_have_text(["starts_chord", "ends_at"])  # its parent, and what follows it
    tree.get_by_role("link", name="starts_chord").click()
    expect(page.get_by_text("3 parts: 2 done, 1 failed")).to_be_visible()
