"""All live tests of downloads once more, with Huey's worker in the place of Celery's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.live.stack import Stack, Worker
from tests.live.test_downloads import *  # noqa: F403 - the tests
from tests.live.test_downloads import source as source


@pytest.fixture
def new_stack(new_stack, monkeypatch) -> Iterator[Callable[..., Stack]]:
    """Stacks that do downloads with Huey, and start no other worker."""

    def start_worker(self: Stack, name: str = "w1", concurrency: int = 2, *, wait: bool = True, **_: Any) -> Worker:
        return self.start_huey(name, concurrency, wait=wait)

    monkeypatch.setattr(Stack, "start_worker", start_worker)

    def make(env: dict[str, str], **options: Any) -> Stack:
        return new_stack({**env, "DOWNLOADS_ENGINE": "huey"}, **options)

    yield make
