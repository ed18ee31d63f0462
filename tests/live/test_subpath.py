"""The site below a path of its host, in a browser, on both servers: nothing on its pages leads out of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Request, Response, WebSocket, expect

from .conftest import end
from .pages import start
from .stack import Stack

WAYS: dict[str, dict[str, Any]] = {
    "FORCE_SCRIPT_NAME": {"env": {"FORCE_SCRIPT_NAME": "/app"}},
    "--root-path": {"args": ("--root-path", "/app")},
}


@pytest.fixture(scope="module")
def system(make_stack) -> Iterator[Stack]:
    stack = make_stack()
    try:
        yield stack.start()
    finally:
        end(stack)


@pytest.mark.parametrize("server", ["daphne", "uvicorn"])
@pytest.mark.parametrize("way", WAYS)
def test_a_task_is_started_and_watched_below_the_path(system, page, way, server):
    system.web.stop()
    system.start_web(server, **WAYS[way])
    outside: list[str] = []
    failed: list[str] = []

    def look(asked: Request | WebSocket) -> None:
        if not urlsplit(asked.url).path.startswith("/app/"):
            outside.append(asked.url)

    def hear(answer: Response) -> None:
        if answer.status >= 400:
            failed.append(f"{answer.status} {answer.url}")

    page.on("request", look)
    page.on("websocket", look)
    page.on("response", hear)
    page.goto(f"{system.url}/app/")
    expect(page.locator("[data-part=socket]")).to_contain_text("live")
    start(page, 100, 0.05)
    run = page.locator("#runs task-progress").first
    expect(run).to_have_attribute("connection", "live")
    run.locator("a.run-name").click()
    run = page.locator("task-progress")
    expect(run).to_have_attribute("state", "STARTED")
    page.get_by_role("button", name="Cancel").click()
    expect(run).to_have_attribute("state", "REVOKED")
    page.get_by_role("button", name="Run again").click()
    expect(run).to_have_attribute("state", "SUCCESS")
    expect(page.get_by_role("list", name="Log").get_by_role("listitem").first).to_be_visible()
    page.get_by_role("link", name="Log in").click()
    expect(page.get_by_role("heading", name="Log in")).to_be_visible()
    assert not outside
    assert not failed
    cookies = {one["path"] for one in page.context.cookies()}
    assert cookies == {"/app"}
    asked = system.python("manage.py", "doctor", "--url", f"{system.url}/app", *left_out("web", "socket"))
    assert "socket" in asked


def left_out(*wanted: str) -> list[str]:
    """The doctor's options that leave all but these checks and what they need out."""
    from django_starter.doctor.checklist import NAMES

    needed = {*wanted, "database", "migrations"}
    return [option for name in NAMES if name not in needed for option in ("--skip", name)]
