"""Report downloads in the whole system: a person in a browser, no worker, a kill half way, a source that misbehaves."""

from __future__ import annotations

import csv
import io
import json
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import openpyxl
import pytest
from playwright.sync_api import expect

from tests.report_source import ReportSource, days, report_source
from tests.waiting import wait_until

from .stack import Stack

FIRST, LAST = "2026-01-01", "2026-01-31"
SELLERS = ["SELLER-1", "SELLER-2"]


@pytest.fixture
def source() -> Iterator[ReportSource]:
    with report_source() as source:
        yield source


def make(new_stack, source: ReportSource, **env: str) -> Stack:
    return new_stack(env={"DOWNLOAD_SOURCE_URL": source.url, **env})


def ask(stack: Stack, sellers: list[str], first: str = FIRST, last: str = LAST, who: str = "alice"):
    asked = {"start_date": first, "end_date": last, "seller_id": ", ".join(sellers), "launcher": who}
    return stack.visitor(who).post("/downloads/", json=asked)


def start(stack: Stack, sellers: list[str], **more: str) -> str:
    answer = ask(stack, sellers, **more)
    assert answer.status == 202, answer.text
    return str(answer.json()["task_id"])


def sheet_of(data: bytes) -> list[tuple]:
    """The rows of an XLSX: seller, day, names …, units, revenue, pageviews."""
    return list(openpyxl.load_workbook(io.BytesIO(data), read_only=True).active.iter_rows(min_row=2, values_only=True))


def sums(rows: list[tuple]) -> tuple[int, int, Decimal, int]:
    money = sum((Decimal(str(row[8])) for row in rows), Decimal(0))
    return len(rows), sum(row[7] for row in rows), money, sum(row[9] for row in rows)


def saved(stack: Stack) -> Counter:
    """What stands in the tables: how many times each (table, seller, day, product)."""
    code = (
        "import json; from tasks.downloads.models import *; "
        "print(json.dumps([[m.__name__, r[0], str(r[1]), r[2]] for m in (Sales, Traffic) "
        "for r in m.objects.values_list('seller_id', 'day', 'product_id')]))"
    )
    return Counter(map(tuple, json.loads(stack.shell(code))))


def test_a_person_fills_the_form_is_home_at_once_and_downloads_the_figures_of_the_source(new_stack, source, page):
    source.delay = 0.05  # long enough to be seen to move
    stack = make(new_stack, source).start()
    page.goto(stack.url)
    page.get_by_role("button", name="Download reports…").click()
    page.get_by_label("First day").fill(FIRST)
    page.get_by_label("Last day").fill("2025-12-31")
    page.get_by_label("Seller ids").fill("SELLER-1\nSELLER-2")
    page.get_by_label("Launcher").fill("Alice")
    page.get_by_role("button", name="Download", exact=True).click()
    expect(page.get_by_text("Last day must not be before the first one")).to_be_visible()
    expect(page.get_by_label("Seller ids")).to_have_value("SELLER-1\nSELLER-2")

    page.get_by_label("Last day").fill(LAST)
    page.evaluate("window.stayed = true")
    page.get_by_role("button", name="Download", exact=True).click()
    row = page.locator("li.run").first
    expect(row).to_be_visible(timeout=2_000)
    expect(row.get_by_text("download_reports")).to_be_visible()
    bar = row.get_by_role("progressbar")

    def shown() -> float:
        return float(bar.get_attribute("aria-valuenow") or 0)

    seen = wait_until(lambda: shown() if 0 < shown() < 100 else None, 20, "the bar moves") or 0
    wait_until(lambda: shown() > seen, 20, "the bar moves on")
    link = row.get_by_role("link", name="XLSX")
    expect(link).to_be_visible(timeout=30_000)
    assert page.evaluate("window.stayed"), "the page was loaded again"
    with page.expect_download() as download:
        link.click()
    assert download.value.suggested_filename == f"SELLER-1-and-1-more_{FIRST}_{LAST}.xlsx"
    with open(download.value.path(), "rb") as file:
        rows = sheet_of(file.read())
    assert sums(rows) == source.sums(SELLERS, FIRST, LAST)
    assert {(row[0], str(row[1].date())) for row in rows} == {(s, d) for s in SELLERS for d in days(FIRST, LAST)}

    row.get_by_role("link", name="download_reports").click()
    expect(page.get_by_role("link", name="CSV")).to_be_visible()
    expect(page.get_by_text("62 / 62 reports")).to_be_visible()
    page.goto(stack.url)
    page.get_by_role("button", name="Download reports…").click()
    expect(page.get_by_label("Launcher")).to_have_value("Alice")
    page.keyboard.press("Escape")
    expect(page.locator("li.run").first.get_by_role("link", name="CSV")).to_be_visible()


def test_failed_days_are_listed_on_the_page_and_fetched_alone(new_stack, source, page):
    stack = make(new_stack, source).start()
    good = source.report
    source.report = lambda seller, day: "" if day == "2026-01-03" else good(seller, day)
    page.goto(stack.url)
    page.get_by_role("button", name="Download reports…").click()
    for label, text in (("First day", FIRST), ("Last day", LAST), ("Seller ids", "A"), ("Launcher", "Alice")):
        page.get_by_label(label).fill(text)
    page.get_by_role("button", name="Download", exact=True).click()
    page.locator("li.run").first.get_by_role("link", name="download_reports").click()
    expect(page.get_by_text("1 of the reports could not be fetched")).to_be_visible()
    expect(page.locator(".files").get_by_text("A 2026-01-03")).to_be_visible()
    source.report = good
    source.asked.clear()
    first = page.url
    page.get_by_role("button", name="Fetch only those").click()
    page.wait_for_url(lambda url: url != first)
    expect(page.get_by_text("31 / 31 reports")).to_be_visible()
    assert set(source.asked) == {("A", "2026-01-03")}


def test_without_a_worker_it_is_kept_and_says_so_and_runs_to_the_end_when_one_starts(new_stack, source):
    stack = make(new_stack, source)
    stack.prepare_database()
    stack.valkey.start()
    stack.start_web()
    ask(stack, SELLERS, who="bob")  # the first request of a web process imports half of Django
    took = []
    for number in range(5):
        began = time.monotonic()
        answer = ask(stack, [f"S{number}"])
        took.append(time.monotonic() - began)
        assert answer.status == 202
    assert sorted(took)[2] < 0.1, took
    task_id = start(stack, SELLERS)
    waiting = wait_until(lambda: stack.task(task_id)["waiting"], 10)
    assert waiting["reason"] == "no_worker"
    assert "No worker is running" in stack.get("/").text
    assert not source.asked
    stack.start_worker()
    task = stack.wait_state(task_id, "SUCCESS")
    assert task["result"]["records"] == source.sums(SELLERS, FIRST, LAST)[0]
    assert (task["current"], task["total"], task["unit"]) == (62, 62, "reports")


def test_a_form_goes_home_with_303_and_the_same_request_twice_at_once_is_one_run(new_stack, source):
    stack = make(new_stack, source)
    stack.prepare_database()
    stack.valkey.start()
    stack.start_web()
    form = {"start_date": FIRST, "end_date": LAST, "seller_id": "A", "launcher": "Alice"}
    stack.visitor().post("/downloads/", {**form, "seller_id": "B"})  # her session begins here
    answer = stack.visitor().post("/downloads/", form)
    assert (answer.status, answer.headers["Location"]) == (303, "/")
    with ThreadPoolExecutor(8) as pool:
        ids = {one.json()["task_id"] for one in pool.map(lambda _: ask(stack, ["C"]), range(16))}
    assert len(ids) == 1


def test_a_worker_that_is_killed_half_way_goes_on_with_what_is_missing(new_stack, source):
    source.delay = 0.05
    stack = make(new_stack, source).start(concurrency=1)
    first, last = "2026-01-01", "2026-04-30"
    task_id = start(stack, SELLERS, first=first, last=last)
    total = 2 * len(days(first, last))
    wait_until(lambda: (stack.task(task_id)["current"] or 0) > total * 0.4, 30, "half of it is saved")
    stack.workers["w1"].kill()
    before = {(seller, day) for _, seller, day, _ in saved(stack)}
    assert total * 0.3 < len(before) < total
    source.asked.clear()
    source.delay = 0.0
    stack.start_worker("w2", concurrency=1)
    task = stack.wait_state(task_id, "SUCCESS", timeout=60)
    assert task["attempt"] == 2
    assert not before & set(source.asked), "what was saved was fetched again"
    assert len(source.asked) == total - len(before)
    expected = source.sums(SELLERS, first, last)
    assert task["result"]["records"] == expected[0]
    assert set(saved(stack).values()) == {1}
    assert sums(sheet_of(stack.get(f"/downloads/{task_id}/xlsx/").body)) == expected


def test_a_source_that_refuses_a_third_of_all_requests_is_fetched_whole(new_stack, source):
    source.share_500, source.share_429 = 0.2, 0.1
    stack = make(new_stack, source).start()
    watcher = None
    task_id = start(stack, SELLERS)
    watcher = stack.watch(task_id)
    task = stack.wait_state(task_id, "SUCCESS", "FAILURE", timeout=60)
    assert task["state"] == "SUCCESS", task
    assert (task["result"]["days_done"], task["result"]["days_failed"]) == (62, 0)
    assert sum(source.asked.values()) > 70
    assert set(source.served.values()) == {1}
    assert set(saved(stack).values()) == {1}
    assert sums(sheet_of(stack.get(f"/downloads/{task_id}/xlsx/").body)) == source.sums(SELLERS, FIRST, LAST)
    watcher.wait_final()
    texts = watcher.log_texts()
    assert any("The source answered 500. Try 2 in" in text for text in texts)
    assert any("The source answered 429. Try 2 in" in text for text in texts)


def test_nonsense_from_the_source_fails_its_day_alone_and_says_why(new_stack, source):
    stack = make(new_stack, source).start()
    task_id = start(stack, ["HTML", "ELSEWHERE", "HUGE", "NONSENSE", "FORMULA", "GONE", "EMPTY"], last="2026-01-01")
    result = stack.wait_state(task_id, "SUCCESS")["result"]
    assert {one["report"]: one["why"] for one in result["failed"]} == {
        "HTML 2026-01-01": "The source answered text/html; charset=utf-8 instead of CSV.",
        "ELSEWHERE 2026-01-01": (
            "The source redirects to http://169.254.169.254, which is not followed: it is another host."
        ),
        "HUGE 2026-01-01": "It is larger than 10,000,000 bytes.",
        "NONSENSE 2026-01-01": "None of its 1 rows can be read.",
        "GONE 2026-01-01": "The source answered 404 Not Found.",
    }
    assert (result["days_done"], result["days_empty"], result["days_failed"]) == (1, 1, 5)
    sheet = openpyxl.load_workbook(io.BytesIO(stack.get(f"/downloads/{task_id}/xlsx/").body)).active
    assert {(cell.value, cell.data_type) for cell in sheet["C"][1:]} == {('=cmd|"/C calc"!A1', "s")}
    lines = list(csv.reader(io.StringIO(stack.get(f"/downloads/{task_id}/csv/").body.decode("utf-8-sig"))))
    assert {line[2] for line in lines[1:]} == {'\'=cmd|"/C calc"!A1'}
    assert {seller for _, seller, _, _ in saved(stack)} == {"FORMULA"}


def test_the_files_are_nobody_elses(new_stack, source):
    stack = make(new_stack, source).start()
    task_id = start(stack, ["A"], last="2026-01-02")
    stack.wait_state(task_id, "SUCCESS")
    stack.visitor("bob").get("/")
    for path in (f"/downloads/{task_id}/xlsx/", f"/downloads/{task_id}/csv/", f"/tasks/{task_id}/"):
        assert stack.get(path).status == 200
        assert stack.visitor("bob").get(path).status == 404
    for path in ("/downloads/", "/media/", "/static/downloads/"):
        assert stack.get(path).status in (404, 405)


def test_a_cancel_ends_it_and_what_was_saved_stays(new_stack, source):
    source.delay = 0.2
    stack = make(new_stack, source).start()
    task_id = start(stack, SELLERS)
    wait_until(lambda: (stack.task(task_id)["current"] or 0) > 5, 20)
    assert stack.post(f"/tasks/{task_id}/cancel/", headers={"Accept": "application/json"}).status == 202
    stack.wait_state(task_id, "REVOKED", timeout=8)
    asked = len(source.asked)
    assert 5 < asked < 62
    assert set(saved(stack).values()) == {1}
    stack.workers["w1"].stop()  # it would wait for a job that went on
    assert len(source.asked) <= asked + 8  # those that were under way


def test_the_sample_source_of_the_site_serves_its_own_worker(new_stack):
    stack = new_stack(env={"SAMPLE_SOURCE": "1"})
    stack.env["DOWNLOAD_SOURCE_URL"] = f"{stack.url}/sample-source/{{seller_id}}/{{day}}.csv"
    stack.start()
    task_id = start(stack, ["SELLER-1", "FLAKY"], last="2026-01-10")
    result = stack.wait_state(task_id, "SUCCESS", timeout=60)["result"]
    assert result["days_done"] + result["days_empty"] == 20
    assert result["records"] > 400
