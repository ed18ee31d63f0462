"""One socket's way out: the newest state, never a queue of old ones; nobody waits for a slow reader."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from progress import outbox as module
from progress.outbox import Outbox, Subscription
from progress.types import Event


class Server:
    """ASGI's `send`. While `open` is cleared it waits, as a web server whose buffers are full."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.open = asyncio.Event()
        self.open.set()
        self.error: Exception | None = None

    async def __call__(self, event: dict[str, Any]) -> None:
        if not self.open.is_set():
            await self.open.wait()
        if self.error:
            raise self.error
        self.sent.append(event)

    @property
    def texts(self) -> list[str]:
        return [event["text"] for event in self.sent if event["type"] == "websocket.send"]

    @property
    def pings(self) -> list[dict[str, Any]]:
        return [json.loads(text) for text in self.texts if '"ping"' in text]

    @property
    def closed_with(self) -> int | None:
        codes = [event["code"] for event in self.sent if event["type"] == "websocket.close"]
        assert len(codes) <= 1, codes
        if codes:
            assert self.sent[-1]["type"] == "websocket.close", "sent after the close"
        return codes[0] if codes else None


@pytest.fixture
async def server():
    return Server()


@pytest.fixture
async def lost():
    return []


@pytest.fixture
async def outbox(server, lost):
    outbox = Outbox(server, lost.append, closes_at_end=True)
    yield outbox
    outbox.gone()


@pytest.fixture
async def subscription(outbox):
    subscription = Subscription(outbox, "t", wants_log=True)
    subscription.ready = True
    return subscription


def update(outbox: Outbox, subscription: Subscription, seq: int, text: str = "", *, end: bool = False) -> None:
    text = text or f"update {seq}"
    outbox.put_update(subscription, seq, text, {"type": "websocket.send", "text": text}, end)


async def turns(count: int = 10) -> None:
    """Let what is ready run."""
    for _ in range(count):
        await asyncio.sleep(0)


async def test_a_free_socket_is_sent_everything_at_once_without_a_turn_of_the_loop(outbox, server, subscription):
    for seq in range(1, 6):
        update(outbox, subscription, seq)
    assert server.texts == [f"update {seq}" for seq in range(1, 6)]
    assert subscription.seq == 5


async def test_while_a_socket_is_busy_updates_replace_each_other(outbox, server, subscription):
    server.open.clear()
    for seq in range(1, 100):
        update(outbox, subscription, seq)
    await turns()
    server.open.set()
    await turns()
    assert server.texts == ["update 1", "update 99"]


async def test_log_lines_wait_and_keep_their_order_around_the_newest_update(outbox, server, subscription):
    server.open.clear()
    update(outbox, subscription, 1)
    outbox.put_frame(subscription, 2, "log 2")
    update(outbox, subscription, 3)
    outbox.put_frame(subscription, 4, "log 4")
    update(outbox, subscription, 5)
    outbox.put_frame(subscription, 6, "log 6")
    server.open.set()
    await turns(30)
    assert server.texts == ["update 1", "log 2", "log 4", "update 5", "log 6"]


async def test_seq_never_goes_down_on_the_wire_whatever_waits(outbox, server, subscription):
    server.open.clear()
    update(outbox, subscription, 1, "1")
    for seq in range(2, 120):
        if seq % 3:
            update(outbox, subscription, seq, str(seq))
        else:
            outbox.put_frame(subscription, seq, str(seq))
        if seq % 17 == 0:
            server.open.set()
            await turns(3)
            server.open.clear()
    server.open.set()
    await turns(200)
    seqs = [int(text) for text in server.texts]
    assert seqs == sorted(set(seqs))
    assert seqs[-1] == 119 or seqs[-1] == 118
    assert set(range(3, 120, 3)) <= set(seqs)


async def test_the_final_frame_goes_out_before_the_close_and_nothing_after_it(outbox, server, subscription):
    update(outbox, subscription, 1)
    update(outbox, subscription, 2, end=True)
    update(outbox, subscription, 3)
    outbox.put_frame(subscription, 4, "log 4")
    assert server.texts == ["update 1", "update 2"]
    assert server.closed_with == 1000


async def test_a_busy_socket_gets_its_final_frame_and_then_its_close(outbox, server, subscription):
    server.open.clear()
    update(outbox, subscription, 1)
    outbox.put_frame(subscription, 2, "log 2")
    update(outbox, subscription, 3, end=True)
    await turns()
    assert server.sent == []
    server.open.set()
    await turns(30)
    assert server.texts == ["update 1", "log 2", "update 3"]
    assert server.closed_with == 1000


async def test_a_final_frame_is_not_replaced_by_an_older_one(outbox, server, subscription):
    server.open.clear()
    update(outbox, subscription, 1)
    update(outbox, subscription, 3, end=True)
    update(outbox, subscription, 2)
    server.open.set()
    await turns(30)
    assert server.texts[-1] == "update 3"
    assert server.closed_with == 1000


async def test_a_list_socket_stays_open_after_a_final_frame(server, lost):
    outbox = Outbox(server, lost.append, closes_at_end=False)
    one, two = (Subscription(outbox, name, wants_log=False) for name in ("one", "two"))
    update(outbox, one, 1, end=True)
    update(outbox, two, 1, "of two")
    assert server.texts == ["update 1", "of two"]
    assert server.closed_with is None


async def test_each_task_of_a_busy_list_socket_keeps_its_own_newest_state(server, lost):
    outbox = Outbox(server, lost.append, closes_at_end=False)
    subscriptions = [Subscription(outbox, str(number), wants_log=False) for number in range(3)]
    server.open.clear()
    for seq in range(1, 20):
        for subscription in subscriptions:
            update(outbox, subscription, seq, f"{subscription.task_id}:{seq}")
    server.open.set()
    await turns(30)
    assert server.texts[0] == "0:1"
    assert sorted(server.texts[1:]) == ["0:19", "1:19", "2:19"]


async def test_a_task_that_was_left_is_told_no_more(server, lost):
    outbox = Outbox(server, lost.append, closes_at_end=False)
    one, two = (Subscription(outbox, name, wants_log=False) for name in ("one", "two"))
    server.open.clear()
    update(outbox, one, 1, "one 1")
    update(outbox, one, 2, "one 2")
    update(outbox, two, 1, "two 1")
    outbox.forget(one)
    server.open.set()
    await turns(30)
    assert server.texts == ["one 1", "two 1"]


async def test_too_many_waiting_log_lines_are_dropped_and_asked_for_again(outbox, server, subscription, lost):
    server.open.clear()
    update(outbox, subscription, 1)
    for seq in range(2, module.MAX_WAITING + 3):
        outbox.put_frame(subscription, seq, f"log {seq}")
    assert lost == []  # a snapshot that is made now would wait with the others
    assert not subscription.ready  # the hub sends nothing until a snapshot has closed the gap
    assert subscription.seq == 1
    server.open.set()
    await turns(30)
    assert lost == [subscription]
    assert server.texts == ["update 1"]


async def test_a_snapshot_that_was_dropped_while_it_waited_counts_as_never_sent(outbox, server, subscription, lost):
    subscription.epoch = "e"
    update(outbox, subscription, 5)
    server.open.clear()
    update(outbox, subscription, 6)  # under way
    outbox.put_snapshot(subscription, "e", 40, "snapshot with the lines up to 40", end=False)
    assert (subscription.epoch, subscription.seq, subscription.ready) == ("e", 40, True)
    for seq in range(41, 41 + module.MAX_WAITING):
        outbox.put_frame(subscription, seq, f"log {seq}")
    assert (subscription.epoch, subscription.seq, subscription.ready) == ("e", 6, False)
    server.open.set()
    await turns(30)
    assert lost == [subscription]
    assert server.texts[-1] == "update 6"


async def test_a_snapshot_that_went_out_is_what_the_browser_holds(outbox, server, subscription, lost):
    outbox.put_snapshot(subscription, "e", 40, "snapshot", end=False)
    server.open.clear()
    update(outbox, subscription, 41)  # under way
    for seq in range(42, 43 + module.MAX_WAITING):
        outbox.put_frame(subscription, seq, f"log {seq}")
    assert (subscription.epoch, subscription.seq, subscription.ready) == ("e", 41, False)


async def test_a_snapshot_is_asked_for_when_the_window_opens_not_before(outbox, server, subscription, lost):
    for seq in range(1, 200):
        update(outbox, subscription, seq, "x" * 1000)
    read = subscription.seq
    subscription.lacks = 7
    outbox.starve(subscription)
    outbox.put_frame(Subscription(outbox, "other", wants_log=True), 1, "waits")
    assert (lost, subscription.seq) == ([], 7)
    outbox.pong(read)
    assert lost == [subscription]
    outbox.pong(read)
    assert lost == [subscription]  # once


async def test_the_window_stops_a_reader_who_acknowledges_nothing_though_the_server_takes_everything(
    outbox, server, subscription
):
    text = "x" * 1000
    for seq in range(1, 1000):
        update(outbox, subscription, seq, text)
    assert sum(map(len, server.texts)) <= module.WINDOW + 1000
    assert not outbox.free


async def test_a_pong_opens_the_window_and_the_newest_state_follows(outbox, server, subscription):
    for seq in range(1, 200):
        update(outbox, subscription, seq, "x" * 1000)
    update(outbox, subscription, 200, "newest")
    (asked,) = server.pings  # as soon as much was under way, without waiting for a tick
    assert asked["seq"] < subscription.seq
    before = len(server.texts)
    outbox.pong(asked["seq"] - 1)  # it has not read that far yet
    assert "newest" not in server.texts
    outbox.pong(asked["seq"])
    assert server.texts[before] == "newest"
    assert len(server.texts) == before + 2  # and the next ping: there is still much under way


@pytest.mark.slow
async def test_a_healthy_reader_is_pinged_before_its_window_is_full(outbox, server, subscription):
    now = outbox._pinged_at
    for seq in range(1, 5000):
        update(outbox, subscription, seq, "x" * 100)
        if seq % 100 == 0:
            now += 1
            outbox.tick(now, "e", seq)
        if server.pings and server.pings[-1]["seq"] == seq:
            outbox.pong(seq)
        assert not outbox._pending
    assert len(server.pings) > 5


async def test_a_ping_in_the_middle_of_what_waits_names_no_snapshot_that_is_not_out(outbox, server, subscription):
    update(outbox, subscription, 1)
    server.open.clear()
    update(outbox, subscription, 2)
    for seq in range(3, 9):  # lines that wait, more than a window of them
        outbox.put_frame(subscription, seq, json.dumps({"type": "log", "seq": seq, "text": "x" * module.PING_AFTER}))
    outbox.put_snapshot(subscription, "e", 9, json.dumps({"type": "snapshot", "seq": 9}), False)
    server.open.set()
    for _ in range(20):
        await asyncio.sleep(0)
        if server.pings and outbox._ping:  # the browser has read all that is out
            held = max(json.loads(text)["seq"] for text in server.texts if '"type": "' in text)
            assert outbox.pong(held), (held, server.pings)
    assert json.loads(server.texts[-1])["type"] in ("snapshot", "ping")
    assert any('"snapshot"' in text for text in server.texts)


async def test_a_quiet_socket_is_pinged_every_fifteen_seconds(outbox, server):
    began = outbox._pinged_at
    for second in range(1, 61):
        outbox.tick(began + second, "e", 0)
        if server.pings and outbox._ping:
            outbox.pong(server.pings[-1]["seq"])
    assert len(server.pings) == 3
    assert server.pings[0] == {"v": 1, "type": "ping", "epoch": "e", "seq": 0}


async def test_a_reader_who_answers_no_ping_is_closed_with_4012(outbox, server):
    began = outbox._pinged_at
    for second in range(1, 46):
        outbox.tick(began + second, "e", 0)
        assert server.closed_with is None, second
    outbox.tick(began + 47, "e", 0)
    assert server.closed_with == 4012


async def test_a_reader_who_answers_pings_with_an_old_seq_is_closed(outbox, server, subscription):
    update(outbox, subscription, 10)
    began = outbox._pinged_at
    for second in range(1, 60):
        outbox.tick(began + second, "e", 10)
        outbox.pong(3)
    assert server.closed_with in (4008, 4012)


async def test_a_reader_who_claims_more_than_was_ever_sent_gets_no_room(outbox, server, subscription):
    for seq in range(1, 300):
        update(outbox, subscription, seq, "x" * 1000)
        outbox.pong(999_999)
    assert sum(map(len, server.texts)) <= module.WINDOW + 1000
    began = outbox._pinged_at
    for second in range(1, 45):
        outbox.tick(began + second, "e", subscription.seq)
        outbox.pong(999_999)
    assert server.closed_with == 4008


async def test_who_comes_back_may_claim_what_it_held_before(outbox, server, subscription):
    outbox.holds(500)  # the record came back with an older seq; the browser's view did not run backwards
    for seq in range(400, 440):
        update(outbox, subscription, seq, "x" * 1000)
    (asked,) = server.pings
    outbox.pong(501)
    assert outbox._ping is not None
    outbox.pong(500)
    assert outbox._ping is None
    assert asked["seq"] < 440


async def test_a_list_socket_sends_back_a_number_that_nobody_guesses(server):
    outbox = Outbox(server, lambda subscription: None, closes_at_end=False)
    began = outbox._pinged_at
    numbers = set()
    for second in range(1, 60):
        outbox.tick(began + second, "", 0)
        if server.pings and server.pings[-1]["seq"] not in numbers:
            number = server.pings[-1]["seq"]
            numbers.add(number)
            outbox.pong(2**31)
            assert outbox._ping is not None
            outbox.pong(number)
            assert outbox._ping is None
    assert len(numbers) == 3


async def test_a_full_window_that_nobody_empties_is_closed_with_4008(outbox, server, subscription, monkeypatch):
    for seq in range(1, 200):
        update(outbox, subscription, seq, "x" * 1000)
    began = outbox._pinged_at
    monkeypatch.setattr(module, "PATIENCE", 10.0)
    second = 0
    while server.closed_with is None and second < 60:
        second += 1
        outbox.tick(began + second, "e", subscription.seq)
    assert server.closed_with == 4008


async def test_a_slow_but_living_reader_is_not_closed(outbox, server, subscription):
    now = outbox._pinged_at
    seq = 0
    for _ in range(200):  # it reads a window in 20 s, for over an hour
        for _ in range(400):
            seq += 1
            update(outbox, subscription, seq, "x" * 1000)
        for _ in range(20):
            now += 1
            outbox.tick(now, "e", subscription.seq)
        outbox.pong(server.pings[-1]["seq"])
        del server.sent[:-50]
    assert server.closed_with is None


async def test_an_update_into_a_connection_that_is_gone_is_quiet(outbox, server, subscription):
    server.error = ConnectionResetError("gone")
    update(outbox, subscription, 1)
    assert outbox.closed
    update(outbox, subscription, 2)
    outbox.tick(outbox._pinged_at + 100, "e", 2)
    outbox.close(4001)
    assert server.sent == []


async def test_a_connection_that_dies_while_it_waits_is_quiet(outbox, server, subscription):
    server.open.clear()
    update(outbox, subscription, 1)
    update(outbox, subscription, 2)
    server.error = ConnectionResetError("gone")
    server.open.set()
    await turns(20)
    assert outbox.closed
    assert server.sent == []


async def test_a_frame_that_the_server_refuses_closes_the_socket_so_that_the_browser_comes_again(
    outbox, server, subscription
):
    async def send(event: dict[str, Any]) -> None:
        if len(event.get("text", "")) > 100:
            raise ValueError("too big")
        await server(event)

    outbox._send = send
    outbox.put_frame(subscription, 1, "x" * 101)
    await turns(20)
    assert outbox.closed
    assert server.closed_with == 4003


async def test_close_waits_for_what_is_under_way(outbox, server, subscription):
    server.open.clear()
    update(outbox, subscription, 1)
    outbox.close(4001)
    outbox.close(4012)
    server.open.set()
    await turns(20)
    assert server.texts == ["update 1"]
    assert server.closed_with == 4001


async def test_a_browser_that_went_away_frees_everything(outbox, server, subscription):
    server.open.clear()
    update(outbox, subscription, 1)
    update(outbox, subscription, 2)
    task = outbox._busy
    assert task is not None
    outbox.gone()
    await turns()
    assert task.done()
    server.open.set()
    await turns()
    assert server.sent == []


async def test_an_answer_to_the_browser_goes_between_the_frames_and_is_dropped_for_one_who_does_not_read(
    outbox, server, subscription
):
    outbox.put_answer({"type": "error"})
    for seq in range(1, 200):
        update(outbox, subscription, seq, "x" * 1000)
    before = len(server.texts)
    outbox.put_answer({"type": "error"})
    assert server.texts[0] == '{"type":"error"}'
    assert len(server.texts) == before


async def test_a_send_that_needs_the_loop_several_times_is_finished_properly(lost):
    sent: list[str] = []

    async def send(event: Event) -> None:
        await asyncio.sleep(0)
        await asyncio.wait_for(asyncio.sleep(0.001), 1)
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, lambda: None)
        sent.append(event["text"])

    outbox = Outbox(send, lost.append, closes_at_end=False)
    subscription = Subscription(outbox, "t", wants_log=False)
    for seq in range(1, 4):
        outbox.put_frame(subscription, seq, f"frame {seq}")
    async with asyncio.timeout(5):
        while len(sent) < 3:
            await asyncio.sleep(0.005)
    assert sent == ["frame 1", "frame 2", "frame 3"]
