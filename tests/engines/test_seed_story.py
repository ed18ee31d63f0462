"""The seed system on Huey, in a person's browser: home at once, waiting in Redis, picked up, saved, told.

And both engines' workers beside each other, as the strip, the staff's pages and the doctor see them.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.live.engines import CELERY, HUEY
from tests.live.stack import ROOT, Stack
from tests.live.test_downloads import FIRST, LAST, SELLERS, saved, sheet_of, sums
from tests.report_source import ReportSource, report_source
from tests.waiting import wait_until


@contextmanager
def notices() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """An address for NOTIFY_URLS, and what was sent there."""
    told: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"json://127.0.0.1:{server.server_port}/", told
    server.shutdown()
    server.server_close()


@pytest.fixture
def source() -> Iterator[ReportSource]:
    with report_source() as source:
        yield source


def test_a_person_s_download_waits_for_huey_s_worker_and_comes_home(new_stack, source, page):
    with notices() as (url, told):
        env = {"DOWNLOADS_ENGINE": "huey", "DOWNLOAD_SOURCE_URL": source.url, "NOTIFY_URLS": url}
        stack: Stack = new_stack(env=env).start(workers=0)
        page.goto(stack.url)
        page.get_by_role("button", name="Download reports…").click()
        for label, text in (
            ("First day", FIRST),
            ("Last day", LAST),
            ("Seller ids", "\n".join(SELLERS)),
            ("Launcher", "Alice"),
        ):
            page.get_by_label(label).fill(text)
        page.get_by_role("button", name="Download", exact=True).click()
        row = page.locator("li.run").first
        expect(row.get_by_text("download_reports")).to_be_visible(timeout=3_000)
        assert page.url.rstrip("/") == stack.url, "the person is not at home"
        banner = page.locator("#banner")  # what a row waits for is said once, above all that wait for it
        expect(banner.get_by_text("python manage.py run_huey")).to_be_visible()
        with stack.valkey.client() as client:
            assert client.zcard("huey.redis.django_starter_huey") == 1, "it does not wait in Redis"
        CELERY.start_worker(stack, "one")  # does nothing for it
        expect(banner.get_by_text("python manage.py run_huey")).to_be_visible()
        assert not source.asked

        HUEY.start_worker(stack, "one")
        expect(row.get_by_role("link", name="XLSX")).to_be_visible(timeout=40_000)
        with page.expect_download() as download:
            row.get_by_role("link", name="XLSX").click()
        with open(download.value.path(), "rb") as file:
            assert sums(sheet_of(file.read())) == source.sums(SELLERS, FIRST, LAST)
        assert {name for name, *_ in saved(stack)} == {"Sales", "Traffic"}
        assert set(saved(stack).values()) == {1}
        wait_until(lambda: len(told) == 2, 15, lambda: str(told))
        assert [one["title"] for one in told] == ["Download started", "Download finished"]
        row.get_by_role("link", name="download_reports").click()
        expect(page.get_by_text("62 / 62 reports")).to_be_visible()


def doctor(stack: Stack) -> dict[str, Any]:
    command = [sys.executable, "manage.py", "doctor", "--json"]
    done = subprocess.run(command, cwd=ROOT, env=stack.env, capture_output=True, text=True, timeout=60)
    checks = json.loads(done.stdout)["checks"]
    return {one["name"]: one for one in checks} if isinstance(checks, list) else dict(checks)


def test_both_engines_workers_are_seen_and_the_one_that_is_missing_is_named(new_stack):
    stack = new_stack(env={"DOWNLOADS_ENGINE": "huey"}).start(workers=0)
    CELERY.start_worker(stack, "one")
    found = doctor(stack)["workers"]
    assert (found["status"], found["hint"]) == ("failed", "python manage.py run_huey")
    assert "Nobody serves the queue django_starter_huey, only celery-one@test (celery;" in found["detail"]
    HUEY.start_worker(stack, "one")
    wait_until(lambda: stack.get("/api/status/").json()["workers"]["count"] == 2, 15)
    found = doctor(stack)["workers"]
    assert found["status"] == "ok"
    assert "celery-one@test (celery;" in found["detail"] and "(django_starter_huey;" in found["detail"]
