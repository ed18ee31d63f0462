"""Who watches a task sees the truth at once, whenever they come, and hears its end. Real processes."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path

from tests.waiting import wait_until

from .visitor import Visitor
from .watcher import Watcher

DOCS = Path(__file__).resolve().parents[2] / "docs"


def currents(watcher: Watcher) -> list[float]:
    """Where the bar stood, frame by frame."""
    tasks = [frame.get("task", frame) for frame in watcher.frames if frame["type"] in ("snapshot", "update")]
    return [task["current"] for task in tasks if task["current"] is not None]


def assert_never_backwards(watcher: Watcher) -> None:
    seen = currents(watcher)
    assert seen == sorted(seen)
    seqs = [frame["seq"] for frame in watcher.frames if frame["type"] in ("update", "log")]
    assert seqs == sorted(set(seqs))


def test_a_late_joiner_gets_the_state_at_once(stack):
    task_id = stack.start_job("nap", seconds=6, step=0.05)
    first = stack.watch(task_id)
    first.wait_for(lambda frame: (frame.get("current") or 0) >= 10)
    began = time.monotonic()
    late = stack.watch(task_id)
    snapshot = late.wait_snapshot(timeout=2)
    assert time.monotonic() - began < 1
    assert late.frames[0] is snapshot
    assert snapshot["task"]["state"] == "STARTED"
    assert snapshot["task"]["current"] >= 10
    assert late.wait_final()["state"] == "SUCCESS"
    for watcher in (first, late):
        assert watcher.wait_closed() == 1000
        assert_never_backwards(watcher)
        assert watcher.task["result"] == "rested"


def test_a_task_that_goes_on_without_a_word_is_shown_to_a_late_joiner(stack, tmp_path):
    gate = tmp_path / "gate"
    task_id = stack.start_job("hold", str(gate))
    stack.wait_state(task_id, "STARTED")
    wait_until(lambda: stack.task(task_id)["current"] == 0, 5)
    snapshot = stack.watch(task_id).wait_snapshot()
    assert (snapshot["task"]["state"], snapshot["task"]["current"], snapshot["task"]["total"]) == ("STARTED", 0, 1)
    gate.touch()
    stack.wait_state(task_id, "SUCCESS")


def test_a_reload_keeps_the_bar(stack):
    task_id = stack.start_job("nap", seconds=5, step=0.05)
    highest = 0.0
    for _ in range(4):
        tab = stack.watch(task_id)
        snapshot = tab.wait_snapshot()
        assert (snapshot["task"]["current"] or 0) >= highest
        highest = (snapshot["task"]["current"] or 0) + 5
        tab.wait_for(lambda frame, wanted=highest: (frame.get("current") or 0) >= wanted)
        highest = max(currents(tab))
        tab.close()
    assert stack.watch(task_id).wait_final()["state"] == "SUCCESS"


def test_a_tab_that_comes_back_is_told_only_what_it_missed(stack):
    task_id = stack.start_job("chatter", lines=60, delay=0.05)
    tab = stack.watch(task_id)
    tab.wait_for(lambda frame: frame["type"] == "log" and frame["lines"][-1]["n"] >= 15)
    tab.close()
    held = tab.view
    assert held
    other = stack.watch(task_id)
    other.wait_for(lambda frame: frame["type"] == "log" and frame["lines"][-1]["n"] >= 30)
    back = stack.watch(task_id, epoch=held["epoch"], seq=held["seq"])
    snapshot = back.wait_snapshot()
    assert snapshot["recovered"] is True
    assert snapshot["log"][0]["n"] == held["log"][-1]["n"] + 1
    back.wait_final()
    back.wait_closed()
    texts = [line["text"] for line in held["log"]] + [line["text"] for line in back.view["log"]]
    assert texts == [f"line {number}" for number in range(1, 61)]


def test_a_second_tab_shows_the_same(stack):
    task_id = stack.start_job("nap", seconds=3, step=0.02)
    tabs = [stack.watch(task_id) for _ in range(3)]
    listed = stack.visitor().watch_list(task_id)
    for tab in tabs:
        tab.wait_final()
        assert tab.wait_closed() == 1000
    wait_until(lambda: listed.views.get(task_id, {}).get("task", {}).get("state") == "SUCCESS", 5)
    assert all(tab.view == tabs[0].view for tab in tabs)
    # a list carries no results, and alone says how the parts stand
    in_a_list = {"result": None, "result_omitted": True, "parts": None}
    left: dict[str, list[object]] = {"attempts": []}  # none was left, said where the row was read anew
    assert listed.views[task_id]["task"] | left == tabs[0].task | in_a_list | left
    assert not listed.closed


def test_the_end_arrives_also_at_a_viewer_who_comes_after_it(stack):
    task_id = stack.start_task(task="demo_task")
    stack.wait_state(task_id, "SUCCESS")
    late = stack.watch(task_id)
    assert late.wait_final()["result"] == "Hello from the worker!"
    assert late.wait_closed() == 1000
    assert [frame["type"] for frame in late.frames] == ["snapshot"]
    assert late.log_texts() == ["All done."]


def test_the_end_arrives_at_a_tab_that_was_away_when_it_came(stack):
    task_id = stack.start_job("nap", seconds=1)
    tab = stack.watch(task_id)
    tab.wait_for(lambda frame: (frame.get("current") or 0) > 1)
    tab.close()
    stack.wait_state(task_id, "SUCCESS")
    back = stack.watch(task_id, epoch=tab.view["epoch"], seq=tab.view["seq"])
    assert back.wait_final()["current"] == 20
    assert back.wait_closed() == 1000


def test_a_failure_arrives_with_its_error_and_without_a_traceback(stack):
    task_id = stack.start_job("fail", message="the disk is full")
    watcher = stack.watch(task_id)
    task = watcher.wait_final()
    assert task["state"] == "FAILURE"
    assert task["error"] == {"type": "RuntimeError", "message": "the disk is full"}
    assert watcher.wait_closed() == 1000
    assert not any("Traceback" in str(frame) for frame in watcher.frames)


def test_a_cancel_over_the_socket_ends_the_task(stack):
    task_id = stack.start_job("nap", seconds=30)
    watcher = stack.watch(task_id)
    watcher.wait_for(lambda frame: (frame.get("current") or 0) > 1)
    watcher.send({"type": "cancel"})
    began = time.monotonic()
    assert watcher.wait_final(timeout=5)["state"] == "REVOKED"
    assert time.monotonic() - began < 3
    assert watcher.task["error"]["type"] == "Cancelled"
    assert watcher.wait_closed() == 1000


# --- strangers --------------------------------------------------------------------------------------------------------


def test_to_a_stranger_a_task_that_is_not_theirs_and_one_that_does_not_exist_are_the_same(stack, tmp_path):
    gate = tmp_path / "gate"
    task_id = stack.start_job("hold", str(gate))
    stack.watch(task_id).wait_state("STARTED")
    for name in ("bob", "charlie"):
        stranger = stack.visitor(name)
        if name == "bob":  # he has a session and a task of his own, charlie has nothing
            stranger.start_task(task="demo_task")
        answers = []
        for wanted in (task_id, "00000000-0000-0000-0000-000000000000", "%00", "a%20b", "x" * 300):
            watcher = stranger.watch(wanted)
            assert watcher.wait_closed() == 4404
            assert watcher.frames == []
            page, api = stranger.get(f"/tasks/{wanted}/"), stranger.get(f"/api/tasks/{wanted}/")
            refused = 400 if wanted == "%00" else 404  # what cannot be read is no address, whoever asks
            assert (page.status, api.status) == (refused, refused)
            answers.append(re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "…", api.text))
            for action in ("cancel", "retry"):
                assert stranger.post(f"/tasks/{wanted}/{action}/", json={}).status == refused
        assert answers[0] == answers[1]
    assert stack.task(task_id)["cancel_requested"] is False
    gate.touch()
    stack.wait_state(task_id, "SUCCESS")


def test_a_list_socket_shows_a_stranger_nothing(stack, tmp_path):
    gate = tmp_path / "gate"
    task_id = stack.start_job("hold", str(gate))
    stranger = stack.visitor("charlie").watch_list(task_id, "no-such-task")
    stranger.wait_for(lambda frame: frame.get("task_id") == "no-such-task")
    assert [(frame["type"], frame["code"]) for frame in stranger.frames] == [("error", "not_found")] * 2
    stranger.send({"type": "cancel", "task_id": task_id})
    assert stranger.wait_for(lambda frame: frame.get("code") == "bad_frame")
    assert stack.task(task_id)["cancel_requested"] is False
    gate.touch()
    stack.wait_state(task_id, "SUCCESS")


def test_a_page_of_another_site_is_refused_and_so_is_one_that_does_not_say_where_it_comes_from(stack):
    task_id = stack.start_task(task="demo_task")
    cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in stack.visitor().cookies)
    url = stack.url.replace("http", "ws") + f"/ws/progress/{task_id}/"
    assert Watcher(url, origin="https://evil.example", cookies=cookies).refused == 403
    assert Watcher(url, origin=None, cookies=cookies).refused == 403  # type: ignore[arg-type]
    good = Watcher(url, origin=stack.url, cookies=cookies)
    good.wait_final()
    good.close()


def test_another_sites_strange_cookie_does_not_hide_the_session(stack):
    task_id = stack.start_task(task="demo_task")
    session = stack.visitor().cookie("sessionid")
    url = stack.url.replace("http", "ws") + f"/ws/progress/{task_id}/"
    cookies = f'a[b]=c; {{"json": "here"}}; sessionid={session}; x=" \\" '
    watcher = Watcher(url, origin=stack.url, cookies=cookies)
    assert watcher.wait_final()["state"] == "SUCCESS"
    watcher.close()


def test_a_socket_that_talks_nonsense_is_closed_and_others_are_not_disturbed(stack, tmp_path):
    gate = tmp_path / "gate"
    task_id = stack.start_job("hold", str(gate))
    good, bad = stack.watch(task_id), stack.watch(task_id)
    bad.wait_snapshot()
    good.wait_for(lambda frame: good.view is not None and good.view["epoch"])  # it runs: its record has begun
    for nonsense in ("{", b"\x00\x01", '{"type": "resync", "epoch": "\\ud800"}', "x" * 5000, '{"type": "subscribe"}'):
        bad.send(nonsense)
    assert bad.wait_closed() == 4400
    codes = [frame["code"] for frame in bad.of_type("error")]
    assert codes == ["bad_json", "bad_json", "bad_frame", "too_big", "bad_frame"]
    before = len(good.of_type("snapshot"))
    good.send({"type": "resync", "epoch": good.view["epoch"], "seq": 0})
    wait_until(lambda: len(good.of_type("snapshot")) > before, 10)
    gate.touch()
    assert good.wait_final()["state"] == "SUCCESS"


# --- a client from the document ---------------------------------------------------------------------------------------


def test_the_client_printed_in_the_protocol_document_works(stack, tmp_path):
    (code,) = re.findall(r"```python\n(.*?)```", (DOCS / "PROTOCOL.md").read_text(), re.DOTALL)
    assert code.count("\n") <= 45
    client = tmp_path / "client.py"
    client.write_text(code)
    task_id = stack.start_job("chatter", lines=20, delay=0.05)
    visitor: Visitor = stack.visitor()
    done = subprocess.run(
        [sys.executable, client, stack.url, task_id, visitor.cookie("sessionid") or ""],
        capture_output=True,
        text=True,
        timeout=30,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert "SUCCESS" in done.stdout.splitlines()[-1]
    assert [line for line in done.stdout.splitlines() if line.startswith("line ")] == [
        f"line {n}" for n in range(1, 21)
    ]
    stranger = subprocess.run(
        [sys.executable, client, stack.url, task_id, "nobody"], capture_output=True, text=True, timeout=30, cwd=tmp_path
    )
    assert stranger.returncode != 0
    assert "4404" in stranger.stdout + stranger.stderr
