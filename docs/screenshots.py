"""Makes the pictures of the README from a running `./start_dev.sh`: light and dark, desktop and phone.

    python docs/screenshots.py [http://localhost:8001]

Flower has to run beside it, as start_dev.sh starts it: the pictures show it.

Needs requirements-dev.txt and an installed Chromium (TEST_BROWSER names another one).
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

PICTURES = Path(__file__).parent / "pictures"
#: name → (width, height, colour scheme)
SHOTS = {
    "home": (1100, 400, "light"),
    "home-dark": (1100, 400, "dark"),
    "home-phone": (390, 420, "light"),
    "home-phone-dark": (390, 420, "dark"),
}
#: The height of a run's page.
RUN = 650
#: Steps of the tasks that are started: the first is done when the pictures are made, the others still run.
STEPS = (30, 600, 900)


def shoot(browser: Browser, url: str) -> None:
    """Start a few tasks as one visitor, and take every picture while they run."""
    context = browser.new_context(viewport={"width": 1100, "height": 760})
    page = context.new_page()
    page.goto(url)
    page.locator('[data-part="flower"][data-ok="true"]').wait_for()  # or the pictures would say "not running"
    for steps in STEPS:
        page.get_by_role("button", name="Start…").click()
        dialog = page.get_by_role("dialog", name="Start a task")
        dialog.get_by_label("Steps").fill(str(steps))
        dialog.get_by_role("button", name="Start").click()
        page.wait_for_timeout(1500)
    page.wait_for_timeout(12_000)  # far enough for a bar that one sees, and a rate
    state = context.storage_state()
    for name, (width, height, scheme) in SHOTS.items():
        view = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if scheme == "dark" else "light",
            storage_state=state,
        )
        shot = view.new_page()
        shot.goto(url)
        shot.wait_for_timeout(1200)  # the socket is open and the bars have moved
        shot.screenshot(path=PICTURES / f"{name}.png")
        if name in ("home", "home-dark"):
            shot.set_viewport_size({"width": width, "height": RUN})
            shot.get_by_role("link", name="long_running_task").first.click()
            shot.wait_for_timeout(1500)
            shot.screenshot(path=PICTURES / f"{name.replace('home', 'run')}.png")
        view.close()


def tour(browser: Browser, url: str) -> None:
    """The tour in three pictures: it asks for another try; killed, it goes on where it was; one of its parts failed."""
    page = browser.new_context(viewport={"width": 900, "height": 900}).new_page()
    page.goto(url)
    page.get_by_role("button", name="Take the tour").click()
    page.get_by_text("trying again", exact=True).first.wait_for()
    page.wait_for_timeout(500)
    page.screenshot(path=PICTURES / "tour-1.png")
    page.locator(".axis").get_by_text("Import").wait_for()
    page.wait_for_timeout(6000)
    page.get_by_role("button", name="Kill its worker now").click()
    page.get_by_text("resumed at").first.wait_for(timeout=60_000)
    page.wait_for_timeout(3000)
    page.screenshot(path=PICTURES / "tour-2.png")
    page.get_by_text("4 parts: 3 done, 1 failed").wait_for(timeout=60_000)
    page.wait_for_timeout(1000)
    page.screenshot(path=PICTURES / "tour-3.png")


def main() -> None:
    """Find the browser and the site, and make the pictures."""
    url = sys.argv[1] if len(sys.argv) > 1 else "http://localhost:8001"
    found = os.environ.get("TEST_BROWSER") or shutil.which("chromium") or shutil.which("google-chrome")
    PICTURES.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox", "--disable-gpu"])
        shoot(browser, url.rstrip("/") + "/")
        tour(browser, url.rstrip("/") + "/")
        browser.close()


if __name__ == "__main__":
    main()
