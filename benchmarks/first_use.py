"""How soon is the home page usable, in a browser that was never there? `python benchmarks/first_use.py`

Usable: Start Task can be pressed and its handler is in place. Ten visits with an empty cache after one to warm up, over
loopback, the page as `start_all_services.sh` serves it.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys

from lab import Lab, Report, median
from playwright.sync_api import Browser, sync_playwright

#: Seconds until the page is usable.
BOUND = 0.5

#: Notes, in ms since the navigation began: when the form's handler came, and the first words over the socket.
NOTE = """
window.noted = {};
const note = (name) => (noted[name] ??= performance.now());
const listen = EventTarget.prototype.addEventListener;
EventTarget.prototype.addEventListener = function (type, ...rest) {
    if (type === "submit" && this.matches?.("form.start")) note("usable");
    return listen.call(this, type, ...rest);
};
window.WebSocket = class extends WebSocket {
    constructor(...given) {
        super(...given);
        listen.call(this, "message", () => note("live"));
    }
};
"""

READY = "noted.usable && noted.live && performance.getEntriesByName('first-contentful-paint').length > 0"

READ = """() => {
    const [page] = performance.getEntriesByType("navigation");
    const files = performance.getEntriesByType("resource");
    return {
        ...noted,
        html: page.responseEnd,
        painted: performance.getEntriesByName("first-contentful-paint")[0]?.startTime ?? 0,
        files: Math.max(...files.filter(({ name }) => name.includes("/static/")).map((one) => one.responseEnd)),
    };
}"""

STEPS = {
    "html": "the page has arrived",
    "painted": "first paint",
    "files": "the last script or style has arrived",
    "usable": "**usable**: Start Task and its handler",
    "live": "the first news over the socket",
}


def visit(browser: Browser, url: str) -> dict[str, float]:
    """One visit with an empty cache; seconds from its beginning to each of `STEPS`."""
    context = browser.new_context()
    context.add_init_script(NOTE)
    page = context.new_page()
    page.goto(url)
    while not page.evaluate(READY):  # the page's policy forbids what wait_for_function does
        page.wait_for_timeout(20)
    assert page.get_by_role("button", name="Start Task").is_enabled()
    seen = page.evaluate(READ)
    context.close()
    return {name: seen[name] / 1000 for name in STEPS}


def main() -> int:
    """Run it and print the table."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=10)
    given = options.parse_args()
    chromium = os.environ.get("TEST_BROWSER") or shutil.which("chromium") or shutil.which("google-chrome")
    report = Report("first_use.py: the home page in a browser that was never there")
    with Lab() as lab, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        lab.start_worker()
        for server in ("daphne", "uvicorn"):
            web = lab.start_web(server)
            visit(browser, lab.visitor.base_url)
            seen = [visit(browser, lab.visitor.base_url) for _ in range(given.rounds)]
            for name, step in STEPS.items():
                times = [one[name] for one in seen]
                met = median(times) <= BOUND if name == "usable" else None
                report.row(
                    f"{server}: {step} (median of {given.rounds}, {min(times):.2f} to {max(times):.2f} s)",
                    f"{median(times):.2f} s",
                    bound=f"≤ {BOUND:g} s" if name == "usable" else "",
                    met=met,
                )
            lab.stop(web)
        browser.close()
    return report.print()


if __name__ == "__main__":
    sys.exit(main())
