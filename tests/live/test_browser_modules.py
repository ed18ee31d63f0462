"""The browser's modules in a real browser: the pure functions, the connection against a fake server, the element."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from .fake_progress import FakeProgress, Socket

CASES = json.loads((Path(__file__).parents[1] / "unit" / "progress_cases.json").read_text())


def call(tab: Page, module: str, function: str, *args: Any) -> Any:
    return tab.evaluate(
        "async ([module, name, args]) => (await import(`/progress/${module}.js`))[name](...args)",
        [module, function, list(args)],
    )


# --- pure functions ---------------------------------------------------------------------------------------------------


def test_a_view_follows_the_shared_cases(tab):
    views = tab.evaluate(
        """async (cases) => {
            const { apply } = await import("/progress/view-state.js");
            return cases.map(({ frames }) => frames.reduce(apply, null));
        }""",
        CASES,
    )
    for case, view in zip(CASES, views, strict=True):
        assert view == case["expect"], case["name"]


def test_a_frame_that_changes_nothing_gives_the_same_object_back(tab):
    assert tab.evaluate(
        """async () => {
            const { apply } = await import("/progress/view-state.js");
            const task = { state: "STARTED", attempt: 1 };
            const view = apply(null, { type: "snapshot", epoch: "a", seq: 5, task, log: [] });
            const update = { type: "update", epoch: "a", seq: 5 };
            const log = { type: "log", epoch: "a", seq: 4, lines: [] };
            return [{ type: "ping" }, update, log].every((frame) => apply(view, frame) === view);
        }"""
    )


def test_a_view_holds_the_last_ten_thousand_log_lines(tab):
    first, last, count = tab.evaluate(
        """async () => {
            const { apply } = await import("/progress/view-state.js");
            const lines = (from, to) => Array.from({ length: to - from + 1 }, (_, i) => ({ n: from + i }));
            const task = { state: "STARTED" };
            let view = apply(null, { type: "snapshot", epoch: "a", seq: 1, task, log: lines(1, 9_990) });
            view = apply(view, { type: "log", epoch: "a", seq: 2, lines: lines(9_991, 10_020) });
            return [view.log[0].n, view.log.at(-1).n, view.log.length];
        }"""
    )
    assert (first, last, count) == (21, 10_020, 10_000)


#: [function, arguments, what is written, with plain spaces]; `progress.format` writes the same.
WRITTEN = [tuple(row) for row in json.loads((Path(__file__).parents[1] / "unit" / "format_cases.json").read_text())]


def test_numbers_are_written_as_people_read_them(tab):
    got = tab.evaluate(
        """async (rows) => {
            const format = await import("/progress/format.js");
            return rows.map(([name, args]) => format[name](...args).replaceAll("\\u00a0", " "));
        }""",
        [[name, args] for name, args, _ in WRITTEN],
    )
    assert [(*row[:2], text) for row, text in zip(WRITTEN, got, strict=True)] == WRITTEN


def test_waits_grow_to_five_seconds_with_full_jitter(tab):
    assert call(tab, "backoff", "backoff", 0, 0) == 100
    assert call(tab, "backoff", "backoff", 0, 1) == 500
    assert call(tab, "backoff", "backoff", 2, 1) == 2_000
    assert call(tab, "backoff", "backoff", 50, 1) == 5_000
    assert call(tab, "backoff", "backoff", 50, 0) == 100


# --- the connection ---------------------------------------------------------------------------------------------------


def task(state: str = "STARTED", current: int = 0, attempt: int = 1) -> dict[str, Any]:
    return {"name": "long_running_task", "state": state, "attempt": attempt, "current": current, "total": 10,
            "percent": current * 10.0}  # fmt: skip


def snapshot(
    seq: int, *, task_id: str = "t", epoch: str = "a", recovered: bool = False, log=(), **state
) -> dict[str, Any]:
    return {"v": 1, "type": "snapshot", "task_id": task_id, "epoch": epoch, "seq": seq, "recovered": recovered,
            "task": task(**state), "log": list(log)}  # fmt: skip


def update(seq: int, *, task_id: str = "t", epoch: str = "a", **state) -> dict[str, Any]:
    return {"v": 1, "type": "update", "task_id": task_id, "epoch": epoch, "seq": seq, **task(**state)}


def line(n: int) -> dict[str, Any]:
    return {"n": n, "ts": 1000.0 + n, "level": "info", "text": f"line {n}"}


def stay(*frames: dict[str, Any]):
    """A scene: say `frames`, then keep the socket open."""

    def scene(socket: Socket) -> None:
        socket.say(*frames)
        socket.wait_closed()

    return scene


def leave(code: int, *frames: dict[str, Any]):
    """A scene: say `frames`, then close."""

    def scene(socket: Socket) -> None:
        socket.say(*frames)
        socket.close(code)

    return scene


def watch(tab: Page, fake: FakeProgress, ids: tuple[str, ...] = ("t",)) -> None:
    """Watch one task over its own socket, or several over the list's; notes what is told in `window.told`."""
    tab.evaluate(
        """async ([url, ids]) => {
            const { Connection, sharedConnection } = await import("/progress/connection.js");
            window.told = [];
            window.stops = ids.map((id) => {
                const connection = ids.length > 1 ? sharedConnection(url) : new Connection(`${url}${id}/`);
                return connection.watch(id, `/api/tasks/${id}/`, (view, status) => {
                    window.view = view;
                    told.push({ id, status, seq: view?.seq ?? null, state: view?.task.state ?? null });
                });
            });
        }""",
        [fake.sockets_url, list(ids)],
    )


def wait_told(tab: Page, condition: str) -> None:
    """Until something told fulfils `condition` over status, seq, state, id."""
    tab.wait_for_function(f"told.some(({{ status, seq, state, id }}) => {condition})", timeout=10_000)


def statuses(tab: Page) -> list[str]:
    """What the connection was, without repetitions."""
    told: list[str] = tab.evaluate("told.map(({ status }) => status)")
    return [one for i, one in enumerate(told) if i == 0 or told[i - 1] != one]


def wait_until(condition, seconds: float = 5.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


def test_a_dropped_socket_comes_back_with_what_the_browser_holds(tab, fake):
    fake.scenes = [leave(4001, snapshot(3), update(4, current=4)), stay(snapshot(6, current=6, recovered=True))]
    watch(tab, fake)
    wait_told(tab, "seq === 6")
    assert fake.paths == ["/ws/progress/t/", "/ws/progress/t/?epoch=a&seq=4"]
    assert statuses(tab) == ["live", "reconnecting", "live"]


def test_after_three_failures_it_polls_and_keeps_trying_the_socket(tab, fake):
    fake.polled = {"epoch": "a", "seq": 5, "task": task(current=5)}
    fake.scenes = [leave(4001)]
    watch(tab, fake)
    wait_told(tab, "status === 'polling' && seq === 5")
    tries = len(fake.paths)
    assert tries >= 3
    wait_until(lambda: len(fake.paths) > tries)
    wait_until(lambda: fake.polls[-1])  # the second poll asks with the ETag of the first

    fake.scenes = [stay(snapshot(6, current=6))]
    wait_told(tab, "status === 'live' && seq === 6")
    polls = len(fake.polls)
    tab.wait_for_timeout(1_300)
    assert len(fake.polls) == polls, "it polls though the socket is back"


def test_with_neither_socket_nor_poll_it_says_reconnecting(tab, fake):
    fake.scenes = [leave(4001)]
    watch(tab, fake)
    wait_until(lambda: fake.polls)
    tab.wait_for_timeout(300)
    assert set(statuses(tab)) == {"reconnecting"}


def test_log_lines_missed_while_polling_are_fetched_by_the_socket(tab, fake):
    fake.polled = {"epoch": "a", "seq": 9, "task": task(current=9)}
    fake.scenes = [leave(4001, snapshot(2, log=[line(1)]))] + [leave(4001)] * 3 + [
        stay(snapshot(9, current=9, recovered=True, log=[line(2), line(3)]))
    ]  # fmt: skip
    watch(tab, fake)
    wait_told(tab, "status === 'live' && seq === 9")
    assert fake.paths[-1] == "/ws/progress/t/?epoch=a&seq=2"
    assert tab.evaluate("view.log.map(({ n }) => n)") == [1, 2, 3]


def test_an_end_told_by_a_poll_still_brings_the_last_log_lines(tab, fake):
    fake.polled = {"epoch": "a", "seq": 9, "task": task("SUCCESS", 10)}
    fake.scenes = [leave(4001, snapshot(2, log=[line(1)]))] + [leave(4001)] * 3
    watch(tab, fake)
    wait_told(tab, "status === 'ended'")
    fake.scenes = [leave(1000, snapshot(9, state="SUCCESS", current=10, recovered=True, log=[line(2)]))]
    tab.wait_for_function("view.log.length === 2", timeout=10_000)
    connections = len(fake.paths)
    tab.wait_for_timeout(700)
    assert len(fake.paths) == connections


@pytest.mark.parametrize("code", [4404, 4400, 4429])
def test_a_code_that_says_stay_away_is_obeyed(tab, fake, code):
    fake.polled = 404 if code == 4404 else {"epoch": "a", "seq": 5, "task": task(current=5)}
    fake.scenes = [leave(code)]
    watch(tab, fake)
    wait_told(tab, "status === 'gone'" if code == 4404 else "status === 'polling'")
    tab.wait_for_timeout(700)
    assert len(fake.paths) == 1


def test_after_the_final_frame_it_stays_away(tab, fake):
    fake.scenes = [leave(1000, snapshot(3), update(9, state="SUCCESS", current=10))]
    watch(tab, fake)
    wait_told(tab, "status === 'ended' && state === 'SUCCESS'")
    tab.wait_for_timeout(700)
    assert len(fake.paths) == 1
    assert not fake.polls


def test_a_normal_close_without_the_end_is_followed_by_polls_until_the_end(tab, fake):
    fake.polled = {"epoch": "a", "seq": 5, "task": task(current=5)}
    fake.scenes = [leave(1000, snapshot(3))]
    watch(tab, fake)
    wait_told(tab, "status === 'polling'")
    fake.polled = {"epoch": "a", "seq": 9, "task": task("SUCCESS", 10)}
    wait_told(tab, "status === 'ended' && state === 'SUCCESS'")
    assert len(fake.paths) == 1


def test_a_ping_is_answered_with_the_seq_that_is_held(tab, fake):
    answers = []

    def scene(socket: Socket) -> None:
        socket.say(snapshot(3), update(7, current=7), {"v": 1, "type": "ping", "epoch": "a", "seq": 7})
        answers.append(socket.hear())
        socket.wait_closed()

    fake.scenes = [scene]
    watch(tab, fake)
    wait_until(lambda: answers)
    assert answers == [{"type": "pong", "seq": 7}]


def test_another_epoch_is_asked_about_once(tab, fake):
    heard = []

    def scene(socket: Socket) -> None:
        socket.say(snapshot(30, current=3), update(1, epoch="b"), update(2, epoch="b"))
        heard.append(socket.hear())
        socket.say(snapshot(2, epoch="b", current=5), {"v": 1, "type": "ping", "epoch": "b", "seq": 2})
        heard.append(socket.hear())
        socket.wait_closed()

    fake.scenes = [scene]
    watch(tab, fake)
    wait_until(lambda: len(heard) == 2)
    assert heard == [{"type": "resync", "epoch": "a", "seq": 30}, {"type": "pong", "seq": 2}]


def test_coming_online_does_not_wait_for_the_timer(tab, fake):
    tab.evaluate("Math.random = () => 1")
    fake.scenes = [leave(4001)]
    watch(tab, fake)
    wait_until(lambda: fake.polls)  # it failed three times, and the next try is 2 s away
    fake.scenes = [stay(snapshot(3))]
    tab.evaluate("dispatchEvent(new Event('online'))")
    wait_until(lambda: len(fake.paths) == 4, seconds=1.0)


def test_a_list_shares_one_socket_and_leaves_what_ended(tab, fake):
    heard = []

    def scene(socket: Socket) -> None:
        heard.append(socket.hear())
        socket.say(snapshot(1, task_id="t"), snapshot(1, task_id="u"))
        socket.say({"v": 1, "type": "error", "code": "not_found", "message": "no", "task_id": "w"})
        socket.say(update(2, task_id="u", state="FAILURE", current=4))
        heard.extend([socket.hear(), socket.hear()])
        socket.say({"v": 1, "type": "ping", "epoch": "", "seq": 12})
        heard.append(socket.hear())
        socket.wait_closed()

    fake.scenes = [scene]
    watch(tab, fake, ("t", "u", "w"))
    wait_until(lambda: len(heard) == 4)
    assert heard[0] == {"type": "subscribe", "task_ids": ["t", "u", "w"]}
    assert heard[1:] == [
        {"type": "unsubscribe", "task_ids": ["w"]},
        {"type": "unsubscribe", "task_ids": ["u"]},
        {"type": "pong", "seq": 12},
    ]
    wait_told(tab, "id === 't' && status === 'live'")
    wait_told(tab, "id === 'u' && status === 'ended' && state === 'FAILURE'")
    wait_told(tab, "id === 'w' && status === 'gone'")
    assert len(fake.paths) == 1


def test_a_list_subscribes_in_frames_that_the_server_accepts(tab, fake):
    heard = []

    def scene(socket: Socket) -> None:
        heard.extend([socket.hear(), socket.hear(), socket.hear()])
        socket.wait_closed()

    ids = tuple(f"00000000-0000-4000-8000-{i:012}" for i in range(120))
    fake.scenes = [scene]
    watch(tab, fake, ids)
    wait_until(lambda: len(heard) == 3)
    assert [one for frame in heard for one in frame["task_ids"]] == list(ids)
    assert all(len(json.dumps(frame)) <= 4096 for frame in heard)


def test_the_last_watcher_closes_the_socket(tab, fake):
    closed = []

    def scene(socket: Socket) -> None:
        socket.say(snapshot(1, task_id="t"), snapshot(1, task_id="u"))
        socket.wait_closed()
        closed.append(socket.connection.close_code)

    fake.scenes = [scene]
    watch(tab, fake, ("t", "u"))
    wait_told(tab, "id === 'u' && status === 'live'")
    tab.evaluate("stops.forEach((stop) => stop())")
    wait_until(lambda: closed == [1000])


# --- the element ------------------------------------------------------------------------------------------------------


def put(tab: Page, fake: FakeProgress, content: str = "") -> None:
    tab.evaluate(
        """async ([socket, content]) => {
            window.events = [];
            for (const name of ["progress", "end"])
                addEventListener(name, ({ detail }) => events.push([name, detail.state]));
            const element = document.createElement("task-progress");
            element.setAttribute("task-id", "t");
            element.setAttribute("socket", socket);
            element.innerHTML = content;
            await import("/progress/task-progress.js");
            document.body.append(element);
        }""",
        [fake.sockets_url, content],
    )


def test_an_empty_element_shows_a_bar_by_itself(tab, fake):
    fake.scenes = [stay(snapshot(4, current=4))]
    put(tab, fake)
    bar = tab.get_by_role("progressbar")
    expect(bar).to_have_attribute("aria-valuenow", "40")
    expect(tab.get_by_text("running", exact=True)).to_be_visible()
    expect(tab.get_by_text("4 / 10")).to_be_visible()
    expect(tab.get_by_text("live", exact=True)).to_be_visible()


def test_an_end_is_shown_announced_and_told_once(tab, fake):
    fake.scenes = [leave(1000, snapshot(4, current=4), update(9, state="SUCCESS", current=10), update(10, current=3))]
    put(tab, fake)
    expect(tab.get_by_role("progressbar")).to_have_attribute("aria-valuenow", "100")
    expect(tab.get_by_role("status")).to_have_text("long_running_task finished.")
    expect(tab.get_by_text("100 %")).to_be_visible()
    assert tab.evaluate("events.filter(([name]) => name === 'end')") == [["end", "SUCCESS"]]


def test_a_task_without_a_total_has_a_bar_without_a_value(tab, fake):
    frame = snapshot(4)
    frame["task"] |= {"total": None, "percent": None, "current": 7}
    fake.scenes = [stay(frame)]
    put(tab, fake)
    expect(tab.locator("task-progress[indeterminate]")).to_be_visible()
    assert tab.get_by_role("progressbar").get_attribute("aria-valuenow") is None


def test_text_of_a_task_is_never_markup(tab, fake):
    frame = snapshot(4, log=[line(1) | {"text": "<img src=x onerror='window.hit=1'>"}])
    frame["task"]["message"] = "<img src=x onerror='window.hit=1'>"
    fake.scenes = [stay(frame)]
    put(tab, fake, '<p part="message"></p><ol part="log"></ol>')
    expect(tab.locator("[part=message]")).to_contain_text("<img")
    expect(tab.locator("[part=log] li")).to_contain_text("<img")
    assert tab.evaluate("document.querySelector('img') ?? window.hit ?? null") is None


def test_a_log_follows_its_end_until_the_reader_scrolls_away(tab, fake):
    more: list[bool] = []

    def scene(socket: Socket) -> None:
        socket.say(snapshot(1, log=[line(n) for n in range(1, 101)]))
        while not more:
            time.sleep(0.02)
        socket.say({"v": 1, "type": "log", "task_id": "t", "epoch": "a", "seq": 2, "lines": [line(100), line(101)]})
        socket.wait_closed()

    fake.scenes = [scene]
    put(tab, fake, '<ol part="log" style="height: 100px; overflow: auto"></ol>')
    rows = tab.locator("[part=log] li")
    expect(rows).to_have_count(100)
    tab.wait_for_function("document.querySelector('[part=log]').scrollTop > 0")
    tab.evaluate("""new Promise((done) => {
      const log = document.querySelector('[part=log]');
      log.addEventListener('scroll', done, { once: true });
      log.scrollTop = 0;
    }).then(() => 0)""")
    more.append(True)
    expect(rows).to_have_count(101)
    assert tab.evaluate("document.querySelector('[part=log]').scrollTop") == 0
