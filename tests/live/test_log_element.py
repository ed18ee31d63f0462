"""The part "log" in a real browser, with the run page's own style: followed until the reader's hand ends that."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, expect

from tests.waiting import wait_until

from .fake_progress import FakeProgress, Socket

STYLE = "\n".join(
    (Path(__file__).parents[2] / "tasks" / "static" / "tasks" / name).read_text() for name in ("tasks.css", "run.css")
)
CONTENT = """
    <button data-log="follow" aria-pressed="true">Follow</button><p data-log="earlier"></p>
    <ol class="log" part="log" aria-label="Log" tabindex="0"></ol>
"""
FROM_END = "list => Math.round(list.scrollHeight - list.scrollTop - list.clientHeight)"


def frame(kind: str, seq: int, lines: list[dict[str, Any]], state: str = "STARTED") -> dict[str, Any]:
    told: dict[str, Any] = {"v": 1, "type": kind, "task_id": "t", "epoch": "a", "seq": seq}
    if kind == "log":
        return told | {"lines": lines}
    return told | {"recovered": False, "task": {"name": "a.b", "state": state, "attempt": 1, "ts": 0}, "log": lines}


def lines(first: int, last: int) -> list[dict[str, Any]]:
    """Each of another height: from one row to nine."""
    return [
        {"n": n, "ts": 1000.0 + n, "level": "info", "text": f"line {n} " + "word " * (n * 37 % 160)}
        for n in range(first, last + 1)
    ]


def show(page: Page, fake: FakeProgress) -> None:
    page.set_viewport_size({"width": 700, "height": 700})
    page.goto(fake.url)
    page.add_style_tag(content=STYLE)
    page.evaluate(
        """async ([socket, content]) => {
            const element = document.createElement("task-progress");
            element.setAttribute("task-id", "t");
            element.setAttribute("socket", socket);
            element.innerHTML = content;
            await import("/progress/task-progress.js");
            document.body.append(element);
        }""",
        [fake.sockets_url, CONTENT],
    )


def wait_last(page: Page, number: int) -> None:
    expect(page.get_by_role("listitem").last).to_contain_text(f"line {number} ")


def wait_at_end(page: Page) -> None:
    log = page.get_by_role("list", name="Log")
    wait_until(lambda: log.evaluate(FROM_END) <= 1, 10, lambda: f"the end is in view, not {log.evaluate(FROM_END)} px")


def test_lines_that_wrap_do_not_end_the_following_and_the_readers_hand_does(page, fake):
    go = threading.Semaphore(0)

    def scene(socket: Socket) -> None:
        socket.say(frame("snapshot", 1, lines(1, 100)))
        for part in range(1, 6):
            go.acquire(timeout=30)
            socket.say(frame("log", 1 + part, lines(part * 100 + 1, part * 100 + 100)))
        socket.wait_closed()

    fake.scenes = [scene]
    show(page, fake)
    follow, log = page.get_by_role("button", name="Follow"), page.get_by_role("list", name="Log")
    for part in range(1, 4):
        wait_last(page, part * 100)
        wait_at_end(page)
        expect(follow).to_have_attribute("aria-pressed", "true")
        go.release()
    wait_last(page, 400)
    wait_at_end(page)
    page.set_viewport_size({"width": 360, "height": 700})  # a phone that is turned: every line wraps otherwise
    wait_at_end(page)
    expect(follow).to_have_attribute("aria-pressed", "true")

    log.hover()
    page.mouse.wheel(0, -900)
    expect(follow).to_have_attribute("aria-pressed", "false")
    go.release()
    wait_last(page, 500)
    assert log.evaluate(FROM_END) > 300, "the reader was taken away"
    expect(follow).to_have_attribute("aria-pressed", "false")
    follow.click()
    wait_at_end(page)
    log.focus()
    page.keyboard.press("Home")
    expect(follow).to_have_attribute("aria-pressed", "false")
    page.keyboard.press("End")  # back at the end by hand: it is followed again
    expect(follow).to_have_attribute("aria-pressed", "true")
    go.release()
    wait_last(page, 600)
    wait_at_end(page)


def test_an_ended_run_opens_at_the_end_of_its_log_and_says_what_is_not_kept(page, fake):
    def scene(socket: Socket) -> None:
        socket.say(frame("snapshot", 9, lines(4_001, 5_000), "SUCCESS"))
        socket.close(1000)

    fake.scenes = [scene]
    show(page, fake)
    wait_last(page, 5_000)
    wait_at_end(page)
    expect(page.get_by_text("4,000 earlier lines are not kept.")).to_be_visible()
    expect(page.get_by_role("button", name="Follow")).to_have_attribute("aria-pressed", "true")


def test_a_log_that_is_whole_says_nothing_of_earlier_lines(page, fake):
    def scene(socket: Socket) -> None:
        socket.say(frame("snapshot", 9, lines(1, 5)))
        socket.wait_closed()

    fake.scenes = [scene]
    show(page, fake)
    wait_last(page, 5)
    expect(page.locator("[data-log=earlier]")).to_have_text("")
