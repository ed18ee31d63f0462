"""What a web process knows of a task: what arrives, what is read meanwhile, and what is told from both."""

from __future__ import annotations

from typing import Any

import pytest

from progress.held import Held, Since
from progress.listener import Published
from progress.messages import dumps
from progress.topic import ASK_AFTER_SILENCE, RECENT, Topic

NOW = 100.0


def update(seq: int, epoch: str = "e", **changing: Any) -> Published:
    state = {"state": "STARTED", "attempt": 1, "current": seq, "ts": float(seq), **changing}
    text = dumps({"v": 1, "type": "update", "task_id": "t", "epoch": epoch, "seq": seq, **state})
    final = state["state"] == "SUCCESS"
    return Published(type="progress.frame", task_id="t", epoch=epoch, seq=seq, kind="update", final=final, text=text)


def log(seq: int, epoch: str = "e") -> Published:
    line = {"n": seq, "ts": float(seq), "level": "info", "text": f"line {seq}"}
    text = dumps({"v": 1, "type": "log", "task_id": "t", "epoch": epoch, "seq": seq, "lines": [line]})
    return Published(type="progress.frame", task_id="t", epoch=epoch, seq=seq, kind="log", final=False, text=text)


def held(seq: int, epoch: str = "e", **more: Any) -> Held:
    return Held(epoch, seq, {"state": "STARTED", "attempt": 1, "current": seq, "ts": float(seq)}, **more)


@pytest.fixture
def topic() -> Topic:
    """A topic that has read the record at seq 3."""
    topic = Topic("t", {"id": "t", "state": "STARTED", "attempt": 1}, NOW)
    topic.take(held(3), NOW)
    return topic


def seqs(messages: Any) -> list[int]:
    return [message["seq"] for message in messages]


# --- what arrives -----------------------------------------------------------------------------------------------------


def test_of_what_arrives_at_once_every_log_line_and_the_newest_update_go_on(topic):
    news = topic.arrive([update(4), log(5), update(6), log(7)], NOW + 1)
    assert seqs(news.logs) == [5, 7]
    assert news.newest["seq"] == 6
    assert (topic.seq, topic.live["current"], topic.hole, topic.changed_at) == (7, 6, None, NOW + 1)


def test_what_arrived_before_is_not_forwarded_again(topic):
    news = topic.arrive([update(2), update(3), log(3)], NOW)
    assert (news.logs, news.newest) == ([], None)
    assert topic.seq == 3


def test_a_frame_of_another_record_asks_for_a_snapshot(topic):
    assert topic.arrive([update(1, epoch="f")], NOW) is None
    assert (topic.epoch, topic.seq) == ("e", 3)


def test_after_a_hole_log_lines_wait_for_those_that_were_missed_and_updates_do_not(topic):
    news = topic.arrive([log(4), log(6), update(7)], NOW)
    assert topic.hole == 4
    assert seqs(news.logs) == [4]
    assert news.newest["seq"] == 7
    assert topic.arrive([log(8)], NOW).logs == []
    assert topic.hole == 4, "the first hole stays until all after it was read"


def test_the_changing_part_carries_nothing_of_the_envelope(topic):
    topic.arrive([update(4)], NOW)
    assert set(topic.live) == {"state", "attempt", "current", "ts"}


# --- what is read -----------------------------------------------------------------------------------------------------


def test_a_record_that_is_as_new_as_what_arrived_is_what_is_true(topic):
    assert topic.combine(held(3), Since()) == held(3)
    assert topic.combine(held(9), Since()) == held(9)


def test_a_record_read_too_early_is_completed_by_what_arrived_meanwhile(topic):
    topic.arrive([log(4), update(5)], NOW)
    now = topic.combine(held(3), Since())
    assert (now.seq, now.changing["current"], [line["n"] for line in now.log]) == (5, 5, [4])
    assert topic.combine(held(3), Since(log=False)).log == []


def test_only_log_lines_that_arrived_meanwhile_leave_the_numbers_of_the_record(topic):
    topic.arrive([log(4)], NOW)
    record = held(3)
    assert topic.combine(record, Since()).changing is record.changing


def test_a_record_too_old_for_the_frames_that_are_kept_is_read_again(topic):
    topic.arrive([update(seq) for seq in range(4, 5 + RECENT)], NOW)
    assert topic.combine(held(3), Since()) is None


def test_without_a_record_what_arrived_is_all_there_is(topic):
    topic.arrive([update(4)], NOW)
    now = topic.combine(Held(), Since("e", 2))
    assert (now.epoch, now.seq, now.changing["current"], now.recovered) == ("e", 4, 4, True)
    assert not topic.combine(Held(), Since("other", 2)).recovered


def test_numbers_that_were_shown_stay_when_redis_comes_back_with_a_record_of_before(topic):
    topic.arrive([update(8)], NOW)
    now = topic.combine(held(2, epoch="f"), Since())
    assert (now.epoch, now.changing["current"]) == ("f", 8)


def test_a_new_record_forgets_the_frames_and_the_hole_of_the_old_one(topic):
    topic.arrive([update(6)], NOW)
    assert topic.hole == 3
    topic.take(held(1, epoch="f"), NOW + 1)
    assert (topic.epoch, topic.seq, topic.hole, len(topic.recent), topic.changed_at) == ("f", 1, None, 0, NOW + 1)


def test_a_record_older_than_what_arrived_takes_nothing_back(topic):
    topic.arrive([update(4)], NOW)
    topic.take(held(3), NOW)
    assert (topic.seq, topic.live["current"]) == (4, 4)


# --- what is compared -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("epoch", "seq", "seen", "differs"),
    [
        ("e", 3, 3, False),
        ("e", 5, 3, True),  # missed
        ("e", 2, 3, True),  # a record of before
        ("e", 5, 2, False),  # it moved while Redis was asked: compare again later
        ("f", 1, 3, True),
        ("", 0, 3, False),  # no record: nothing to compare with
    ],
)
def test_what_differs_from_the_record(topic, epoch, seq, seen, differs):
    assert topic.differs(epoch, seq, seen) is differs


def test_the_database_is_asked_of_tasks_that_wait_and_of_those_that_fell_silent(topic):
    assert not topic.is_doubtful(NOW + 1)
    assert topic.is_doubtful(NOW + ASK_AFTER_SILENCE + 1)
    waiting = Topic("t", {"id": "t", "state": "PENDING", "attempt": 0}, NOW)
    waiting.take(Held(), NOW)
    assert waiting.is_doubtful(NOW)
    ended = Topic("t", {"id": "t", "state": "SUCCESS", "attempt": 1}, NOW)
    assert not ended.is_doubtful(NOW + 100)


def test_an_end_that_nobody_told_is_told_and_one_that_was_told_is_not_told_again(topic):
    assert topic.refresh({"id": "t", "state": "SUCCESS", "attempt": 1}, NOW)
    topic.arrive([update(4, state="SUCCESS")], NOW)
    assert not topic.refresh({"id": "t", "state": "SUCCESS", "attempt": 1}, NOW)


def test_a_row_of_an_earlier_attempt_is_not_taken_over(topic):
    topic.store({"id": "t", "state": "PENDING", "attempt": 0})
    assert topic.stored["state"] == "STARTED"
    topic.store({"id": "t", "state": "RETRY", "attempt": 1})
    assert topic.stored["state"] == "RETRY"


# --- what is too large ------------------------------------------------------------------------------------------------


def test_a_frame_that_is_too_large_is_not_forwarded_but_asked_for_as_if_it_had_been_missed(topic):
    large = update(4, state="SUCCESS", result="x" * 300_000)
    news = topic.arrive([large], NOW + 1)
    assert (news.newest, topic.hole, topic.seq, topic.told) == (None, 3, 4, ("final",))
    assert topic.live["state"] == "SUCCESS"


def test_a_log_frame_that_is_too_large_holds_back_what_follows_until_a_snapshot_has_brought_it(topic):
    large = log(4)
    large["text"] = large["text"].replace("line 4", "x" * 300_000)
    news = topic.arrive([large, log(5), update(6)], NOW + 1)
    assert (seqs(news.logs), news.newest["seq"], topic.hole) == ([], 6, 3)
