"""No frame over 256 kB leaves: whatever a task says and returns, a viewer ends up with all of its log and its state."""

from __future__ import annotations

import json
from typing import Any

import pytest

from progress.messages import LogLine, TaskState, dumps
from progress.outbox import WINDOW, Outbox, Subscription
from progress.size import MAX_FRAME, fits, fitting, listed_text, snapshots
from progress.steps import MAX_STEPS
from progress.types import Event
from progress.values import MAX_LINE, MAX_MESSAGE
from progress.view_state import apply

#: A character for each number of bytes in JSON: plain, two, three, four of UTF-8, and one that is escaped.
CHARACTERS = {"ascii": "x", "latin": "é", "chinese": "漢", "emoji": "😀", "control": "\x01", "quote": '"'}


def lines(count: int, character: str) -> list[LogLine]:
    return [{"n": n, "ts": 1.5, "level": "info", "text": character * MAX_LINE} for n in range(1, count + 1)]


def state(**more: Any) -> TaskState:
    whole: Any = {"id": "t", "state": "SUCCESS", "attempt": 1, "message": "", "result": None, **more}
    return whole


@pytest.mark.parametrize("character", CHARACTERS.values(), ids=CHARACTERS)
@pytest.mark.parametrize("count", [0, 1, 10, 1_000])
@pytest.mark.parametrize("size", [0, 100_000, 1_000_000])
def test_a_snapshot_is_split_and_a_viewer_puts_it_together_again(character, count, size):
    log = lines(count, character)
    shown = state(result=character * size, message=character * MAX_MESSAGE)
    texts = snapshots("t", "e", 7, shown, log, recovered=False)
    assert all(len(text.encode()) <= MAX_FRAME for text in texts)
    frames = [json.loads(text) for text in texts]
    assert [frame["more"] for frame in frames] == [True] * (len(frames) - 1) + [False]
    view = None
    for frame in frames:
        view = apply(view, frame)
    assert view is not None
    assert view["log"] == log
    assert (view["seq"], view["epoch"], view["task"]["state"], view["resync"]) == (7, "e", "SUCCESS", False)
    if len(json.dumps(shown["result"], ensure_ascii=False).encode()) <= 128_000:
        assert view["task"]["result"] == shown["result"]
    else:
        assert (view["task"]["result"], view["task"]["result_omitted"]) == (None, True)


def test_a_part_of_what_was_missed_goes_on_where_the_viewer_was():
    before = apply(None, json.loads(snapshots("t", "e", 3, state(), lines(3, "x"), recovered=False)[0]))
    view = before
    for text in snapshots("t", "e", 9, state(), lines(600, "é")[3:], recovered=True):
        view = apply(view, json.loads(text))
    assert view is not None
    assert [line["n"] for line in view["log"]] == list(range(1, 601))


#: What a project's own source may say of a task.
STATES: dict[str, dict[str, Any]] = {
    "a huge result of objects": {"result": [{"a": "é" * 1000}] * 1000},
    "a huge error": {"error": {"type": "x" * 300_000, "message": "\x01" * 300_000}},
    "a huge message": {"message": "漢" * 300_000, "args_text": "x" * 500_000},
    "many steps": {"steps": [{"name": "x" * 500, "state": "done", "seconds": 1, "depth": 0}] * 5_000},
    "a huge wait": {"waiting": {"reason": "queued", "hint": "x" * 300_000, **{f"{n}": "x" for n in range(50_000)}}},
    "a field of its own": {"mine": [{"deep": ["x" * 300_000]}]},
    "all of them": {
        "result": "x" * 500_000,
        "message": "x" * 500_000,
        "error": {"type": "x", "message": "x" * 500_000},
        "name": "x" * 500_000,
        "queue": "x" * 500_000,
        "unit": "x" * 500_000,
        "step": "x" * 500_000,
    },
}


@pytest.mark.parametrize("said", STATES.values(), ids=STATES)
def test_a_state_that_is_too_large_is_shortened(said):
    texts = snapshots("t", "e", 1, state(**said), lines(100, "é"), recovered=False)
    assert all(len(text.encode()) <= MAX_FRAME for text in texts)
    assert json.loads(texts[-1])["task"]["state"] == "SUCCESS"
    assert len(dumps(fitting(state(**said))).encode()) <= MAX_FRAME


def test_what_a_task_of_ours_may_say_at_most_is_told_whole():
    step = {"name": "\x01" * MAX_MESSAGE, "state": "done", "seconds": 1.0, "depth": 3}
    said = state(steps=[step] * MAX_STEPS, message="\x01" * MAX_MESSAGE, error={"type": "x", "message": "é" * 2_000})
    said["result"] = "x" * 120_000
    assert fitting(said) == said


@pytest.mark.parametrize("text", ["x" * MAX_FRAME, "é" * (MAX_FRAME // 2), "😀" * (MAX_FRAME // 4), ""])
def test_bytes_are_counted_not_characters(text):
    assert fits(text)
    assert not fits(text + "é" * (MAX_FRAME - len(text.encode()) + 1))


@pytest.mark.parametrize("text", ["[" * 100_000, "{", "nope"])
def test_a_frame_of_another_program_is_no_trouble_for_a_list(text):
    assert listed_text(text) == text


def test_a_list_is_told_that_there_is_a_result_but_not_which():
    frame = json.loads(listed_text(dumps({"type": "update", "state": "SUCCESS", "seq": 3, "result": [1]})))
    assert frame == {"type": "update", "state": "SUCCESS", "seq": 3, "result": None, "result_omitted": True}
    untouched = dumps({"state": "FAILURE", "result": None})
    assert listed_text(untouched) is untouched


# --- on their way out -------------------------------------------------------------------------------------------------


async def sent_by(outbox_says: Any) -> tuple[list[Any], Outbox, Subscription]:
    sent: list[Any] = []

    async def send(event: Event) -> None:
        sent.append(event.get("text") or event["code"])

    outbox = Outbox(send, lambda _: None, closes_at_end=True)
    subscription = Subscription(outbox, "t", wants_log=True)
    outbox_says(outbox, subscription)
    return sent, outbox, subscription


async def test_the_socket_closes_after_the_last_part_and_each_waits_for_room():
    parts = [f"{number}" + "x" * WINDOW for number in range(3)]
    sent, outbox, subscription = await sent_by(lambda o, s: o.put_snapshot(s, "e", 5, parts[2], True, parts[:2]))
    told = [one for one in sent if '"ping"' not in str(one)]
    assert told == parts[:1]
    outbox.put_update(subscription, 6, "newer", {"type": "websocket.send", "text": "newer"}, end=False)
    for count in (2, 3):
        outbox.pong(5)
        told = [one for one in sent if '"ping"' not in str(one)]
        assert told[:count] == parts[:count]
    assert told[3:] == [1000]


async def test_more_parts_than_may_wait_of_single_frames_are_no_overflow():
    parts = [f"part {number}" for number in range(1_000)]
    sent, _, subscription = await sent_by(lambda o, s: o.put_snapshot(s, "e", 5, "last", False, parts))
    assert sent == [*parts, "last"]
    assert subscription.ready
