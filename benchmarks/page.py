"""One page, a hundred running tasks: does it stay responsive? `python benchmarks/page.py`

The home page in a real Chromium, with a hundred runs that call `progress.set` 25 times a second each, so that each is
told 20 times a second. Measured is the page's main thread, as Chromium's own trace has it: the longest task on it (what
takes 50 ms is felt, what takes 100 is seen), and how much of a core all of them took together.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from typing import Any

from lab import Lab, Report, percentile
from playwright.sync_api import BrowserContext, Page, expect, sync_playwright

from tests.live.conftest import CHROMIUM_FLAGS, find_browser

TASKS, RATE = 100, 25
WORKERS = 4
#: Milliseconds of the longest task on the main thread, and percent of one core.
LONGEST, LOAD = 100, 60

COUNT = """() => {
    window.heard = 0;
    window.painted = 0;
    document.addEventListener("progress", () => window.heard++);
    const note = () => { window.painted++; requestAnimationFrame(note); };
    requestAnimationFrame(note);
}"""


def main() -> int:
    """Run it and print the table."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seconds", type=float, default=10.0)
    seconds = options.parse_args().seconds
    report = Report(f"page.py: the home page with {TASKS} running tasks, {seconds:.0f} s")
    with Lab() as lab, sync_playwright() as playwright:
        for number in range(WORKERS):  # one process could not say as much
            lab.start_worker(TASKS // WORKERS, pool="threads", name=f"worker{number}")
        executable = find_browser()
        browser = playwright.chromium.launch(
            executable_path=None if executable == "playwright" else executable, args=CHROMIUM_FLAGS
        )
        for server in ("uvicorn", "daphne"):
            web = lab.start_web(server)
            gate = lab.gate(server)
            for _ in range(TASKS):
                lab.start("speak", gate=str(gate), seconds=seconds + 30, rate=RATE)
            for width, what in ((1440, "desktop"), (360, "phone")):
                context = browser.new_context(viewport={"width": width, "height": 800})
                page = _open(context, lab)
                gate.touch()
                events, heard, painted = _trace(page, seconds)
                context.close()
                tasks = _main_thread(events)
                load = sum_of_cpu(tasks) / 10 / seconds
                longest = max(tasks)
                name = f"{server}, {what}"
                report.row(f"{name}: updates heard, frames painted", f"{heard:,.0f} /s, {painted:.0f} /s")
                report.at_most(f"{name}: longest task of the main thread", longest[0], LONGEST, "ms")
                report.row(f"{name}: CPU of that one", f"{longest[1]:.1f} ms")
                report.row(
                    f"{name}: 99 of 100 are shorter than", f"{percentile([wall for wall, _ in tasks], 99):.1f} ms"
                )
                report.at_most(f"{name}: of one core", load, LOAD, "%")
            gate.unlink()
            lab.stop(web)
        browser.close()
    return report.print()


def _open(context: BrowserContext, lab: Lab) -> Page:
    """The home page of the visitor, with all tasks running."""
    visitor = lab.visitor
    context.add_cookies(
        [{"name": one.name, "value": one.value or "", "url": visitor.base_url} for one in visitor.cookies]
    )
    page = context.new_page()
    page.goto(visitor.base_url + "/")
    running = page.locator("task-progress[state=STARTED][connection=live]")
    expect(running).to_have_count(TASKS, timeout=60_000)
    page.evaluate(COUNT)
    return page


def _trace(page: Page, seconds: float) -> tuple[list[dict[str, Any]], float, float]:
    """What Chromium noted in `seconds`, and the updates and frames a second."""
    time.sleep(2)
    browser = page.context.browser
    assert browser is not None
    before = page.evaluate("[heard, painted]")
    began = time.monotonic()
    browser.start_tracing(page=page, categories=["toplevel"])
    time.sleep(seconds)
    trace = json.loads(browser.stop_tracing())
    took = time.monotonic() - began
    after = page.evaluate("[heard, painted]")
    heard, painted = ((now - then) / took for then, now in zip(before, after, strict=True))
    return trace["traceEvents"], heard, painted


def _main_thread(events: list[dict[str, Any]]) -> list[tuple[float, float]]:
    """Of each task on the busiest renderer's main thread: how long it took, and its CPU time; milliseconds."""
    mains = {
        (event["pid"], event["tid"])
        for event in events
        if event["name"] == "thread_name" and event["args"]["name"] == "CrRendererMain"
    }
    tasks: dict[tuple[int, int], list[tuple[float, float]]] = {main: [] for main in mains}
    for event in events:
        thread = (event["pid"], event["tid"])
        if thread in mains and event["ph"] == "X" and event["name"].endswith("RunTask"):
            tasks[thread].append((event["dur"] / 1000, event["tdur"] / 1000))
    return max(tasks.values(), key=sum_of_cpu)


def sum_of_cpu(tasks: list[tuple[float, float]]) -> float:
    """Milliseconds."""
    return sum(cpu for _, cpu in tasks)


if __name__ == "__main__":
    sys.exit(main())
