"""Many viewers that behave as the page does: they come back after a lost connection, with what they hold."""

from __future__ import annotations

import asyncio
import json
import random
import threading
from collections.abc import Sequence
from typing import Any

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage
from websockets.typing import Origin

from progress.messages import FINAL_STATES
from progress.view_state import apply
from tests.waiting import wait_until

from ..visitor import Visitor


class Seat:
    """One viewer and what it shows."""

    def __init__(self, task_id: str) -> None:
        self.task_id = task_id
        self.view: Any = None
        self.connections = 0
        self.backwards: list[str] = []

    @property
    def task(self) -> dict[str, Any]:
        return dict(self.view["task"]) if self.view else {}

    @property
    def final(self) -> bool:
        return self.task.get("state") in FINAL_STATES

    def take(self, frame: Any) -> bool:
        """Fold a frame in; True if the viewer has to ask for a snapshot."""
        if frame.get("task_id") != self.task_id:
            return False
        before = self.task
        self.view = apply(self.view, frame)
        after = self.task
        same = before.get("attempt") == after.get("attempt") and before.get("state") == after.get("state") == "STARTED"
        if same and (before.get("current") or 0) > (after.get("current") or 0) and not frame.get("recovered"):
            self.backwards.append(f"{before.get('current')} → {after.get('current')} by {frame['type']}")
        return bool(self.view and self.view["resync"])


class Crowd:
    """`size` viewers of `task_ids`, in one thread."""

    def __init__(self, visitor: Visitor, task_ids: Sequence[str], size: int) -> None:
        self.seats = [Seat(task_ids[number % len(task_ids)]) for number in range(size)]
        self._url = visitor.base_url.replace("http", "ws", 1)
        self._origin = visitor.base_url
        self._cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in visitor.cookies)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def wait_connected(self, timeout: float = 20.0) -> None:
        """Every seat has seen its task."""
        wait_until(
            lambda: all(seat.view for seat in self.seats),
            timeout,
            lambda: f"all connected; {sum(not seat.view for seat in self.seats)} are not",
        )

    def wait_final(self, timeout: float) -> None:
        """Every seat shows an end."""
        wait_until(
            lambda: all(seat.final for seat in self.seats),
            timeout,
            lambda: f"all final; {[seat.task for seat in self.seats if not seat.final][:3]}",
            every=0.02,
        )

    def close(self) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._everybody.cancel)
        self._thread.join(10)

    def _run(self) -> None:
        async def everybody() -> None:
            await asyncio.gather(*(self._sit(seat) for seat in self.seats))

        asyncio.set_event_loop(self._loop)
        self._everybody = self._loop.create_task(everybody())
        try:
            self._loop.run_until_complete(self._everybody)
        except asyncio.CancelledError:
            pass
        finally:
            self._loop.close()

    async def _sit(self, seat: Seat) -> None:
        failures = 0
        while not seat.final:
            held = f"?epoch={seat.view['epoch']}&seq={seat.view['seq']}" if seat.view else ""
            try:
                async with connect(
                    f"{self._url}/ws/progress/{seat.task_id}/{held}",
                    origin=Origin(self._origin),
                    additional_headers={"Cookie": self._cookies},
                    proxy=None,
                    compression=None,
                    open_timeout=5,
                    close_timeout=0.2,
                    ping_interval=None,
                    max_size=None,
                ) as socket:
                    seat.connections += 1
                    async for text in socket:
                        failures = 0
                        frame = json.loads(text)
                        if frame["type"] == "ping":
                            await socket.send(json.dumps({"type": "pong", "seq": (seat.view or {}).get("seq", 0)}))
                        elif seat.take(frame) and seat.view:
                            ask = {"type": "resync", "epoch": seat.view["epoch"], "seq": seat.view["seq"]}
                            await socket.send(json.dumps(ask))
            except (OSError, ConnectionClosed, InvalidHandshake, InvalidMessage, TimeoutError):
                pass
            if not seat.final:
                failures += 1
                await asyncio.sleep(random.uniform(0.1, min(0.2 * 2**failures, 5.0)))
