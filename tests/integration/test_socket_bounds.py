"""What a socket may cost: frames that wait, joins that are broken off, claims beyond what there is."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
import redis
from channels.layers import get_channel_layer

from progress import inbox, socket
from progress.held import Since
from progress.messages import dumps
from progress.record import get_record, hash_key
from tasks.web.source import RunSource

from .people import signed_in, started
from .sockets import Tab, make_hub

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]
hub = pytest.fixture(make_hub)


@pytest.fixture
async def alice() -> tuple[str, str]:
    """Her cookie, and a run of hers."""

    def come() -> tuple[str, str]:
        client = signed_in("alice")
        return str(client.cookies["sessionid"].value), started(client)

    return await asyncio.to_thread(come)


class Slow:
    """A source whose answers come when they may."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, hub: Any, *names: str) -> None:
        self.may = asyncio.Event()
        self.asked = 0
        for name in names:
            monkeypatch.setattr(hub.source, name, self._slowed(getattr(hub.source, name)))

    def _slowed(self, real: Any) -> Any:
        async def slowed(*args: Any) -> Any:
            self.asked += 1
            await self.may.wait()
            return await real(*args)

        return slowed


# --- what waits -------------------------------------------------------------------------------------------------------

FLOODS: dict[str, Any] = {
    "subscribe": {"type": "subscribe", "task_ids": ["x" * 60] * 60},
    "small subscribe": {"type": "subscribe"},
    "unsubscribe": {"type": "unsubscribe", "task_ids": ["x" * 60] * 60},
    "resync": {"type": "resync", "task_id": "x"},
    "cancel": {"type": "cancel", "task_id": "x"},
    "pong": {"type": "pong", "seq": 1},
}


@pytest.mark.parametrize("name", FLOODS)
async def test_more_frames_than_may_wait_close_the_socket_and_the_rest_is_dropped(hub, monkeypatch, name):
    monkeypatch.setattr(inbox, "BURST", 10.0)
    slow = Slow(monkeypatch, hub, "recheck")
    monkeypatch.setattr(hub.rights._asked, "_answer_many", hub.source.recheck)
    tab = Tab()
    await tab.enters()
    text = json.dumps(FLOODS[name])
    for _ in range(3):
        for _ in range(1_000):
            tab.send(text)
        await asyncio.sleep(0.05)
    assert await tab.closes() == 4400
    assert [frame["code"] for frame in tab.frames if frame["type"] == "error"][-1:] in (["too_many"], ["bad_frame"])
    assert tab._in.qsize() == 0  # read, and held nowhere
    slow.may.set()
    await tab.leave()
    assert not hub.traffic


async def test_before_it_is_known_who_comes_less_may_wait(hub, monkeypatch):
    slow = Slow(monkeypatch, hub, "admit")
    monkeypatch.setattr(hub.admission._handshakes, "_answer_many", hub.source.admit)
    tab = Tab()
    for _ in range(20):
        tab.send({"type": "subscribe", "task_ids": ["x" * 60] * 60})
    await tab.until(lambda: tab._in.qsize() == 0 and slow.asked)
    slow.may.set()
    assert await tab.closes() == 4400
    await tab.leave()


async def test_the_sockets_of_one_visitor_have_one_bound_together(hub, monkeypatch):
    monkeypatch.setattr(inbox, "MAX_SIZE_OF_VISITOR", 20_000)
    slow = Slow(monkeypatch, hub, "recheck")
    monkeypatch.setattr(hub.rights._asked, "_answer_many", hub.source.recheck)
    tabs = [Tab() for _ in range(5)]
    other = Tab(client=("127.0.0.2", 1))
    for tab in (*tabs, other):
        await tab.enters()
    for tab in (*tabs, other):
        for _ in range(4):
            tab.send({"type": "subscribe", "task_ids": ["x" * 60] * 30})
        await asyncio.sleep(0.1)
    assert {tab.code for tab in tabs} == {None, 4400}
    assert other.code is None
    slow.may.set()
    for tab in (*tabs, other):
        await tab.leave()
    assert not hub.traffic


async def test_what_a_reader_of_500_tasks_sends_at_once_is_no_flood(hub, alice):
    tab = Tab(alice[0])
    for _ in range(5):
        tab.send({"type": "subscribe", "task_ids": [f"{number:032}" for number in range(100)]})
    tab.subscribe(alice[1], feeds=("mine", "status"))
    await tab.sees("snapshot")
    for _ in range(500):
        tab.send({"type": "resync", "task_id": alice[1], "epoch": "e", "seq": 1})
    tab.send({"type": "cancel", "task_id": alice[1]})
    await tab.until(lambda: any(one.get("task", {}).get("state") == "REVOKED" for one in tab.frames), 10)
    assert tab.code is None
    await tab.leave()


async def test_snapshots_of_one_task_are_limited_in_rate(hub, alice):
    tab = Tab(*alice)
    await tab.sees("snapshot")
    for _ in range(200):
        tab.send({"type": "resync"})
    await asyncio.sleep(1)
    most = 1 + inbox.BURST / socket.COST_OF_RESYNC_ALONE + 3
    assert len([one for one in tab.frames if one["type"] == "snapshot"]) <= most
    await tab.leave()


async def test_a_cancel_that_was_sent_before_the_client_left_is_obeyed(hub, alice, monkeypatch):
    tab = Tab(alice[0])
    tab.subscribe(alice[1])
    await tab.sees("snapshot")
    slow = Slow(monkeypatch, hub, "states")
    tab.subscribe("unknown")
    tab.send({"type": "cancel", "task_id": alice[1]})
    await tab.until(lambda: slow.asked)
    leaving = asyncio.create_task(tab.leave())
    await asyncio.sleep(0.05)
    slow.may.set()
    await leaving
    state: Any = (await asyncio.to_thread(RunSource().refresh, [alice[1]]))[alice[1]]
    assert state["state"] == "REVOKED"


# --- who comes in -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("origin", ["http://localhost:9999", "https://localhost:8001", "http://evil.example", None])
async def test_a_page_of_another_origin_opens_no_socket(hub, alice, origin):
    for task_id in (alice[1], None):
        tab = Tab(alice[0], task_id, headers={"origin": origin})
        await asyncio.wait_for(tab.serving, 5)
        assert (tab.accepted, tab.frames, tab.code) == (False, [], 1000)


@pytest.mark.parametrize("cookie", ["", "made-up"])
async def test_where_a_login_is_required_nobody_is_told_nothing(hub, settings, cookie):
    settings.TASKS_REQUIRE_LOGIN = True
    tab = Tab(cookie)
    tab.subscribe(feeds=("status", "mine"))
    assert await tab.closes() == 4404
    assert tab.frames == []
    await tab.leave()


# --- what is left behind ----------------------------------------------------------------------------------------------


async def left(hub: Any) -> None:
    """Nothing is known of any socket any more."""
    async with asyncio.timeout(5):
        while hub._audiences or hub._outboxes or hub.rights._guests or hub.traffic or hub.feeds._followers:
            await asyncio.sleep(0.02)
    assert hub.admission._sockets.total() == 0
    layer: Any = get_channel_layer()
    async with asyncio.timeout(5):
        while layer.groups:
            await asyncio.sleep(0.02)


# A connection to Redis that is cancelled while redis-py makes it is closed when it is collected, and Python says so.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("alone", [True, False], ids=["one task", "list"])
@pytest.mark.parametrize("steps", range(0, 40, 2))
async def test_a_socket_that_is_dropped_at_any_step_of_its_join_leaves_nothing(hub, alice, valkey, alone, steps):
    cookie, task_id = alice
    tabs = [Tab(cookie, task_id if alone else None) for _ in range(10)]
    for tab in tabs:
        if not alone:
            tab.subscribe(task_id, feeds=("mine",))
    for _ in range(steps):
        await asyncio.sleep(0.001)
    for tab in tabs:
        await tab.drop()
    await left(hub)


@pytest.mark.parametrize("at", ["subscribe", "snapshot"])
async def test_joins_that_are_broken_off_leave_nothing(hub, alice, monkeypatch, at):
    cookie, task_id = alice
    never = asyncio.Event()
    begun = 0

    async def hangs(*_: Any) -> None:
        nonlocal begun
        begun += 1
        await never.wait()

    if at == "subscribe":
        monkeypatch.setattr(hub, "_subscribe", hangs)
    else:
        monkeypatch.setattr(hub._repair, "send_snapshot", hangs)
    tabs = [Tab(cookie, task_id), Tab(cookie)]
    tabs[1].subscribe(task_id)
    async with asyncio.timeout(5):
        while begun < (1 if at == "subscribe" else 2):
            await asyncio.sleep(0.01)
    for tab in tabs:
        await tab.drop()
    never.set()
    await left(hub)


# --- claims -----------------------------------------------------------------------------------------------------------


async def tell(task_id: str, current: int) -> None:
    body = dumps({"state": "STARTED", "attempt": 1, "current": current})
    await asyncio.to_thread(get_record().publish, task_id, 1, body, [], final=False)


def record_of(valkey: str, task_id: str) -> dict[bytes, bytes]:
    with redis.Redis.from_url(valkey) as client:
        return dict(client.hgetall(hash_key(task_id)))


@pytest.mark.parametrize("how", ["resync", "handshake"])
async def test_a_claim_beyond_the_record_answers_that_reader_alone_and_changes_nothing(
    hub, alice, valkey, how, monkeypatch
):
    monkeypatch.setattr("progress.hub.COMPARE_EVERY", 60)
    cookie, task_id = alice
    for current in range(3):
        await tell(task_id, current)
    honest = Tab(cookie, task_id)
    epoch = (await honest.sees("snapshot"))["epoch"]
    await asyncio.sleep(0.5)
    before, told = record_of(valkey, task_id), len(honest.frames)
    huge = 10**14
    if how == "resync":
        liar = Tab(cookie, task_id)
        await liar.sees("snapshot")
        liar.send({"type": "resync", "epoch": epoch, "seq": huge})
    else:
        liar = Tab(cookie, task_id, query_string=f"epoch={epoch}&seq={huge}".encode())
    await liar.until(lambda: len({one["epoch"] for one in liar.frames}) == 2)
    await liar.until(lambda: liar.frames[-1]["epoch"] == epoch)
    assert (liar.frames[-1]["seq"], liar.frames[-1]["recovered"]) == (3, False)
    assert record_of(valkey, task_id) == before
    assert len(honest.frames) == told
    liar.send({"type": "pong", "seq": huge})  # and it has not read what it says
    await tell(task_id, 3)
    for tab in (honest, liar):
        await tab.sees("update", epoch=epoch, seq=4)
        await tab.leave()


def test_only_the_server_itself_begins_a_new_epoch(valkey):
    record = get_record()
    record.publish("t", 1, dumps({"state": "STARTED"}), ["{}"], final=False)
    held = record.read("t")
    claimed = record.read("t", Since(held.epoch, 99, claimed=True))
    assert (claimed.epoch, claimed.seq, claimed.recovered) == (held.epoch, held.seq, False)
    assert record.read("t").epoch == held.epoch
    assert record.read("t", Since(held.epoch, 99)).epoch != held.epoch
