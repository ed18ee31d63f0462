"""What the browser says of a task is what the server says of it: the same cases as `tests/unit/test_texts.py`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page

from tests.unit.text_cases import CASES, SILENCES

from .fake_progress import FakeProgress


@pytest.fixture
def tab(page: Page) -> Iterator[Page]:
    fake = FakeProgress()
    page.goto(fake.url)
    yield page
    fake.close()


def test_every_case_is_told_by_the_browser_as_by_the_server(tab):
    said = tab.evaluate(
        """async (cases) => {
            const { TEXT, fraction } = await import("/progress/part-texts.js");
            const { clock } = await import("/progress/format.js");
            return cases.map(([task, path]) => ({
                state: TEXT.state(task),
                percent: TEXT.percent(task).replaceAll("\\u00a0", " "),
                tries: TEXT.attempt(task),
                times: Object.keys(path).map((name) => TEXT[name](task)),
                expected: Object.values(path).map(clock),
                drawn: fraction(task),
            }));
        }""",
        [[task, expected["path"]] for task, expected in CASES.values()],
    )
    for (name, (task, expected)), told in zip(CASES.items(), said, strict=True):
        assert {key: told[key] for key in ("state", "percent", "tries")} == {
            key: expected[key] for key in ("state", "percent", "tries")
        }, name
        assert told["times"] == told["expected"], name
        assert told["drawn"] == (100 if task["state"] == "SUCCESS" else task["percent"]), name


def test_silence_is_told_by_the_browser_as_by_the_server(tab):
    said = tab.evaluate(
        """async (tasks) => {
            const { BLOCK } = await import("/progress/part-texts.js");
            const now = Date.parse("2026-01-01T12:10:00Z");
            return tasks.map((task) => BLOCK.quiet(task, now).replaceAll("\\u00a0", " "));
        }""",
        [task for task, _ in SILENCES.values()],
    )
    assert dict(zip(SILENCES, said, strict=True)) == {name: text for name, (_, text) in SILENCES.items()}
