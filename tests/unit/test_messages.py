"""The wire's words, and the rule by which a viewer applies frames: in any order, with any loss and repetition."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from progress import view_state
from progress.client_frames import CLIENT_FRAMES, parse_client_frame
from progress.errors import FrameError
from progress.messages import FINAL_STATES, dumps
from progress.view_state import apply

CASES = json.loads(Path(__file__).with_name("progress_cases.json").read_text())


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_shared_case(case):
    view = None
    for frame in case["frames"]:
        view = apply(view, frame)
    assert view == case["expect"]


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_frames_and_views_are_never_changed_in_place(case):
    view = None
    for frame in case["frames"]:
        before, held = dumps(frame), dumps(view)
        old, view = view, apply(view, frame)
        assert dumps(frame) == before
        assert dumps(old) == held


# --- a model of the record: it makes frames as progress/record.py does ------------------------------------------------


class ModelRecord:
    """What Redis holds of one task, and every frame that it ever sent."""

    HELD = 5

    def __init__(self) -> None:
        self.epoch, self.seq, self.attempt, self.lines, self.trimmed = "e0", 0, 1, 0, 0
        self.task: dict[str, Any] = {"id": "t", "state": "PENDING", "attempt": 0, "current": 0}
        self.log: list[tuple[int, dict[str, Any]]] = []
        self.frames: list[Any] = []

    def _tell(self, kind: str, fields: dict[str, Any]) -> None:
        self.seq += 1
        frame = {"v": 1, "type": kind, "task_id": "t", "epoch": self.epoch, "seq": self.seq}
        self.frames.append({**frame, **fields})

    @property
    def over(self) -> bool:
        return self.task["state"] in FINAL_STATES

    def update(self, state: str, amount: int) -> None:
        if self.over:
            return
        changing = {"state": state, "attempt": self.attempt, "current": amount}
        self.task = {**self.task, **changing}
        self._tell("update", changing)

    def write(self, count: int) -> None:
        if self.over:
            return
        lines = [{"n": self.lines + at, "text": f"{self.epoch} line {self.lines + at}"} for at in range(1, count + 1)]
        self.lines += count
        self._tell("log", {"lines": lines})
        self.log += [(self.seq, line) for line in lines]
        if len(self.log) > self.HELD:
            self.trimmed = self.log[-self.HELD - 1][0]
            self.log = self.log[-self.HELD :]

    def next_attempt(self) -> None:
        if not self.over:
            self.attempt += 1
            self.update("STARTED", 0)

    def lose_data(self) -> None:
        """Redis came back empty; the task's next word begins a new record."""
        if self.over:
            return
        self.epoch, self.seq, self.lines, self.trimmed, self.log = f"e{int(self.epoch[1:]) + 1}", 0, 0, 0, []
        self.update("STARTED", self.task["current"])

    def snapshot(self, epoch: str = "", seq: int = 0) -> Any:
        recovered = epoch == self.epoch and self.trimmed <= seq <= self.seq
        log = [line for at, line in self.log if not recovered or at > seq]
        frame = {"v": 1, "type": "snapshot", "task_id": "t", "epoch": self.epoch, "seq": self.seq}
        return {**frame, "recovered": recovered, "task": dict(self.task), "log": log}


STEPS = st.one_of(
    st.tuples(st.just("update"), st.sampled_from(["STARTED", "RETRY"]), st.integers(0, 99)),
    st.tuples(st.just("write"), st.integers(1, 3)),
    st.tuples(st.just("next_attempt")),
    st.tuples(st.just("lose_data")),
    st.tuples(st.just("snapshot")),  # somebody else's repair, broadcast to every viewer
    st.tuples(st.just("update"), st.sampled_from(sorted(FINAL_STATES)), st.integers(0, 99)),
)


def live(steps: list[tuple[Any, ...]]) -> ModelRecord:
    record = ModelRecord()
    record.update("STARTED", 0)
    for name, *arguments in steps:
        if name == "snapshot":
            record.frames.append(record.snapshot())
        else:
            getattr(record, name)(*arguments)
    return record


@given(st.lists(STEPS, max_size=25), st.data())
def test_snapshot_and_newer_frames_are_the_stored_state_after_any_order_loss_and_repetition(steps, data):
    record = live(steps)
    arrived = data.draw(st.lists(st.sampled_from(record.frames), max_size=60), label="arrived")
    view = None
    for frame in arrived:
        view = apply(view, frame)
    # The repair that every viewer gets: after a reconnect, a resync, or the hub's look every 2 s.
    view = apply(view, record.snapshot(view["epoch"], view["complete"]) if view else record.snapshot())
    assert view is not None
    assert view["task"] == record.task
    assert (view["epoch"], view["seq"], view["resync"]) == (record.epoch, record.seq, False)


@given(st.lists(STEPS, max_size=25), st.integers(0, 30), st.data())
def test_a_viewer_who_loses_nothing_holds_the_stored_state_without_any_repair(steps, joined, data):
    record = live(steps)
    frames = [frame for frame in record.frames if frame["type"] != "snapshot"]
    # It joined somewhere on the way, in the epoch that lasted to the end, and heard everything since, some of it twice.
    ours = [frame for frame in frames if frame["epoch"] == record.epoch]
    at = min(joined, len(ours) - 1)
    past = ModelRecord()
    past.epoch = record.epoch
    view: Any = None
    state: dict[str, Any] = {"id": "t"}
    log: list[dict[str, Any]] = []
    for frame in ours[: at + 1]:
        if frame["type"] == "log":
            log += frame["lines"]
        else:
            state |= {key: frame[key] for key in ("state", "attempt", "current")}
    if "state" not in state:
        return  # nothing but log lines so far: the hub's snapshot would come from the database
    first: Any = {"v": 1, "type": "snapshot", "task_id": "t", "epoch": record.epoch, "seq": ours[at]["seq"]}
    first |= {"recovered": False, "task": state, "log": log}
    view = apply(None, first)
    for frame in ours[at + 1 :]:
        for _ in range(data.draw(st.integers(1, 2), label="times")):
            view = apply(view, frame)
    assert {key: view["task"][key] for key in ("state", "attempt", "current")} == {
        key: record.task[key] for key in ("state", "attempt", "current")
    }
    numbers = [line["n"] for line in view["log"]]
    assert numbers == list(range(1, record.lines + 1))


@given(st.lists(STEPS, max_size=25), st.data())
def test_log_lines_are_neither_doubled_nor_out_of_order_and_missed_ones_come_with_the_repair(steps, data):
    record = live(steps)
    view: Any = apply(None, record.snapshot())
    arrived = data.draw(st.lists(st.sampled_from(record.frames), max_size=40), label="arrived")
    for frame in arrived:
        view = apply(view, frame)
        numbers = [line["n"] for line in view["log"]]
        assert numbers == sorted(set(numbers))
    held = [line for _, line in record.log]
    view = apply(view, record.snapshot(view["epoch"], view["complete"]))
    assert [line for line in view["log"] if line["n"] >= (held[0]["n"] if held else 1)] == held


def test_lines_that_an_update_came_past_come_with_the_return():
    """The log frame was lost, and the connection broke before anybody noticed."""
    record = ModelRecord()
    record.update("STARTED", 0)
    view: Any = apply(None, record.snapshot())
    record.write(2)
    record.update("STARTED", 7)
    view = apply(view, record.frames[-1])
    assert (view["task"]["current"], view["log"]) == (7, [])
    view = apply(view, record.snapshot(view["epoch"], view["complete"]))
    assert [line["n"] for line in view["log"]] == [1, 2]
    assert view["complete"] == record.seq


@given(st.lists(STEPS, max_size=25), st.data())
def test_what_is_shown_never_runs_backwards_and_an_end_is_latched(steps, data):
    record = live(steps)
    view: Any = None
    arrived = data.draw(st.lists(st.sampled_from(record.frames), max_size=60), label="arrived")
    for frame in arrived:
        before, view = view, apply(view, frame)
        if not before or not before["task"]:
            continue
        was, now = before["task"], view["task"]
        assert now["attempt"] >= was["attempt"]
        if view["epoch"] == before["epoch"]:
            assert view["seq"] >= before["seq"]
        if was["state"] in FINAL_STATES and now["attempt"] == was["attempt"]:
            assert now["state"] in FINAL_STATES


def test_a_viewer_forgets_the_oldest_lines_beyond_its_bound(monkeypatch):
    monkeypatch.setattr(view_state, "MAX_VIEW_LINES", 3)
    record = ModelRecord()
    record.update("STARTED", 0)
    view: Any = apply(None, record.snapshot())
    for _ in range(5):
        record.write(1)
        view = apply(view, record.frames[-1])
    assert [line["n"] for line in view["log"]] == [3, 4, 5]


# --- what a browser sends ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "frame",
    [
        {"type": "pong", "seq": 7},
        {"type": "resync", "epoch": "a1", "seq": 3},
        {"type": "resync", "task_id": "t.1_2-3", "epoch": "", "seq": 0},
        {"type": "cancel"},
        {"type": "subscribe", "task_ids": ["a", "b"]},
        {"type": "unsubscribe", "task_ids": []},
        {"type": "pong", "seq": 1, "from the future": {"x": 1}},
    ],
)
def test_a_good_frame_is_read(frame):
    assert parse_client_frame(json.dumps(frame)) == frame


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (None, "bad_json"),
        ("", "bad_json"),
        ("{", "bad_json"),
        ("NaN and more", "bad_json"),
        ("[" * 3000, "bad_json"),
        ("x" * 5000, "too_big"),
        ("3", "bad_frame"),
        ("null", "bad_frame"),
        ("[]", "bad_frame"),
        ("{}", "bad_frame"),
        ('{"type": 5}', "bad_frame"),
        ('{"type": ["pong"]}', "bad_frame"),
        ('{"type": "snapshot"}', "bad_frame"),
        ('{"type": "pong", "seq": "7"}', "bad_frame"),
        ('{"type": "pong", "seq": true}', "bad_frame"),
        ('{"type": "pong", "seq": 1.5}', "bad_frame"),
        ('{"type": "pong", "seq": NaN}', "bad_frame"),
        ('{"type": "pong", "seq": ' + "9" * 400 + "}", "bad_frame"),
        ('{"type": "resync", "epoch": 5}', "bad_frame"),
        ('{"type": "resync", "epoch": "\\ud800"}', "bad_frame"),
        ('{"type": "resync", "epoch": "a\\u0000"}', "bad_frame"),
        ('{"type": "cancel", "task_id": "a b"}', "bad_frame"),
        ('{"type": "subscribe", "task_ids": "a"}', "bad_frame"),
        ('{"type": "subscribe", "task_ids": [1]}', "bad_frame"),
        ('{"type": "subscribe", "task_ids": ["a\\u0000"]}', "bad_frame"),
        ('{"type": "subscribe", "task_ids": {"a": 1}}', "bad_frame"),
    ],
)
def test_nonsense_is_refused_with_a_code(text, code):
    with pytest.raises(FrameError) as refusal:
        parse_client_frame(text)
    assert refusal.value.code == code
    assert str(refusal.value)


@given(
    st.text(max_size=200) | st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists).map(json.dumps)
)
def test_whatever_a_browser_sends_it_is_a_frame_or_a_refusal(text):
    try:
        assert parse_client_frame(text)["type"] in CLIENT_FRAMES
    except FrameError as refusal:
        assert refusal.code in ("bad_json", "bad_frame", "too_big")
