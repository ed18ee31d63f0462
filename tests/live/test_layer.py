"""What the worker's script publishes is what channels_redis understands, and vice versa: its format is private."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from channels.layers import get_channel_layer
from channels_redis.pubsub import RedisPubSubChannelLayer
from django.conf import settings

from progress.messages import dumps
from progress.record import get_record, group_name

TEXTS = ["plain", 'quotes " and \\ and \n', "…ü漢🐍", "\x00\x1f", "x" * 70_000]


@pytest.fixture
async def theirs(valkey):
    """channels_redis' own layer, as it is."""
    config: Any = settings.CHANNEL_LAYERS["default"]["CONFIG"]
    layer = RedisPubSubChannelLayer(hosts=config["hosts"], prefix=config["prefix"])
    yield layer
    await layer.flush()


@pytest.fixture
async def ours(valkey):
    layer: Any = get_channel_layer()
    yield layer
    await layer.flush()


async def joined(layer: Any, group: str) -> str:
    """A channel of `layer` that hears `group` for certain: it was sent something."""
    channel: str = await layer.new_channel()
    await layer.group_add(group, channel)
    async with asyncio.timeout(5):
        hello = asyncio.ensure_future(layer.receive(channel))
        while not hello.done():
            await layer.group_send(group, {"type": "hello"})
            await asyncio.wait([hello], timeout=0.05)
    while True:  # those sent too often
        try:
            async with asyncio.timeout(0.15):
                await layer.receive(channel)
        except TimeoutError:
            # A cancelled receive gives the channel up: join with it once more.
            await layer.group_discard(group, channel)
            channel = await layer.new_channel()
            await layer.group_add(group, channel)
            await asyncio.sleep(0.05)
            return channel


@pytest.mark.parametrize("text", TEXTS, ids=["plain", "quotes", "unicode", "control", "long"])
async def test_channels_redis_receives_what_the_script_publishes(theirs, text):
    channel = await joined(theirs, group_name("t1"))
    body = dumps({"state": "STARTED", "attempt": 1, "message": text})
    line = dumps({"ts": 1.5, "level": "info", "text": text})
    await asyncio.to_thread(get_record().publish, "t1", 1, body, [line], final=False)
    async with asyncio.timeout(5):
        log, update = await theirs.receive(channel), await theirs.receive(channel)
    epoch = log["epoch"]
    head = f'{{"v":1,"type":"log","task_id":"t1","epoch":"{epoch}","seq":1,"lines":[{{"n":1,{line[1:]}]}}'
    assert log == {
        "type": "progress.frame",
        "task_id": "t1",
        "epoch": epoch,
        "seq": 1,
        "kind": "log",
        "final": False,
        "text": head,
    }
    assert update == {
        "type": "progress.frame",
        "task_id": "t1",
        "epoch": epoch,
        "seq": 2,
        "kind": "update",
        "final": False,
        "text": f'{{"v":1,"type":"update","task_id":"t1","epoch":"{epoch}","seq":2,{body[1:]}',
    }


async def test_a_final_frame_is_marked(theirs):
    channel = await joined(theirs, group_name("t2"))
    await asyncio.to_thread(get_record().publish, "t2", 1, '{"state":"SUCCESS","attempt":1}', [], final=True)
    async with asyncio.timeout(5):
        assert (await theirs.receive(channel))["final"] is True


@pytest.mark.parametrize("text", TEXTS, ids=["plain", "quotes", "unicode", "control", "long"])
async def test_our_layer_receives_what_channels_redis_sends(ours, theirs, text):
    channel = await joined(ours, "some.group")
    message = {"type": "x", "text": text, "number": 2**40, "none": None, "list": [1, 2.5, True]}
    await theirs.group_send("some.group", message)
    async with asyncio.timeout(5):
        assert await ours.receive_many(channel) == [message]


async def test_channels_redis_receives_what_is_sent_without_an_event_loop(ours, theirs):
    channel = await joined(theirs, "some.group")
    await asyncio.to_thread(ours.sync_group_send, "some.group", {"type": "x", "text": "…"})
    async with asyncio.timeout(5):
        assert await theirs.receive(channel) == {"type": "x", "text": "…"}


async def test_all_that_has_arrived_is_received_at_once_and_in_order(ours):
    channel = await joined(ours, "some.group")
    for number in range(200):
        await asyncio.to_thread(ours.sync_group_send, "some.group", {"type": "x", "number": number})
    received: list[int] = []
    async with asyncio.timeout(5):
        while len(received) < 200:
            messages = await ours.receive_many(channel)
            assert messages
            received += [message["number"] for message in messages]
    assert received == list(range(200))


async def test_the_name_of_a_groups_channel_is_theirs(ours, theirs):
    assert ours.group_channel("a.b") == theirs._get_group_channel_name("a.b")


async def test_a_group_that_was_left_is_heard_no_more(ours):
    channel = await joined(ours, "some.group")
    await ours.group_add("other.group", channel)
    await ours.group_discard("some.group", channel)
    await ours.group_send("some.group", {"type": "x", "number": 1})
    async with asyncio.timeout(5):
        while (message := await _heard(ours, channel)) is None:
            await ours.group_send("other.group", {"type": "x", "number": 2})
    assert message["number"] == 2


async def _heard(layer: Any, channel: str) -> dict[str, Any] | None:
    queue = layer.channels[channel]
    await asyncio.sleep(0.02)
    return None if queue.empty() else layer.deserialize(queue.get_nowait())
