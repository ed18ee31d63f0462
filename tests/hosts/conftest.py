"""The machines, once for all tests here; a browser that knows their name."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, sync_playwright

from tests.live.conftest import CHROMIUM_FLAGS, RUNNING, find_browser
from tests.live.conftest import (
    pytest_runtest_makereport as pytest_runtest_makereport,  # shows what the machines printed
)

from .network import Network
from .site import NAME, Site


@pytest.fixture(scope="session")
def site(guard) -> Iterator[Site]:
    folder = Path(tempfile.mkdtemp(prefix="django_starter-hosts-"))
    network = Network()
    site = Site(network, folder, guard)
    RUNNING.append(site)
    try:
        site.start()
        yield site
    finally:
        RUNNING.remove(site)
        site.close()
        network.close()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def visitor(site) -> Iterator[BrowserContext]:
    """A person's browser, for which the site's name leads to nginx."""
    executable = find_browser()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=None if executable == "playwright" else executable,
            args=[*CHROMIUM_FLAGS, f"--host-resolver-rules=MAP {NAME} {site.front.address}"],
        )
        context = browser.new_context(ignore_https_errors=True)
        context.set_default_timeout(20_000)
        yield context
        browser.close()
