"""The hub's loop, against a real server: nothing that others publish or store ends the live updates of a process."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import msgpack  # type: ignore[import-untyped]
import pytest
import redis
from channels.layers import get_channel_layer

from progress.held import Since
from progress.hub import Hub
from progress.messages import CloseCode, dumps
from progress.outbox import Outbox
from progress.record import get_record, group_name, hash_key
from progress.socket import _Session
from progress.topic import ASK_ANYHOW

ENVELOPE = '{"v":1,"type":"update","task_id":"t1","epoch":"e","seq":1'
FRAME: dict[str, Any] = {
    "type": "progress.frame",
    "task_id": "t1",
    "epoch": "e",
    "seq": 1,
    "kind": "update",
    "final": False,
    "text": ENVELOPE + "}",
}

#: What another program may publish into a group that is watched.
FOREIGN: dict[str, bytes] = {
    "another shape": msgpack.packb({"type": "chat.message", "text": "hello"}),
    "no task": msgpack.packb({"type": "progress.frame"}),
    "a list": msgpack.packb([1, 2]),
    "a number": msgpack.packb(5),
    "null": msgpack.packb(None),
    "json": b'{"type":"x"}',
    "pickle": b"\x80\x04\x95\x00",
    "empty": b"",
    "garbage": b"\xff\xfe\xc1\xc1\x00",
    "deep": b"\x91" * 100_000,
    "huge": b"\xc6\x01\xe0\x00\x00" + b"x" * 0x1E00000,
    "no id": msgpack.packb({**FRAME, "task_id": ["t1"]}),
    "no seq": msgpack.packb({**FRAME, "seq": "1"}),
    "no text": msgpack.packb({**FRAME, "text": 7}),
    "not json": msgpack.packb({**FRAME, "text": ENVELOPE + ",nope}"}),
    "another text": msgpack.packb({**FRAME, "text": "<script>"}),
    "no kind": msgpack.packb({**FRAME, "kind": {}}),
}


class Browser:
    """Remembers what its socket was sent."""

    def __init__(self) -> None:
        self.frames: list[dict[str, Any]] = []

    async def send(self, event: Any) -> None:
        if event["type"] == "websocket.send":
            self.frames.append(json.loads(event["text"]))

    async def sees(self, current: int, task_id: str = "t1", timeout: float = 5) -> None:
        async with asyncio.timeout(timeout):
            while not any(self._of(frame) == (task_id, current) for frame in self.frames):
                await asyncio.sleep(0.01)

    @staticmethod
    def _of(frame: dict[str, Any]) -> tuple[Any, Any]:
        return frame.get("task_id"), frame.get("task", frame).get("current")


def stored(task_id: str) -> Any:
    return {"id": task_id, "state": "STARTED", "attempt": 1, "current": None, "message": ""}


async def test_a_row_that_is_gone_ends_what_is_told_of_it(hub, monkeypatch):
    browser = Browser()
    closed: list[int] = []

    async def send(event: Any) -> None:
        if event["type"] == "websocket.close":
            closed.append(event["code"])

    single = Outbox(send, hub.lost, closes_at_end=True)
    shared = Outbox(browser.send, hub.lost, closes_at_end=False)
    await hub.join(single, stored("t1"), Since())
    await hub.join(shared, stored("t1"), Since(log=False))
    await hub.join(shared, stored("t2"), Since(log=False))
    there = {"t2": stored("t2")}

    async def refresh(task_ids: Any) -> Any:
        return {one: there[one] for one in task_ids if one in there}

    monkeypatch.setattr(hub.source, "refresh", refresh)
    audiences = list(hub._audiences.values())
    for audience in audiences:  # neither silent nor waiting: only long not asked about
        audience.topic.changed_at = hub._loop.time()
        audience.topic.asked_at -= ASK_ANYHOW + 1
    await hub._repair.ask_source(audiences)
    assert closed == [CloseCode.NOT_FOUND]
    refusals = [frame for frame in browser.frames if frame["type"] == "error"]
    assert [(one["code"], one["task_id"]) for one in refusals] == [("not_found", "t1")]
    assert "t2" in hub._audiences
    assert [one.outbox for one in hub._audiences["t1"].subscriptions] == [single]  # its session leaves by itself


async def tell(task_id: str, current: int) -> None:
    body = dumps({"state": "STARTED", "attempt": 1, "current": current})
    await asyncio.to_thread(get_record().publish, task_id, 1, body, [], final=False)


@pytest.fixture
async def hub(valkey, monkeypatch):
    monkeypatch.setattr("progress.hub.COMPARE_EVERY", 60)  # what is seen came over the layer
    monkeypatch.setattr("progress.hub.TICK", 0.1)
    hub = Hub()

    async def nothing(_: Any) -> dict[str, Any]:
        return {}

    monkeypatch.setattr(hub.source, "refresh", nothing)
    yield hub
    tasks = [one for one in (hub._ticking, hub._late, hub._feeding, *hub._background._tasks) if one is not None]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    layer: Any = get_channel_layer()
    await layer.flush()
    client: Any = hub._repair._reader._record._client
    await client.aclose()
    await client.connection_pool.disconnect()


@pytest.fixture
async def browser(hub):
    browser = Browser()
    await tell("t1", 0)
    await hub.join(Outbox(browser.send, hub.lost, closes_at_end=False), stored("t1"), Since(log=False))
    await asyncio.sleep(0.4)  # subscribed, and compared after the join
    await tell("t1", 1)
    await browser.sees(1)
    return browser


@pytest.mark.parametrize("name", FOREIGN)
async def test_a_foreign_message_ends_no_live_updates(hub, browser, valkey, name):
    layer: Any = get_channel_layer()
    with redis.Redis.from_url(valkey) as client:
        client.publish(layer.group_channel(group_name("t1")), FOREIGN[name])
    await tell("t1", 2)
    await browser.sees(2)
    assert hub._listening
    assert all(frame["type"] in ("snapshot", "update") for frame in browser.frames)


async def test_the_loop_begins_again_after_any_exception(hub, browser, monkeypatch, caplog):
    receive = hub._listener.receive
    failed = asyncio.Event()

    async def broken() -> Any:
        await receive()
        failed.set()
        raise RuntimeError("something nobody thought of")

    monkeypatch.setattr(hub._listener, "receive", broken)
    async with asyncio.timeout(5):
        while not failed.is_set():  # the loop that waits already hears the first ones, however many come at once
            await tell("t1", 2)
            await asyncio.sleep(0.05)
    monkeypatch.setattr(hub._listener, "receive", receive)
    async with asyncio.timeout(5):
        while not (hub._listening and hub._audiences["t1"].subscribed):
            await asyncio.sleep(0.02)
    await asyncio.sleep(0.3)
    await tell("t1", 4)
    await browser.sees(4)
    assert "listening again" in caplog.text


async def test_a_poisoned_record_leaves_a_list_socket_its_other_tasks(hub, valkey, monkeypatch):
    ids = [f"t{number}" for number in range(20)]
    for task_id in ids:
        await tell(task_id, 1)
    with redis.Redis.from_url(valkey) as client:
        client.delete(hash_key("t3"), hash_key("t5"))
        client.set(hash_key("t3"), "garbage")
        client.hset(hash_key("t5"), mapping={"epoch": "e", "seq": "x", "data": '{"state":["\\ud800"]}'})
        client.hset(hash_key("t7"), "data", "{nope")

    async def states(_: Any, task_ids: Any) -> Any:
        return {task_id: stored(task_id) | {"result": "\ud800"} for task_id in task_ids}

    monkeypatch.setattr(hub.source, "states", states)
    join = hub.join

    async def one_fails(outbox: Any, state: Any, since: Since) -> Any:
        if state["id"] == "t9":
            raise ValueError("this row cannot be shown")
        return await join(outbox, state, since)

    monkeypatch.setattr(hub, "join", one_fails)
    browser = Browser()
    session = _Session(hub, "viewer", browser.send, single=False)
    await session._receive(json.dumps({"type": "subscribe", "task_ids": ids}))
    for task_id in set(ids) - {"t3", "t5", "t7", "t9"}:
        await browser.sees(1, task_id)
    assert {frame["task_id"] for frame in browser.frames} == set(ids) - {"t9"}
    await asyncio.sleep(0.4)
    await tell("t4", 2)
    await browser.sees(2, "t4")
