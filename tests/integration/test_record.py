"""The live record of a task, against a real server: what is stored, sent, refused and read."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
import redis
import redis.asyncio
from django.conf import settings
from django.test import override_settings

from progress.errors import Cancelled
from progress.flusher import Flusher
from progress.held import Since
from progress.messages import dumps
from progress.record import AsyncRecord, Record, get_record, group_name, hash_key, log_key
from progress.reporter import Reporter
from progress.sink import Told
from progress.size import MAX_FRAME


class Wire:
    """What is published for one task, in order."""

    def __init__(self, client: redis.Redis, record: Record, task_id: str) -> None:
        self._layer = record._layer
        self._pubsub = client.pubsub(ignore_subscribe_messages=True)
        self._pubsub.subscribe(self._layer.group_channel(group_name(task_id)))
        self._pubsub.get_message(timeout=1)

    def frames(self, count: int) -> list[dict[str, Any]]:
        """The next `count` frames; fails when there are fewer or, right behind them, more."""
        found: list[dict[str, Any]] = []
        deadline = time.monotonic() + 3
        while len(found) < count and time.monotonic() < deadline:
            found += self._next(0.1)
        found += self._next(0.05)
        assert len(found) == count, found
        return found

    def _next(self, timeout: float) -> list[dict[str, Any]]:
        message = self._pubsub.get_message(timeout=timeout)
        return [json.loads(self._layer.deserialize(message["data"])["text"])] if message else []


@pytest.fixture
def client(valkey):
    with redis.Redis.from_url(valkey) as client:
        yield client


@pytest.fixture
def record(valkey):
    return get_record()


@pytest.fixture
def wire(client, record):
    wire = Wire(client, record, "t")
    yield wire
    wire._pubsub.close()


def body(current: int = 0, attempt: int = 1, state: str = "STARTED") -> str:
    return dumps({"state": state, "attempt": attempt, "current": current})


def lines(*texts: str) -> list[str]:
    return [dumps({"ts": 1.0, "level": "info", "text": text}) for text in texts]


def texts(held: Any) -> list[str]:
    return [line["text"] for line in held.log]


def test_a_record_that_nobody_wrote_is_empty(record):
    held = record.read("t")
    assert (held.epoch, held.seq, held.changing, held.log, held.recovered) == ("", 0, {}, [], False)


def test_what_is_stored_is_what_was_sent(record, wire):
    reply = record.publish("t", 1, body(3), lines("one", "two"), final=False)
    assert (reply.cancel_requested, reply.stale, reply.seq) == (False, False, 2)
    log, update = wire.frames(2)
    held = record.read("t")
    assert held.seq == update["seq"] == log["seq"] + 1 == 2
    assert held.epoch == update["epoch"] == log["epoch"] != ""
    assert held.changing == {"state": "STARTED", "attempt": 1, "current": 3}
    assert (
        held.log
        == log["lines"]
        == [
            {"n": 1, "ts": 1.0, "level": "info", "text": "one"},
            {"n": 2, "ts": 1.0, "level": "info", "text": "two"},
        ]
    )
    assert {key: update[key] for key in held.changing} == held.changing


def test_seq_grows_by_one_with_every_frame_and_n_with_every_line(record, wire):
    for number in range(10):
        new = lines(f"line {number}") if number % 2 else []
        record.publish("t", 1, body(number), new, Told(number // 2), final=False)
    frames = wire.frames(15)
    assert [frame["seq"] for frame in frames] == list(range(1, 16))
    assert [line["n"] for frame in frames if frame["type"] == "log" for line in frame["lines"]] == [1, 2, 3, 4, 5]
    assert len({frame["epoch"] for frame in frames}) == 1


def test_lines_alone_are_stored_and_sent_without_an_update(record, wire):
    record.publish("t", 1, None, lines("only"), final=False)
    (frame,) = wire.frames(1)
    assert frame["type"] == "log"
    assert texts(record.read("t")) == ["only"]


def test_an_older_attempt_is_refused_and_leaves_no_trace(record, wire):
    record.publish("t", 2, body(5, attempt=2), [], final=False)
    before = record.read("t")
    reply = record.publish("t", 1, body(9, attempt=1, state="SUCCESS"), lines("late"), final=True)
    assert reply.stale
    assert record.read("t") == before
    wire.frames(1)
    assert record.poll([("t", 1)])[0].stale
    assert not record.poll([("t", 2)])[0].stale


def test_an_older_attempt_is_refused_from_the_first_log_line_of_the_newer_one(record, wire):
    record.publish("t", 1, body(9), [], final=False)
    record.publish("t", 2, None, lines("of the second"), final=False)
    assert record.publish("t", 1, body(10), [], final=False).stale
    assert [frame["type"] for frame in wire.frames(2)] == ["update", "log"]


def test_after_the_end_nothing_of_the_same_attempt_follows(record, wire):
    record.publish("t", 1, body(9, state="SUCCESS"), [], final=True)
    record.publish("t", 1, body(3), lines("late"), final=False)
    assert record.read("t").changing["state"] == "SUCCESS"
    assert texts(record.read("t")) == []
    wire.frames(1)


def test_a_new_attempt_may_follow_an_end(record):
    record.publish("t", 1, body(9, state="FAILURE"), [], final=True)
    assert not record.publish("t", 2, body(0, attempt=2), [], final=False).stale
    record.publish("t", 2, body(1, attempt=2), [], final=False)
    assert record.read("t").changing["current"] == 1


def test_a_publish_that_comes_twice_does_not_double_its_lines(record, wire):
    record.publish("t", 1, body(1), lines("one", "two"), Told(0, 0), final=False)
    record.publish("t", 1, body(2), lines("one", "two", "three"), Told(0, 0), final=False)
    record.publish("t", 1, body(3), lines("three"), Told(2, 4), final=False)
    record.publish("t", 1, body(4), lines("four"), Told(3, 5), final=False)
    assert texts(record.read("t")) == ["one", "two", "three", "four"]
    sent = [line["n"] for frame in wire.frames(7) if frame["type"] == "log" for line in frame["lines"]]
    assert sent == [1, 2, 3, 4]


def test_a_new_attempt_counts_its_lines_from_the_beginning(record):
    record.publish("t", 1, None, lines("one", "two"), Told(0, 0), final=False)
    record.publish("t", 2, None, lines("again one"), Told(0, 0), final=False)
    assert [(line["n"], line["text"]) for line in record.read("t").log] == [(1, "one"), (2, "two"), (3, "again one")]


def test_a_record_that_was_lost_begins_a_new_epoch(record, client):
    record.publish("t", 1, body(5), lines("one"), Told(0, 0), final=False)
    old = record.read("t")
    client.flushall()
    record.publish("t", 1, body(6), lines("two"), Told(1, 2), final=False)
    held = record.read("t", Since(old.epoch, old.seq))
    assert held.epoch != old.epoch
    assert (held.seq, held.recovered, texts(held)) == (2, False, ["two"])


def put_back(client: redis.Redis, dumped: dict[bytes, bytes]) -> None:
    """Redis comes back with what it held when `dump` was made: its last second was not on the disk."""
    client.flushall()
    for key, value in dumped.items():
        client.restore(key, 0, value)


def dump(client: Any) -> dict[bytes, bytes]:
    return {key: client.dump(key) for key in client.keys()}  # noqa: SIM118 - a Redis client is no dict


def test_a_record_of_before_begins_a_new_epoch_with_the_writers_next_word(record, client):
    record.publish("t", 1, body(1), lines("one"), Told(0, 0), final=False)
    dumped = dump(client)
    reply = record.publish("t", 1, body(2), lines("two"), Told(1, 2), final=False)
    old = record.read("t")
    put_back(client, dumped)
    record.publish("t", 1, body(3), lines("three"), Told(2, reply.seq), final=False)
    held = record.read("t", Since(old.epoch, old.seq))
    assert held.epoch != old.epoch
    assert not held.recovered
    assert texts(held) == ["one", "three"]  # what the record holds now; "two" went with the second that was lost


def test_a_record_of_before_begins_a_new_epoch_with_a_reader_who_saw_more(record, client):
    record.publish("t", 1, body(1), [], final=False)
    dumped = dump(client)
    record.publish("t", 1, body(2), [], final=False)
    old = record.read("t")
    put_back(client, dumped)
    held = record.read("t", Since(old.epoch, old.seq))
    assert held.epoch != old.epoch
    assert (held.changing["current"], held.recovered) == (1, False)
    assert record.read("t", Since(held.epoch, held.seq)).epoch == held.epoch


def test_a_reader_gets_the_lines_after_the_seq_that_it_holds(record):
    for number in range(1, 6):
        record.publish("t", 1, body(number), lines(f"line {number}"), Told(number - 1), final=False)
    epoch = record.read("t").epoch
    held = record.read("t", Since(epoch, 6))
    assert held.recovered
    assert texts(held) == ["line 4", "line 5"]
    assert texts(record.read("t", Since(epoch, 10))) == []
    assert record.read("t", Since(epoch, 10)).recovered
    other = record.read("t", Since("other", 6))
    assert not other.recovered
    assert len(other.log) == 5
    assert texts(record.read("t", Since(epoch, 0, log=False))) == []


@override_settings(PROGRESS_LOG_LINES=10)
def test_the_log_is_capped_and_a_reader_who_lacks_lines_that_are_gone_is_told(valkey):
    record = Record(redis.Redis.from_url(valkey), get_record()._layer)
    for number in range(1, 31):
        record.publish("t", 1, None, lines(f"line {number}"), Told(number - 1), final=False)
    held = record.read("t")
    assert [line["n"] for line in held.log] == list(range(21, 31))
    complete = record.read("t", Since(held.epoch, 20))
    assert complete.recovered
    assert len(complete.log) == 10
    assert not record.read("t", Since(held.epoch, 19)).recovered
    assert len(record.read("t", Since(held.epoch, 19)).log) == 10


@override_settings(PROGRESS_LOG_LINES=10)
def test_one_frame_with_more_lines_than_are_held_keeps_the_newest(valkey):
    record = Record(redis.Redis.from_url(valkey), get_record()._layer)
    record.publish("t", 1, None, lines(*[f"line {number}" for number in range(1, 31)]), final=False)
    held = record.read("t")
    assert [line["n"] for line in held.log] == list(range(21, 31))
    assert not record.read("t", Since(held.epoch, 0)).recovered
    assert record.read("t", Since(held.epoch, 1)).recovered


def test_a_cancel_is_seen_by_the_next_publish_and_by_a_look(record):
    assert not record.publish("t", 1, body(1), [], final=False).cancel_requested
    record.request_cancel("t")
    assert record.publish("t", 1, body(2), [], final=False).cancel_requested
    assert record.poll([("t", 1)])[0].cancel_requested
    assert record.read("t").cancel_requested


def test_a_cancel_before_the_first_word_waits_for_it(record):
    record.request_cancel("t")
    assert record.read("t").epoch == ""
    assert record.publish("t", 1, body(1), [], final=False).cancel_requested


def test_everything_is_namespaced_and_expires(record, client):
    record.publish("t", 1, body(1), lines("one"), final=False)
    record.request_cancel("other")
    keys = {key.decode() for key in client.keys()}  # noqa: SIM118
    assert keys == {hash_key("t"), log_key("t"), hash_key("other")}
    for key in keys:
        assert key.startswith(f"{settings.PROGRESS_PREFIX}:")
        assert 0 < client.ttl(key) <= 24 * 3600


def test_a_task_costs_two_kilobytes_without_a_log(record, client):
    reporter = Reporter("a5d2f5c0-0a56-4f0f-8b42-4f1d7a6a3f5e", 1, record, Flusher())
    reporter.set(123456, 1000000, "Reading row 123,456 of orders.csv", "row")
    with reporter.step("Import"):
        reporter.set(3, 10, unit="file")
        record.publish(reporter.task_id, 1, dumps(reporter.state()), [], final=False)
    assert client.memory_usage(hash_key(reporter.task_id)) <= 2_000


def test_an_id_with_every_allowed_character_survives(record, wire):
    task_id = "A-z.0_9"
    record.publish(task_id, 1, body(1), lines("…"), final=False)
    assert texts(record.read(task_id)) == ["…"]


async def test_many_records_are_read_in_their_order_also_after_the_server_forgot_the_script(valkey, record):
    for number in range(5):
        record.publish(f"t{number}", 1, body(number), lines(f"line {number}"), final=False)
    async with redis.asyncio.Redis.from_url(valkey) as client:
        reader = AsyncRecord(client)
        wanted = [(f"t{number}", Since()) for number in (3, 0, 9, 4)]
        for _ in range(2):
            held = await reader.read_many(wanted)
            assert [one.changing.get("current") for one in held] == [3, 0, None, 4]
            assert held[0] == record.read("t3")
            await client.script_flush()
        assert await reader.positions(["t3", "t9"]) == [(held[0].epoch, 2), ("", 0)]


def test_a_reporter_writes_a_record_that_reads_as_it_stands(record, wire):
    flusher = Flusher(interval=0.01)
    reporter = Reporter("t", 1, record, flusher).open()
    for number in range(1, 401):
        reporter.set(number, 400)
        reporter.log(f"line {number}")
    reporter.end({"state": "SUCCESS", "result": {"rows": 400}})
    assert flusher.drain(5)
    held = record.read("t")
    assert (held.changing["state"], held.changing["current"], held.changing["result"]) == (
        "SUCCESS",
        400,
        {"rows": 400},
    )
    assert [line["n"] for line in held.log] == list(range(1, 401))
    assert texts(held) == [f"line {number}" for number in range(1, 401)]


def test_a_redis_that_is_away_raises_soon(record):
    from django_starter.processes.ports import free_port
    from progress.redis import make_client

    away = Record(make_client(f"redis://127.0.0.1:{free_port()}/0"), record._layer)
    began = time.monotonic()
    with pytest.raises(redis.RedisError):
        away.publish("t", 1, body(1), [], final=False)
    assert time.monotonic() - began < 1


@pytest.mark.parametrize("why", ["cancel", "overtaken"])
def test_a_task_that_says_the_same_hears_within_two_seconds_that_it_shall_stop(record, why):
    reporter = Reporter("t", 1, record).open()
    reporter.set(1, message="waiting")
    time.sleep(0.3)
    if why == "cancel":
        record.request_cancel("t")
    else:
        record.publish("t", 2, body(attempt=2), [], final=False)
    asked = time.monotonic()
    with pytest.raises(Cancelled):
        while time.monotonic() - asked < 4:
            reporter.set(1, message="waiting")
            time.sleep(0.05)
    assert time.monotonic() - asked < 2
    reporter._flusher.remove(reporter)


#: What may be where a record should be.
POISON: dict[str, Any] = {
    "not json": lambda client: client.hset(hash_key("t"), mapping={"epoch": "e", "seq": 1, "data": "{nope"}),
    "a list": lambda client: client.hset(hash_key("t"), mapping={"epoch": "e", "seq": 1, "data": "[1]"}),
    "wrong types": lambda client: client.hset(
        hash_key("t"),
        mapping={"epoch": "e", "seq": 1, "data": '{"state":["x"],"attempt":"a","current":{},"steps":7}'},
    ),
    "no seq": lambda client: client.hset(hash_key("t"), mapping={"epoch": "e", "seq": "x", "attempt": "y"}),
    "no utf-8": lambda client: client.hset(hash_key("t"), mapping={"epoch": b"\xff", "seq": 1, "data": b"\xff\xfe"}),
    "a text": lambda client: client.set(hash_key("t"), "garbage"),
    "no log": lambda client: client.set(log_key("t"), "garbage"),
    "no lines": lambda client: [
        client.hset(hash_key("t"), mapping={"epoch": "e", "seq": 1, "data": "{}"}),
        client.rpush(log_key("t"), "1|nope", "none", b"1|\xff", '1|{"n":"x"}'),
    ],
}


@pytest.mark.parametrize("poison", POISON)
async def test_a_poisoned_record_is_none_and_spoils_no_other(record, client, valkey, poison):
    record.publish("good", 1, body(3), lines("one"), final=False)
    POISON[poison](client)
    held = record.read("t")
    assert (held.changing, held.log) == ({}, [])
    async with redis.asyncio.Redis.from_url(valkey) as async_client:
        asynchronous = AsyncRecord(async_client)
        bad, good = await asynchronous.read_many([("t", Since()), ("good", Since())])
        positions = await asynchronous.positions(["t", "good"])
    assert (bad.changing, bad.log, good.changing["current"], texts(good)) == ({}, [], 3, ["one"])
    assert positions[1] == (good.epoch, good.seq)
    assert [reply.stale for reply in record.poll([("t", 1), ("good", 0)])] == [False, True]
    record.publish("t", 1, body(4), lines("new"), final=False)
    healed = record.read("t")
    assert (healed.changing["current"], texts(healed)) == (4, ["new"])


def test_surrogates_and_nul_in_a_record_are_shown_as_text_that_every_page_takes(record, client):
    data = (
        '{"state":"FAILURE","attempt":1,"message":"a\\ud800\\u0000",'
        '"error":{"type":"E","message":"\\udfff"},"result":"\\ud800"}'
    )
    client.hset(hash_key("t"), mapping={"epoch": "e", "seq": 1, "data": data})
    client.rpush(log_key("t"), '1|{"n":1,"ts":1,"level":"info","text":"\\ud800"}')
    held = record.read("t")
    dumps(held.changing).encode()
    str(held.changing).encode()
    str(held.log).encode()


@pytest.mark.parametrize("character", ["x", "é", "\x01"])
def test_many_long_lines_go_out_in_frames_that_fit_and_are_held_with_the_seq_of_theirs(record, wire, character):
    said = lines(*(character * 2_000 for _ in range(200)))
    reply = record.publish("t", 1, body(3), said, final=False)
    frames = wire.frames(reply.seq)
    assert all(len(dumps(frame).encode()) <= MAX_FRAME for frame in frames)
    assert [frame["seq"] for frame in frames] == list(range(1, reply.seq + 1))
    assert [frame["type"] for frame in frames] == ["log"] * (reply.seq - 1) + ["update"]
    told = [line for frame in frames[:-1] for line in frame["lines"]]
    assert [line["n"] for line in told] == list(range(1, 201))
    assert record.read("t").log == told
    middle = frames[len(frames) // 2 - 1]
    since = record.read("t", Since(middle["epoch"], middle["seq"]))
    assert since.recovered
    assert [line["n"] for line in since.log] == list(range(middle["lines"][-1]["n"] + 1, 201))
    again = record.publish("t", 1, None, said, Told(0, reply.seq), final=False)
    assert again.seq == reply.seq  # an answer that was lost: nothing is said twice


def test_a_result_that_is_too_large_for_a_frame_is_left_out(record, wire):
    record.tell("t", {"state": "SUCCESS", "attempt": 1, "result": "x" * 300_000}, final=True)
    (frame,) = wire.frames(1)
    assert (frame["result"], frame["result_omitted"]) == (None, True)
    assert record.read("t").changing["result_omitted"] is True
