"""A WebSocket address that does not exist: closed with one quiet line, and never an error."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from django_starter.asgi import application
from progress import nowhere
from progress.seldom import Seldom

ADDRESSES = [
    *("/", "/ws/", "/ws/progress", "/ws/progress/a/b/", "/ws/progress//", "/nothing/", "/admin/", "", "//"),
    *("/ws/progress/t", "/WS/PROGRESS/", "/ws/progress/t/\n", "/é/\ud800/", "/\x00", "/" + "x" * 100_000),
]


async def visit(path: str) -> list[dict[str, Any]]:
    """What a browser that connects to `path` is sent."""
    asked: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    asked.put_nowait({"type": "websocket.connect"})
    sent: list[dict[str, Any]] = []

    async def send(event: Any) -> None:
        sent.append(event)

    headers = [(b"host", b"localhost:8001"), (b"origin", b"http://localhost:8001")]
    scope: dict[str, Any] = {"type": "websocket", "path": path, "query_string": b"", "headers": headers}
    await application(scope, asked.get, send)
    return sent


@pytest.mark.parametrize("path", ADDRESSES)
async def test_an_address_that_does_not_exist_is_closed_as_a_task_that_does_not_exist(path, caplog, monkeypatch):
    monkeypatch.setattr(nowhere, "_seldom", Seldom(60))
    with caplog.at_level(logging.INFO):
        for _ in range(100):
            assert [(one["type"], one.get("code")) for one in await visit(path)] == [
                ("websocket.accept", None),
                ("websocket.close", 4404),
            ]
    (record,) = caplog.records
    assert (record.levelno, record.exc_info) == (logging.INFO, None)
    line = record.getMessage()
    assert line.isascii()
    assert line.isprintable()
    assert len(line) < 300


def test_what_happens_often_is_said_seldom_and_with_its_count(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr("progress.seldom.time.monotonic", lambda: clock[0])
    seldom = Seldom(30.0)
    said = []
    for second in range(65):
        clock[0] = float(second)
        said.append(seldom.times())
    assert [(second, count) for second, count in enumerate(said) if count] == [(0, 1), (30, 30), (60, 30)]
