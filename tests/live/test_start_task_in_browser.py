"""The main job, done by the very script that a person starts: click Start Task, watch it to 100 %."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from .dev_script import DevScript


@pytest.fixture(scope="module")
def running(guard) -> Iterator[DevScript]:
    script = DevScript(guard)
    try:
        yield script.start().wait_ready()
    finally:
        script.close()


#: Notes every value that the first bar on the page shows, as its attribute changes, from the moment of the click.
NOTE_VALUES = """
() => {
    window.seen = [];  // gone when the page is loaded again
    const note = () => {
        const bar = document.querySelector('task-progress [role=progressbar]');
        if (!bar || !bar.hasAttribute('aria-valuenow')) return;
        const value = Number(bar.getAttribute('aria-valuenow'));
        if (window.seen.at(-1) !== value) window.seen.push(value);
    };
    new MutationObserver(note).observe(document, {
        subtree: true, childList: true, attributes: true, attributeFilter: ['aria-valuenow'],
    });
    note();
}
"""


def test_start_task_moves_the_bar_to_100_percent_without_a_reload(running, page):
    page.goto(running.url + "/")
    page.evaluate(NOTE_VALUES)
    page.get_by_role("button", name="Start Task").click()

    bar = page.locator("task-progress").first.get_by_role("progressbar")
    expect(bar).to_have_attribute("aria-valuenow", "100", timeout=40_000)
    expect(page.locator("task-progress").first.get_by_text("done", exact=True)).to_be_visible(timeout=10_000)

    seen = page.evaluate("window.seen")
    assert seen is not None, "the page was loaded again"
    assert len(set(seen)) >= 20, seen
    assert seen == sorted(seen), f"the bar ran backwards: {seen}"
    assert seen[-1] == 100
