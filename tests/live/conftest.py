"""The whole system, once for all tests that only look at it, or fresh for a test that breaks it; and a browser."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from . import invariants
from .dev_script import DevScript
from .fake_progress import FakeProgress
from .pages import Person
from .rabbitmq import Rabbits
from .stack import Stack

#: Everything with `logs()` that runs now: a failed test shows what its processes printed.
RUNNING: list[Any] = []
#: The stack that all tests share, while there is one.
SHARED: list[Stack] = []
#: A test that has failed leaves anything behind.
FAILED = pytest.StashKey[bool]()

#: For Chromium in a container, as root, without a network: https://peter.sh/experiments/chromium-command-line-switches
CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.failed:
        item.stash[FAILED] = True
        for stack in RUNNING:
            report.sections.extend((f"the end of {name}", text) for name, text in stack.logs())
    return report


@pytest.fixture(scope="session")
def make_stack(guard) -> Iterator[Callable[..., Stack]]:
    """Makes stacks in folders of their own, with the tables already there. The caller closes them."""
    # Not tmp_path: its long name would not matter to us, but pytest keeps the last three of them.
    folder = Path(tempfile.mkdtemp(prefix="django_starter-live-"))
    template: list[Path] = []

    broker = os.environ.get("TEST_BROKER", "redis")
    assert broker in ("redis", "rabbitmq"), f"TEST_BROKER is {broker!r}"
    rabbits = Rabbits(folder / "rabbitmq", guard) if broker == "rabbitmq" else None

    def make(env: dict[str, str] | None = None, *, breaks_broker: bool = False) -> Stack:
        home = Path(tempfile.mkdtemp(dir=folder)) / "dev"
        stack = Stack(home, guard, env=env, rabbits=rabbits, breaks_broker=breaks_broker)
        if not template and "DATABASE_URL" not in stack.env:  # migrations take seconds: once for all
            stack.prepare_database()
            template.append(folder / "template.sqlite3")
            shutil.copy(stack.folder / "db.sqlite3", template[0])
        stack.template = template[0] if template else None
        RUNNING.append(stack)
        return stack

    yield make
    if rabbits:
        rabbits.close()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def stack(make_stack) -> Iterator[Stack]:
    """The whole system, shared by all tests that leave it as it was."""
    stack = make_stack()
    SHARED.append(stack)
    try:
        yield stack.start(concurrency=4)
    finally:
        SHARED.remove(stack)
        end(stack)


@pytest.fixture(scope="module", autouse=True)
def _rules_hold_of_the_shared_stack(request) -> Iterator[None]:
    """After each file of tests, of the stack that all share."""
    yield
    for stack in SHARED:
        invariants.assert_hold(stack)


@pytest.fixture
def new_stack(request, make_stack) -> Iterator[Callable[..., Stack]]:
    """`new_stack(env={...})`: a stack of this test alone, not started yet; `.start()` starts all of it.

    `breaks_broker=True` where the test does something to `stack.broker` itself. When the test has passed, the rules of
    all runs must hold (`tests.live.invariants`), unless it is marked with `leaves_broken("why")`.
    """
    made: list[Stack] = []

    def make(env: dict[str, str] | None = None, *, breaks_broker: bool = False) -> Stack:
        made.append(make_stack(env, breaks_broker=breaks_broker))
        return made[-1]

    yield make
    try:
        if not request.node.get_closest_marker("leaves_broken") and not request.node.stash.get(FAILED, False):
            for stack in made:
                invariants.assert_hold(stack)
    finally:
        for stack in made:
            end(stack)


def end(stack: Stack) -> None:
    stack.close()
    RUNNING.remove(stack)
    shutil.rmtree(stack.folder, ignore_errors=True)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium. For tests that are plain functions: Playwright's own event loop runs in this thread until the end of
    the module, so a module has browser tests or `async def` tests, not both."""
    executable = find_browser()
    expect.set_options(timeout=15_000)  # ms, as tests share the machine
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=None if executable == "playwright" else executable, args=CHROMIUM_FLAGS
        )
        yield browser
        browser.close()


@pytest.fixture
def page(browser) -> Iterator[Page]:
    """A tab of a person who was never here. What goes wrong in the page fails the test."""
    context = browser.new_context()
    page = context.new_page()
    page.set_default_timeout(15_000)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    context.close()
    assert not errors, f"errors in the page: {errors}"


@pytest.fixture
def fake() -> Iterator[FakeProgress]:
    """A progress server that does what the test tells it."""
    fake = FakeProgress()
    yield fake
    fake.close()


@pytest.fixture
def tab(page: Page, fake: FakeProgress) -> Page:
    """A page of that server."""
    page.goto(fake.url)
    # the shortest wait of the jitter, so that the tests are as fast as the rules allow
    page.evaluate("Math.random = () => 0")
    return page


@pytest.fixture
def person(browser) -> Iterator[Callable[..., Person]]:
    """`person(stack)`: somebody who was never here, in whose tabs nothing may go wrong. More arguments: `Person`."""
    made: list[Person] = []

    def make(stack: Stack, **options) -> Person:
        made.append(Person(browser, stack.url, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture(scope="session")
def staff(stack) -> tuple[str, str]:
    """The name and password of a member of staff."""
    account = ("sarah", "a long password")
    make = f"User.objects.create_user({account[0]!r}, password={account[1]!r}, is_staff=True)"
    stack.shell(f"from django.contrib.auth import get_user_model; User = get_user_model(); {make}")
    return account


def find_browser() -> str:
    """The path of a browser, or "playwright" for its own. A missing browser fails the test: nothing is skipped."""
    if named := os.environ.get("TEST_BROWSER"):
        return named
    for name in ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable"):
        if path := shutil.which(name):
            return path
    for path in (
        "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
        "/Applications/Chromium.app/Contents/MacOS/Chromium",
    ):
        if Path(path).exists():
            return path
    with sync_playwright() as playwright:
        if Path(playwright.chromium.executable_path).exists():
            return "playwright"
    pytest.fail("There is no browser: ./run_tests.sh installs one, or set TEST_BROWSER to the path of a Chromium.")


@pytest.fixture
def start_dev(guard) -> Iterator[Callable[..., DevScript]]:
    """`start_dev(root=..., PORT=...)`: a call of the real start_dev.sh, not started yet."""
    made: list[DevScript] = []

    def make(**options) -> DevScript:
        made.append(DevScript(guard, **options))
        return made[-1]

    yield make
    for script in reversed(made):
        script.close()
