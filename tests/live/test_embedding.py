"""`{% task_progress %}` in a page of somebody else: live, styled from outside, heard by the page's own script."""

from __future__ import annotations

import re
import urllib.request

from playwright.sync_api import expect


def sign_in(stack, page):
    """The browser's cookies are those of the visitor who starts the tasks."""
    visitor = stack.visitor()
    visitor.get("/")
    page.context.add_cookies(
        [{"name": cookie.name, "value": cookie.value, "url": stack.url} for cookie in visitor.cookies]
    )


def test_a_bar_in_any_page_moves_to_its_end_and_tells_the_page(stack, page, tmp_path):
    gate = tmp_path / "gate"
    one, other = (stack.start_job("recite_until", str(gate), steps=10, delay=0.05) for _ in range(2))
    sign_in(stack, page)
    page.add_init_script("""
      window.heard = [];
      for (const name of ["progress", "end"])
        document.addEventListener(name, ({ type, target, detail }) =>
          heard.push([type, target.getAttribute("task-id"), detail.state]));
    """)
    page.goto(f"{stack.url}/embedding/?one={one}&other={other}")
    assert page.locator("link[rel=stylesheet]").count() == 1  # once for all bars of the page
    bars = page.get_by_role("progressbar")
    expect(bars).to_have_count(2)
    expect(page.locator("task-progress[state=STARTED]")).to_have_count(2)
    lines = page.get_by_label("Log").get_by_role("listitem")
    expect(lines.first).to_contain_text("line 1")
    for name, value in (("--progress-height", "20px"), ("--progress-done", "rgb(1, 2, 3)")):
        page.evaluate("([name, value]) => document.body.style.setProperty(name, value)", [name, value])
    expect(bars.first).to_have_css("height", "20px")
    gate.touch()
    expect(page.locator("task-progress[state=SUCCESS]")).to_have_count(2)
    expect(bars.first).to_have_attribute("aria-valuenow", "100")
    expect(page.locator("[part=fill]").first).to_have_css("fill", "rgb(1, 2, 3)")
    page.wait_for_function("heard.filter(([type]) => type === 'end').length === 2")
    heard = page.evaluate("heard")
    assert {tuple(event) for event in heard if event[0] == "end"} == {
        ("end", one, "SUCCESS"),
        ("end", other, "SUCCESS"),
    }
    assert ["progress", one, "STARTED"] in heard
    page.reload()
    expect(page.locator("task-progress[state=SUCCESS]")).to_have_count(2)
    expect(lines.first).to_contain_text("line 1")


def test_without_javascript_the_page_says_how_far_it_was(stack, browser):
    task_id = stack.start_job("fail", "no luck")
    stack.wait_state(task_id, "FAILURE")
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    sign_in(stack, page)
    page.goto(f"{stack.url}/embedding/?one={task_id}")
    expect(page.locator("[part=state]")).to_have_text("failed")
    expect(page.locator("[part=error]")).to_have_text("RuntimeError: no luck")
    context.close()


def test_a_stranger_is_told_that_there_is_none(stack):
    task_id = stack.start_job("echo", 1)
    with urllib.request.urlopen(f"{stack.url}/embedding/?one={task_id}", timeout=10) as answer:
        text = answer.read().decode()
    assert "There is no such task, or it is not yours." in text
    assert not re.search("<task-progress ", text)
