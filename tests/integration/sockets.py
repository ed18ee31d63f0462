"""Sockets of browsers on the real WebSocket application, without a server between: queues in its place."""

from __future__ import annotations

import asyncio
import gc
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from channels.routing import URLRouter

from progress import hub as hub_module
from progress.hub import Hub, get_hub
from progress.routing import websocket_urlpatterns

HOST = "localhost:8001"
APPLICATION: Any = URLRouter(websocket_urlpatterns)


class Tab:
    """One socket; connected when it is made. It takes whatever it is sent at once, and answers pings."""

    def __init__(self, cookie: str = "", task_id: str | None = None, **scope: Any) -> None:
        path = f"/ws/progress/{task_id}/" if task_id else "/ws/progress/"
        headers = {
            "host": HOST,
            "origin": f"http://{HOST}",
            "cookie": f"sessionid={cookie}",
            **scope.pop("headers", {}),
        }
        self.scope = {
            "type": "websocket",
            "path": path,
            "query_string": b"",
            "headers": [(name.encode(), value.encode()) for name, value in headers.items() if value is not None],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 8001),
            **scope,
        }
        self.frames: list[dict[str, Any]] = []
        self.accepted = False
        self.code: int | None = None
        self._in: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._in.put_nowait({"type": "websocket.connect"})
        self.serving = asyncio.create_task(APPLICATION(self.scope, self._in.get, self._send))

    async def _send(self, event: dict[str, Any]) -> None:
        if event["type"] == "websocket.accept":
            self.accepted = True
        elif event["type"] == "websocket.close":
            self.code = event.get("code", 1000)
        else:
            frame = json.loads(event["text"])
            self.frames.append(frame)
            if frame["type"] == "ping":
                self.send({"type": "pong", "seq": frame["seq"]})

    def send(self, frame: Any) -> None:
        text = frame if isinstance(frame, str) else json.dumps(frame)
        self._in.put_nowait({"type": "websocket.receive", "text": text})

    def subscribe(self, *task_ids: str, feeds: tuple[str, ...] = ()) -> None:
        self.send({"type": "subscribe", "task_ids": list(task_ids), "feeds": list(feeds)})

    async def until(self, true: Callable[[], Any], timeout: float = 5.0) -> Any:
        async with asyncio.timeout(timeout):
            while not (found := true()):
                await asyncio.sleep(0.01)
        return found

    async def enters(self) -> None:
        await self.until(lambda: self.accepted)

    async def sees(self, kind: str, **fields: Any) -> dict[str, Any]:
        """The first frame of that type with these fields."""

        def found() -> Any:
            said = (one for one in self.frames if one["type"] == kind)
            return next((one for one in said if fields.items() <= one.items()), None)

        frame: dict[str, Any] = await self.until(found)
        return frame

    async def closes(self, timeout: float = 5.0) -> int | None:
        """Its close code."""
        await self.until(lambda: self.code is not None, timeout)
        return self.code

    async def leave(self) -> None:
        self._in.put_nowait({"type": "websocket.disconnect", "code": 1001})
        await asyncio.wait_for(self.serving, 5)

    async def drop(self) -> None:
        """As Daphne ends the application of a client that is gone: in the middle of any await."""
        self.serving.cancel()
        await asyncio.wait([self.serving])


async def make_hub(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Hub]:
    """The hub of this test's event loop, which looks at rights three times a second."""
    monkeypatch.setattr(hub_module, "TICK", 0.1)
    monkeypatch.setattr(hub_module, "RECHECK_EVERY", 0.3)
    hub = get_hub()
    yield hub
    del hub_module._hubs[asyncio.get_running_loop()]
    tasks = [one for one in (hub._ticking, hub._late, hub._feeding, *hub._background._tasks) if one is not None]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    hub.source._thread.shutdown()
    gc.collect()  # a cursor that a cancelled question has left would lock its table in SQLite's memory
    client: Any = hub._repair._reader._record._client
    await client.aclose()
    await client.connection_pool.disconnect()
