"""A person at a browser, who finds everything on the pages by what it is called."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, WebSocket

from tests.waiting import wait_until

from .visitor import Visitor

#: What Chromium itself writes when it cannot reach a server: said only by tabs whose network a test has cut.
NETWORK = ("net::ERR_", "WebSocket connection to", "Failed to load resource")


class Person:
    """A browser with cookies of its own, and `visitor`: the same person without one, to start what no form offers.

    Notes what its tabs do that no page may: a word in the console, an exception, a request to another host.
    """

    def __init__(self, browser: Browser, url: str, *, account: tuple[str, str] | None = None, **options: Any) -> None:
        self.url = url
        self.complaints: list[str] = []
        self.cut = False  # True: the network was cut on purpose, and Chromium may say so
        self.visitor = Visitor(url)
        self.visitor.get("/")
        if account:
            self.visitor.post("/login/", {"username": account[0], "password": account[1]})
        self.context = browser.new_context(base_url=url, **options)
        self.context.set_default_timeout(15_000)
        for cookie in self.visitor.cookies:
            self.context.add_cookies([{"name": cookie.name, "value": cookie.value or "", "url": url}])
        self.context.on("console", self._console)
        self.context.on("weberror", lambda error: self.complaints.append(f"exception: {error.error}"))
        self.context.on("request", lambda request: self._asks(request.url))
        self.context.on("page", lambda page: page.on("websocket", self._socket))

    def open(self, path: str = "/") -> Page:
        """A new tab at that path."""
        page = self.context.new_page()
        page.goto(path)
        return page

    def forgive(self, text: str, times: int) -> None:
        """Forget `times` complaints with that text, which have to be there: Chromium notes answers of 400 and up."""
        wait_until(lambda: sum(text in one for one in self.complaints) >= times, 5, lambda: str(self.complaints))
        for one in [one for one in self.complaints if text in one][:times]:
            self.complaints.remove(one)

    def close(self) -> None:
        """Close the browser; fails when one of its tabs did what it may not."""
        self.context.close()
        self.visitor.close()
        assert not self.complaints, self.complaints

    def _console(self, message: ConsoleMessage) -> None:
        if not (self.cut and any(text in message.text for text in NETWORK)):
            self.complaints.append(f"console: {message.text} ({message.location['url']})")

    def _asks(self, url: str) -> None:
        address = urlsplit(url)
        if address.scheme not in ("data", "blob", "about") and address.netloc != urlsplit(self.url).netloc:
            self.complaints.append(f"a request to another host: {url}")

    def _socket(self, socket: WebSocket) -> None:
        self._asks(socket.url)


def start(page: Page, steps: int | str, delay: float = 0.02) -> None:
    """Start the first task by the dialog, with these arguments."""
    fill(page, steps, delay).get_by_role("button", name="Start").click()


def fill(page: Page, steps: int | str, delay: float = 0.02) -> Locator:
    """The dialog of Start, open, with these arguments."""
    page.get_by_role("button", name="Start…").click()
    dialog = page.get_by_role("dialog", name="Start a task")
    dialog.get_by_label("Steps").fill(str(steps))
    dialog.get_by_role("spinbutton", name="Delay").fill(str(delay))
    return dialog


def runs(page: Page) -> Locator:
    """Those of "My runs": what runs, what waits, what has ended; in each the newest first."""
    return page.locator("#runs .run")


def newest(page: Page) -> Locator:
    """The run at the top of "My runs"."""
    return runs(page).first


def axis(page: Page) -> Locator:
    """The rows of a run's time."""
    return page.get_by_role("list", name="Time").get_by_role("listitem")


def value(within: Page | Locator) -> float:
    """What the bar says; -1 where it does not know how far the task is."""
    return float(within.get_by_role("progressbar").get_attribute("aria-valuenow") or -1)


def wait_moving(within: Page | Locator, above: float = 0) -> float:
    """Wait until the bar stands between `above` and 100; where it stands."""
    return (
        wait_until(lambda: (now := value(within)) > above and now < 100 and now, 20, f"the bar moves on from {above}")
        or 0
    )


def part(page: Page, name: str) -> Locator:
    """One line of the strip, "What is running"."""
    return page.get_by_role("complementary", name="What is running").get_by_role("listitem").filter(has_text=name)


def violations(page: Page, rules: list[str] | None = None) -> list[str]:
    """What axe-core finds by `rules` (default: all), as "rule: what is wrong, at which elements"."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(Axe().axe_script)
    only = {"runOnly": rules} if rules else {}
    found = page.evaluate("(options) => axe.run(options)", {"resultTypes": ["violations"], **only})["violations"]
    return [f"{one['id']}: {one['help']}, at {[node['html'][:200] for node in one['nodes']]}" for one in found]
